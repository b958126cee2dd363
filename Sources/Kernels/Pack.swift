// Stored rows into a panel. Where the type in memory corresponds to the stored format no value changes; otherwise rows
// become floats and are rounded to the type: bf16 and f16 to nearest even, integers by the reference quantisers.

public import Core

/// Packs up to 16 stored rows into the panel at `into`; rows past `rowCount` become zero weights.
///
/// - Shapes: `source` is the first byte of row 0 at the first wanted column (for block formats the start of a block),
///   rows are `rowStride` bytes apart; `into` has `PanelMatrix.panelBytes(type:columns:)` bytes.
/// - Needs: `rowCount` <= 16. Any address is fine. A partial last block counts as padded with zeros.
public func packPanel(
    into: UnsafeMutableRawPointer, type: WeightType, from source: UnsafeRawPointer, rowStride: Int, rowCount: Int,
    stored: StoredFormat, columns: Int
) {
    // Block by block, so that the strided stores of a block stay in the L1 cache.
    for b in 0..<blockCount(columns) {
        let block = into + b * type.panelBlockBytes
        let count = min(32, columns - 32 * b)
        let unchanged = stored.weightType == type && count == 32
        for row in 0..<PanelMatrix.panelRows {
            let element = source + row * rowStride + b * stored.bytesPer32
            if row >= rowCount {
                clear(row, of: block, type: type)
            } else if unchanged {
                copy(element, to: row, of: block, type: type)
            } else if stored.weightType == type && type.isInteger {
                copyPart(element, count: count, to: row, of: block, type: type)
            } else {
                convert(element, stored: stored, count: count, to: row, of: block, type: type)
            }
        }
    }
    let used = blockCount(columns) * type.panelBlockBytes
    (into + used).initializeMemory(
        as: UInt8.self, repeating: 0, count: PanelMatrix.panelBytes(type: type, columns: columns) - used)
}

/// Makes row `row` of a block zero weights.
private func clear(_ row: Int, of block: UnsafeMutableRawPointer, type: WeightType) {
    switch type {
    case .f32: for k in 0..<32 { block.storeBytes(of: 0, toByteOffset: 64 * k + 4 * row, as: UInt32.self) }
    case .bf16, .f16: for k in 0..<32 { block.storeBytes(of: 0, toByteOffset: 32 * k + 2 * row, as: UInt16.self) }
    case .q8: store(QuantBlock(quants: (0, 0, 0, 0), d: 0, m: 0), to: row, of: block, type: type)
    case .q4:
        let eights: UInt64 = 0x0808_0808_0808_0808
        store(QuantBlock(quants: (eights, eights, eights, eights), d: 0, m: 0), to: row, of: block, type: type)
    case .q4m: store(QuantBlock(quants: (0, 0, 0, 0), d: 0, m: 0), to: row, of: block, type: type)
    }
}

/// Copies a whole stored block whose values the type keeps.
private func copy(_ source: UnsafeRawPointer, to row: Int, of block: UnsafeMutableRawPointer, type: WeightType) {
    switch type {
    case .f32:
        for k in 0..<32 {
            let bits = source.loadUnaligned(fromByteOffset: 4 * k, as: UInt32.self)
            block.storeBytes(of: bits, toByteOffset: 64 * k + 4 * row, as: UInt32.self)
        }
    case .bf16, .f16:
        for k in 0..<32 {
            let bits = source.loadUnaligned(fromByteOffset: 2 * k, as: UInt16.self)
            block.storeBytes(of: bits, toByteOffset: 32 * k + 2 * row, as: UInt16.self)
        }
    case .q8, .q4, .q4m: store(storedQuants(source, type: type), to: row, of: block, type: type)
    }
}

/// Copies the first `count` elements of a stored block; the others become zero weights (q4m: nibbles of 0).
private func copyPart(
    _ source: UnsafeRawPointer, count: Int, to row: Int, of block: UnsafeMutableRawPointer, type: WeightType
) {
    var quants = storedQuants(source, type: type)
    let zero: UInt8 = type == .q4 ? 8 : 0
    withUnsafeMutableBytes(of: &quants.quants) { bytes in
        for i in count..<32 { bytes[i] = zero }
    }
    store(quants, to: row, of: block, type: type)
}

/// Rounds the first `count` elements of a stored block to the type; the others count as zeros.
private func convert(
    _ source: UnsafeRawPointer, stored: StoredFormat, count: Int, to row: Int, of block: UnsafeMutableRawPointer,
    type: WeightType
) {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 32) { buffer in
        buffer.initialize(repeating: 0)
        guard let x = buffer.baseAddress else { return }
        dequantizeBlock(source, stored: stored, count: count, into: x)
        switch type {
        case .f32: for k in 0..<32 { block.storeBytes(of: x[k], toByteOffset: 64 * k + 4 * row, as: Float.self) }
        case .bf16:
            for k in 0..<32 { block.storeBytes(of: roundBF16(x[k]), toByteOffset: 32 * k + 2 * row, as: UInt16.self) }
        case .f16:
            for k in 0..<32 { block.storeBytes(of: Float16(x[k]), toByteOffset: 32 * k + 2 * row, as: Float16.self) }
        case .q8: store(.q8(x), to: row, of: block, type: type)
        case .q4: store(.q4(x), to: row, of: block, type: type)
        case .q4m: store(.q4m(x), to: row, of: block, type: type)
        }
    }
}

/// A stored block of integers with its elements in order, a byte each.
@inline(__always)
private func storedQuants(_ source: UnsafeRawPointer, type: WeightType) -> QuantBlock {
    let d = source.loadUnaligned(as: Float16.self)
    if type == .q8 {
        @inline(__always) func eight(_ at: Int) -> UInt64 { source.loadUnaligned(fromByteOffset: at, as: UInt64.self) }
        return QuantBlock(quants: (eight(2), eight(10), eight(18), eight(26)), d: d, m: 0)
    }
    // Byte j holds elements j (low nibble) and j + 16 (high nibble).
    let m = type == .q4m ? source.loadUnaligned(fromByteOffset: 2, as: Float16.self) : 0
    let at = type == .q4m ? 4 : 2
    let nibbles: UInt64 = 0x0f0f_0f0f_0f0f_0f0f
    let first = source.loadUnaligned(fromByteOffset: at, as: UInt64.self)
    let second = source.loadUnaligned(fromByteOffset: at + 8, as: UInt64.self)
    return QuantBlock(
        quants: (first & nibbles, second & nibbles, first >> 4 & nibbles, second >> 4 & nibbles), d: d, m: m)
}

/// Writes a row's quants, scale and minimum where the panel has them.
@inline(__always)
private func store(_ q: QuantBlock, to row: Int, of block: UnsafeMutableRawPointer, type: WeightType) {
    @inline(__always) func put(_ word: UInt64, _ index: Int) {
        if type == .q8 {
            block.storeBytes(of: UInt32(truncatingIfNeeded: word), toByteOffset: 128 * index + 4 * row, as: UInt32.self)
            block.storeBytes(
                of: UInt32(truncatingIfNeeded: word >> 32), toByteOffset: 128 * index + 64 + 4 * row, as: UInt32.self)
        } else {
            block.storeBytes(
                of: UInt32(truncatingIfNeeded: word | word >> 28), toByteOffset: 64 * index + 4 * row, as: UInt32.self)
        }
    }
    put(q.quants.0, 0)
    put(q.quants.1, 1)
    put(q.quants.2, 2)
    put(q.quants.3, 3)
    let scales = type == .q8 ? 512 : 256
    block.storeBytes(of: q.d, toByteOffset: scales + 2 * row, as: Float16.self)
    if type == .q4m { block.storeBytes(of: q.m, toByteOffset: scales + 32 + 2 * row, as: Float16.self) }
}
