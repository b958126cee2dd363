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

/// A stored row read once: what the twins walk.
struct TwinRow {
    /// Values of a float format.
    var values: [Float] = []
    /// Integers, 32 a block (minus what was added to make them unsigned), zeros past the last column.
    var quants: [Int] = []
    /// Of each block.
    var scales: [Float] = []
    /// Integers that each half of a block is multiplied by; empty where there are none.
    var halfScales: [Int] = []
    /// Of each block; empty where there are none.
    var minima: [Float] = []

    /// Row `row` of `w`.
    init(_ w: StoredMatrix, row: Int) {
        guard w.format.weightType.isInteger else {
            values = (0..<w.columns).map { w.value(row, $0) }
            return
        }
        let starts = stride(from: 0, to: w.columns, by: 32)
        quants = (0..<32 * starts.underestimatedCount).map { $0 < w.columns ? w.quant(row, $0) - w.zero : 0 }
        scales = starts.map { w.scale(row, $0) }
        if w.hasMinima { minima = starts.map { w.minimum(row, $0) } }
        if w.format == .q6_k {
            halfScales = starts.flatMap { [w.smallScale(row, $0), w.smallScale(row, $0 + 16)] }
        }
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
        for k in 32 * b..<32 * b + 32 {
            dot += w.quants[k] * x.quants[k] * (w.halfScales.isEmpty ? 1 : w.halfScales[k / 16])
        }
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
