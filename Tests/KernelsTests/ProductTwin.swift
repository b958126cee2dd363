import Core
import Kernels

/// Reproducible numbers for tests.
struct Numbers {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 | 1 }

    mutating func bits() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state &* 0x2545_f491_4f6c_dd1d
    }

    /// Between -1 and 1.
    mutating func float() -> Float { Float(Int64(bits() >> 40) - (1 << 23)) / Float(1 << 23) }
}

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
        let blocks = (columns + 31) / 32
        rowBytes = blocks * format.bytesPer32
        bytes = [0]
        for _ in 0..<rows * blocks {
            switch format {
            case .f32: for _ in 0..<32 { append(numbers.float().bitPattern) }
            case .bf16: for _ in 0..<32 { append(UInt16(truncatingIfNeeded: numbers.float().bitPattern >> 16)) }
            case .f16: for _ in 0..<32 { append(Float16(numbers.float()).bitPattern) }
            case .q8_0, .q4_0, .q4_1:
                append(Float16(numbers.float() / 8).bitPattern)
                if format == .q4_1 { append(Float16(numbers.float()).bitPattern) }
                for _ in 0..<(format == .q8_0 ? 32 : 16) { append(UInt8(truncatingIfNeeded: numbers.bits() >> 30)) }
            }
        }
    }

    private mutating func append<T: FixedWidthInteger>(_ x: T) {
        withUnsafeBytes(of: x.littleEndian) { bytes.append(contentsOf: $0) }
    }

    /// Bytes of an element's block.
    private func block(_ row: Int, _ column: Int) -> ArraySlice<UInt8> {
        let start = 1 + row * rowBytes + column / 32 * format.bytesPer32
        return bytes[start..<start + format.bytesPer32]
    }

    private func half(_ block: ArraySlice<UInt8>, _ at: Int) -> Float {
        let low = UInt16(block[block.startIndex + at])
        let high = UInt16(block[block.startIndex + at + 1])
        return Float(Float16(bitPattern: low | high << 8))
    }

    func scale(_ row: Int, _ column: Int) -> Float { half(block(row, column), 0) }
    func minimum(_ row: Int, _ column: Int) -> Float { half(block(row, column), 2) }

    /// The integer of an element: signed bytes, or nibbles 0..<16.
    func quant(_ row: Int, _ column: Int) -> Int {
        let b = block(row, column)
        let i = column % 32
        if format == .q8_0 { return Int(Int8(bitPattern: b[b.startIndex + 2 + i])) }
        let byte = b[b.startIndex + (format == .q4_1 ? 4 : 2) + i % 16]
        return Int(i < 16 ? byte & 15 : byte >> 4)
    }

    /// The value of an element, by the format's definition.
    func value(_ row: Int, _ column: Int) -> Float {
        let b = block(row, column)
        let i = b.startIndex + column % 32 * (format == .f32 ? 4 : 2)
        switch format {
        case .f32:
            return Float(
                bitPattern: UInt32(b[i]) | UInt32(b[i + 1]) << 8 | UInt32(b[i + 2]) << 16 | UInt32(b[i + 3]) << 24)
        case .bf16: return Float(bitPattern: UInt32(b[i]) << 16 | UInt32(b[i + 1]) << 24)
        case .f16: return Float(Float16(bitPattern: UInt16(b[i]) | UInt16(b[i + 1]) << 8))
        case .q8_0: return scale(row, column) * Float(quant(row, column))
        case .q4_0: return scale(row, column) * Float(quant(row, column) - 8)
        case .q4_1: return scale(row, column) * Float(quant(row, column)) + minimum(row, column)
        }
    }

    /// All panels as `type`, for `body`; panel memory is full of rubbish before.
    func withPanels<R>(_ type: WeightType, _ body: (PanelMatrix) -> R) -> R {
        let size = PanelMatrix.byteCount(type: type, rows: rows, columns: columns)
        let base = UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64)
        defer { base.deallocate() }
        base.initializeMemory(as: UInt8.self, repeating: 0xfe, count: size)
        let panelBytes = PanelMatrix.panelBytes(type: type, columns: columns)
        bytes.withUnsafeBytes { raw in
            guard let start = raw.baseAddress else { return }
            for panel in 0..<(rows + 15) / 16 {
                packPanel(
                    into: base + panel * panelBytes, type: type, from: start + 1 + panel * 16 * rowBytes,
                    rowStride: rowBytes, rowCount: min(16, rows - panel * 16), stored: format, columns: columns)
            }
        }
        return body(PanelMatrix(type: type, rows: rows, columns: columns, base: base))
    }
}

/// A stored row read once: what the twins walk.
struct TwinRow {
    /// Values of a float format.
    var values: [Float] = []
    /// Integers, 32 a block (minus eight for Q4_0), zeros past the last column.
    var quants: [Int] = []
    /// Of each block.
    var scales: [Float] = []
    /// Of each block; empty where there are none.
    var minima: [Float] = []

    /// Row `row` of `w`.
    init(_ w: StoredMatrix, row: Int) {
        guard w.format.weightType.isInteger else {
            values = (0..<w.columns).map { w.value(row, $0) }
            return
        }
        let starts = stride(from: 0, to: w.columns, by: 32)
        let zero = w.format == .q4_0 ? 8 : 0
        quants = (0..<32 * starts.underestimatedCount).map { $0 < w.columns ? w.quant(row, $0) - zero : 0 }
        scales = starts.map { w.scale(row, $0) }
        if w.format == .q4_1 { minima = starts.map { w.minimum(row, $0) } }
    }

    /// One token's activations for integer weights.
    init(activations x: [Float]) {
        for start in stride(from: 0, to: x.count, by: 32) {
            let block = quantizeTwin((start..<start + 32).map { $0 < x.count ? x[$0] : 0 })
            quants += block.0
            scales.append(block.1)
        }
        values = x
    }
}

/// One leaf of one output element, by the canonical order.
func leafTwin(_ w: TwinRow, _ x: TwinRow, columns: Range<Int>) -> Float {
    var sum: Float = 0
    if w.quants.isEmpty {
        for k in columns { sum = sum.addingProduct(w.values[k], x.values[k]) }
        return sum
    }
    for b in columns.lowerBound / 32..<(columns.upperBound + 31) / 32 {
        var dot = 0
        for k in 32 * b..<32 * b + 32 { dot += w.quants[k] * x.quants[k] }
        sum = sum.addingProduct(Float(dot), w.scales[b] * x.scales[b])
        if !w.minima.isEmpty {
            let s = x.scales[b] * Float(x.quants[32 * b..<32 * b + 32].reduce(0, +))
            sum = sum.addingProduct(w.minima[b], s)
        }
    }
    return sum
}

/// 32 activations as integers and their scale.
func quantizeTwin(_ x: [Float]) -> ([Int], Float) {
    let scale = x.reduce(0) { max($0, abs($1)) } / 127
    if scale == 0 { return (x.map { _ in 0 }, 0) }
    return (x.map { min(127, max(-127, Int(($0 / scale).rounded(.toNearestOrEven)))) }, scale)
}

/// A balanced tree over leaves; nil when all are empty.
func treeTwin(_ w: TwinRow, _ x: TwinRow, leaves: ArraySlice<Range<Int>>) -> Float? {
    if leaves.count == 1 { return leaves.first.flatMap { $0.isEmpty ? nil : leafTwin(w, x, columns: $0) } }
    let middle = leaves.startIndex + leaves.count / 2
    let left = treeTwin(w, x, leaves: leaves[..<middle])
    let right = treeTwin(w, x, leaves: leaves[middle...])
    guard let left else { return right }
    guard let right else { return left }
    return left + right
}
