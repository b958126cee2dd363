import Checkpoint

/// Floats as a file stores them. The quantisers are the reference ones of GGUF's formats: rounding happens with the
/// unrounded scale, and the file keeps the scale in half precision.
enum StoredEncoding {
    /// Elements that are encoded together, for every type that is written.
    static let block = 32

    /// Appends `values`, whole blocks of 32 for the integer types, to `bytes`.
    static func append(_ values: some Collection<Float>, as type: StoredType, to bytes: inout [UInt8]) {
        switch type {
        case .bf16: for x in values { append(bf16(x), to: &bytes) }
        case .f16: for x in values { append(Float16(x).bitPattern, to: &bytes) }
        case .q8_0: eachBlock(values) { q8($0, to: &bytes) }
        case .q4_0: eachBlock(values) { q4($0, to: &bytes) }
        default: for x in values { append(x.bitPattern, to: &bytes) }
        }
    }

    private static func append(_ bits: some FixedWidthInteger, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: bits.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// The upper half of a float, to the nearest, ties to even.
    private static func bf16(_ x: Float) -> UInt16 {
        let bits = x.bitPattern
        return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
    }

    private static func eachBlock(_ values: some Collection<Float>, _ body: ([Float]) -> Void) {
        var buffer: [Float] = []
        buffer.reserveCapacity(block)
        for x in values {
            buffer.append(x)
            if buffer.count == block {
                body(buffer)
                buffer.removeAll(keepingCapacity: true)
            }
        }
    }

    private static func q8(_ x: [Float], to bytes: inout [UInt8]) {
        let scale = x.reduce(0) { max($0, abs($1)) } / 127
        let inverse: Float = scale > 0 ? 1 / scale : 0
        append(Float16(scale).bitPattern, to: &bytes)
        for value in x {
            bytes.append(UInt8(bitPattern: Int8((value * inverse).rounded(.toNearestOrAwayFromZero))))
        }
    }

    private static func q4(_ x: [Float], to bytes: inout [UInt8]) {
        var top: Float = 0
        for value in x where abs(value) > abs(top) { top = value }
        let scale = top / -8
        let inverse: Float = scale != 0 ? 1 / scale : 0
        append(Float16(scale).bitPattern, to: &bytes)
        func nibble(_ value: Float) -> UInt8 { UInt8(min(15, (value * inverse + 8.5).rounded(.towardZero))) }
        for j in 0..<16 { bytes.append(nibble(x[j]) | nibble(x[j + 16]) << 4) }
    }
}
