import Core
import Kernels

/// A matrix as a checkpoint stores it, at an odd address, with the meaning of its elements spelt out.
struct StoredMatrix {
    let format: StoredFormat
    let rows: Int
    let columns: Int
    let rowBytes: Int
    /// One byte of nothing, then the rows.
    var bytes: [UInt8]

    /// Random weights; blocks get moderate scales.
    init(_ format: StoredFormat, rows: Int, columns: Int, seed: UInt64) {
        self.format = format
        self.rows = rows
        self.columns = columns
        var numbers = Numbers(seed: seed)
        let blocks = (columns + format.blockColumns - 1) / format.blockColumns
        rowBytes = blocks * format.blockBytes
        bytes = [0]
        for _ in 0..<rows * blocks {
            switch format {
            case .f32: for _ in 0..<32 { append(numbers.float().bitPattern) }
            case .bf16: for _ in 0..<32 { append(UInt16(truncatingIfNeeded: numbers.float().bitPattern >> 16)) }
            case .f16: for _ in 0..<32 { append(Float16(numbers.float()).bitPattern) }
            default:
                var block = (0..<format.blockBytes).map { _ in UInt8(truncatingIfNeeded: numbers.bits() >> 30) }
                Self.put(numbers.float() / 8, in: &block, at: format.scaleAt)
                if let at = format.minimumAt { Self.put(numbers.float(), in: &block, at: at) }
                bytes += block
            }
        }
    }

    /// Writes a half-precision number into a block.
    static func put(_ x: Float, in block: inout [UInt8], at: Int) {
        withUnsafeBytes(of: Float16(x).bitPattern.littleEndian) { block.replaceSubrange(at..<at + 2, with: $0) }
    }

    private mutating func append<T: FixedWidthInteger>(_ x: T) {
        withUnsafeBytes(of: x.littleEndian) { bytes.append(contentsOf: $0) }
    }

    // MARK: Elements, by the formats' definitions

    /// Bytes of an element's block.
    private func block(_ row: Int, _ column: Int) -> [UInt8] {
        let start = 1 + row * rowBytes + column / format.blockColumns * format.blockBytes
        return Array(bytes[start..<start + format.blockBytes])
    }

    private func half(_ block: [UInt8], _ at: Int) -> Float {
        Float(Float16(bitPattern: UInt16(block[at]) | UInt16(block[at + 1]) << 8))
    }

    /// What was added to quants to make them unsigned.
    var zero: Int {
        switch format {
        case .q4_0: 8
        case .q5_0: 16
        case .q6_k: 32
        default: 0
        }
    }

    var hasMinima: Bool { format.minimumAt != nil }

    /// What the quants of 32 elements are multiplied by; of Q6_K besides their small scales.
    func scale(_ row: Int, _ column: Int) -> Float {
        let d = half(block(row, column), format.scaleAt)
        return format == .q4_k || format == .q5_k ? d * Float(smallScale(row, column)) : d
    }

    /// What is added to the product.
    func minimum(_ row: Int, _ column: Int) -> Float {
        let b = block(row, column)
        guard let at = format.minimumAt else { return 0 }
        return format == .q4_k || format == .q5_k ? -(half(b, at) * Float(sixBits(b, column).minimum)) : half(b, at)
    }

    /// The integer scale of an element of a superblock.
    func smallScale(_ row: Int, _ column: Int) -> Int {
        let b = block(row, column)
        if format == .q6_k { return Int(Int8(bitPattern: b[192 + column % 256 / 16])) }
        return sixBits(b, column).scale
    }

    /// Q4_K and Q5_K: scale and minimum of the element's 32.
    private func sixBits(_ block: [UInt8], _ column: Int) -> (scale: Int, minimum: Int) {
        let s = block[4..<16].map { Int($0) }
        let b = column % 256 / 32
        if b < 4 { return (s[b] & 63, s[b + 4] & 63) }
        return (s[b + 4] & 15 | (s[b - 4] >> 6) << 4, s[b + 4] >> 4 | (s[b] >> 6) << 4)
    }

    /// The integer of an element: a signed byte, or 0 up to 15, 31 or 63.
    func quant(_ row: Int, _ column: Int) -> Int {
        let b = block(row, column).map { Int($0) }
        let i = column % 32
        func nibble(_ first: Int) -> Int { i < 16 ? b[first + i] & 15 : b[first + i - 16] >> 4 }
        func fifth(_ first: Int) -> Int { (b[first + i / 8] >> (i % 8) & 1) << 4 }
        let e = column % 256
        switch format {
        case .q8_0: return Int(Int8(bitPattern: UInt8(b[2 + i])))
        case .q4_0: return nibble(2)
        case .q4_1: return nibble(4)
        case .q5_0: return nibble(6) | fifth(2)
        case .q5_1: return nibble(8) | fifth(4)
        case .q4_k: return b[16 + e / 64 * 32 + i] >> (e / 32 % 2 * 4) & 15
        case .q5_k: return b[48 + e / 64 * 32 + i] >> (e / 32 % 2 * 4) & 15 | (b[16 + i] >> (e / 32) & 1) << 4
        case .q6_k:
            let (h, l) = (e / 128, e % 32)
            let high = b[128 + 32 * h + l]
            switch e % 128 / 32 {
            case 0: return b[64 * h + l] & 15 | (high & 3) << 4
            case 1: return b[64 * h + 32 + l] & 15 | (high >> 2 & 3) << 4
            case 2: return b[64 * h + l] >> 4 | (high >> 4 & 3) << 4
            default: return b[64 * h + 32 + l] >> 4 | (high >> 6 & 3) << 4
            }
        case .f32, .bf16, .f16: return 0
        }
    }

    /// The value of an element.
    func value(_ row: Int, _ column: Int) -> Float {
        let b = block(row, column)
        let i = column % 32 * (format == .f32 ? 4 : 2)
        switch format {
        case .f32:
            return Float(
                bitPattern: UInt32(b[i]) | UInt32(b[i + 1]) << 8 | UInt32(b[i + 2]) << 16 | UInt32(b[i + 3]) << 24)
        case .bf16: return Float(bitPattern: UInt32(b[i]) << 16 | UInt32(b[i + 1]) << 24)
        case .f16: return Float(Float16(bitPattern: UInt16(b[i]) | UInt16(b[i + 1]) << 8))
        case .q6_k:
            return scale(row, column) * Float(smallScale(row, column)) * Float(quant(row, column) - 32)
        default:
            let product = scale(row, column) * Float(quant(row, column) - zero)
            return hasMinima ? product + minimum(row, column) : product
        }
    }

    // MARK: Panels

    /// All panels as `type`, for `body`; panel memory is full of rubbish before.
    ///
    /// - Parameter from: The first column that is packed, a multiple of 32.
    func withPanels<R>(_ type: WeightType, from: Int = 0, _ body: (PanelMatrix) -> R) -> R {
        let skipped = from % format.blockColumns / 32
        let panelBytes = PanelMatrix.panelBytes(type: type, columns: columns - from, skippedBlocks: skipped)
        let size = (rows + 15) / 16 * panelBytes
        let base = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64)
        defer { base.deallocate() }
        base.initializeMemory(as: UInt8.self, repeating: 0xfe, count: size)
        bytes.withUnsafeBytes { raw in
            guard let start = raw.baseAddress else { return }
            let first = 1 + from / format.blockColumns * format.blockBytes
            for panel in 0..<(rows + 15) / 16 {
                packPanel(
                    into: base + panel * panelBytes, type: type, from: start + first + panel * 16 * rowBytes,
                    rowStride: rowBytes, rowCount: min(16, rows - panel * 16), stored: format, skippedBlocks: skipped,
                    columns: columns - from)
            }
        }
        return body(
            PanelMatrix(type: type, rows: rows, columns: columns - from, base: base, skippedBlocks: skipped))
    }
}

extension StoredFormat {
    /// Where a block of integers has its scale, or what its scales are multiplied by.
    var scaleAt: Int { self == .q6_k ? 208 : 0 }

    /// The same of minima, for formats that have them.
    var minimumAt: Int? {
        switch self {
        case .q4_1, .q5_1, .q4_k, .q5_k: 2
        default: nil
        }
    }
}
