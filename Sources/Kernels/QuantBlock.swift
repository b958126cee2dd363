// Blocks of integers as GGUF files store them, 32 elements at a time. Source of the layouts: GGUF specification.

import Core

/// 32 consecutive weights of a row as integers, with what they are multiplied by.
struct QuantBlock {
    /// Elements 0..<32, a byte each: signed (q8), or 0..<16, 32 or 64.
    var quants: (UInt64, UInt64, UInt64, UInt64)
    /// Scale; with `small` what scales are multiplied by.
    var d: Float16
    /// Minimum, 0 for types that have none; with `small` what minima are multiplied by, its sign turned.
    var m: Float16
    /// In superblocks: scale and minimum (q4k, q5k), or the signed scales of elements 0..<16 and 16..<32 (q6k).
    var small: (UInt8, UInt8) = (0, 0)
}

private let nibbles: UInt64 = 0x0f0f_0f0f_0f0f_0f0f
private let ones: UInt64 = 0x0101_0101_0101_0101

extension QuantBlock {
    /// Zero weights.
    static func zeros(_ type: WeightType) -> QuantBlock {
        let each = ones &* (type == .q4 ? 8 : type == .q5 ? 16 : type == .q6k ? 32 : 0)
        return QuantBlock(quants: (each, each, each, each), d: 0, m: 0)
    }

    /// Part `part` of the stored block at `source`: elements 32 part ..< 32 part + 32.
    @inline(__always)
    init(_ source: UnsafeRawPointer, part: Int, stored: StoredFormat) {
        @inline(__always) func half(_ at: Int) -> Float16 {
            source.loadUnaligned(fromByteOffset: at, as: Float16.self)
        }
        @inline(__always) func eight(_ at: Int) -> UInt64 { source.loadUnaligned(fromByteOffset: at, as: UInt64.self) }
        @inline(__always) func bits(_ at: Int) -> UInt32 { source.loadUnaligned(fromByteOffset: at, as: UInt32.self) }
        switch stored {
        case .q4_0: self.init(d: half(0), m: 0, split: (eight(2), eight(10)), fifth: 0)
        case .q4_1: self.init(d: half(0), m: half(2), split: (eight(4), eight(12)), fifth: 0)
        case .q5_0: self.init(d: half(0), m: 0, split: (eight(6), eight(14)), fifth: bits(2))
        case .q5_1: self.init(d: half(0), m: half(2), split: (eight(8), eight(16)), fifth: bits(4))
        case .q4_k, .q5_k:
            let low = (stored == .q4_k ? 16 : 48) + part / 2 * 32
            let shift = UInt64(part % 2 * 4)
            @inline(__always) func quants(_ i: Int) -> UInt64 {
                let fifth = stored == .q4_k ? 0 : (eight(16 + 8 * i) >> UInt64(part) & ones) << 4
                return eight(low + 8 * i) >> shift & nibbles | fifth
            }
            self.init(quants: (quants(0), quants(1), quants(2), quants(3)), d: half(0), m: -half(2))
            let scales = (source + 4).assumingMemoryBound(to: UInt8.self)
            if part < 4 {
                small = (scales[part] & 63, scales[part + 4] & 63)
            } else {
                let last = scales[part + 4]
                small = (last & 15 | (scales[part - 4] >> 6) << 4, last >> 4 | (scales[part] >> 6) << 4)
            }
        case .q6_k:
            // Each half of 128 elements has four parts: nibbles of two times 32 bytes, and two bits each of 32 bytes.
            let low = part / 4 * 64 + part % 2 * 32
            let shift = UInt64(part % 4 / 2 * 4)
            let high = 128 + part / 4 * 32
            @inline(__always) func quants(_ i: Int) -> UInt64 {
                eight(low + 8 * i) >> shift & nibbles
                    | (eight(high + 8 * i) >> UInt64(part % 4 * 2) & (3 &* ones)) << 4
            }
            self.init(quants: (quants(0), quants(1), quants(2), quants(3)), d: half(208), m: 0)
            let scales = (source + 192).assumingMemoryBound(to: UInt8.self)
            small = (scales[2 * part], scales[2 * part + 1])
        default:
            self.init(quants: (eight(2), eight(10), eight(18), eight(26)), d: half(0), m: 0)
        }
    }

    /// Byte j of `split` holds elements j (low nibble) and j + 16 (high nibble); bit i of `fifth` is bit 4 of element i.
    @inline(__always)
    private init(d: Float16, m: Float16, split: (UInt64, UInt64), fifth: UInt32) {
        self.init(
            quants: (
                split.0 & nibbles | Self.spread(fifth), split.1 & nibbles | Self.spread(fifth >> 8),
                split.0 >> 4 & nibbles | Self.spread(fifth >> 16), split.1 >> 4 & nibbles | Self.spread(fifth >> 24)
            ), d: d, m: m)
    }

    /// The low eight bits as bit 4 of eight bytes.
    @inline(__always)
    private static func spread(_ bits: UInt32) -> UInt64 {
        let each = UInt64(bits & 255) &* ones & 0x8040_2010_0804_0201
        return (each &+ 0x7f7f_7f7f_7f7f_7f7f) >> 3 & 0x1010_1010_1010_1010
    }

    /// The first `count` weights as floats, as the format defines them.
    func dequantize(count: Int, stored: StoredFormat, into x: UnsafeMutablePointer<Float>) {
        let d = Float(d)
        let m = Float(m)
        withUnsafeBytes(of: quants) { q in
            switch stored {
            case .q8_0: for i in 0..<count { x[i] = d * Float(Int8(bitPattern: q[i])) }
            case .q4_0: for i in 0..<count { x[i] = d * Float(Int32(q[i]) &- 8) }
            case .q5_0: for i in 0..<count { x[i] = d * Float(Int32(q[i]) &- 16) }
            case .q6_k:
                let scales = (d * Float(Int8(bitPattern: small.0)), d * Float(Int8(bitPattern: small.1)))
                for i in 0..<min(count, 16) { x[i] = scales.0 * Float(Int32(q[i]) &- 32) }
                for i in 16..<max(count, 16) { x[i] = scales.1 * Float(Int32(q[i]) &- 32) }
            case .q4_k, .q5_k:
                let (scale, minimum) = (d * Float(small.0), m * Float(small.1))
                for i in 0..<count { x[i] = scale * Float(q[i]) + minimum }
            default: for i in 0..<count { x[i] = d * Float(q[i]) + m }
            }
        }
    }
}
