// Stored rows into a panel. Where the type in memory corresponds to the stored format no value changes; otherwise rows
// become floats and are rounded to the type: bf16 and f16 to nearest even, integers by the reference quantisers.

public import Core

/// Packs up to 16 stored rows into the panel at `into`; rows past `rowCount` become zero weights.
///
/// - Shapes: `source` is the first byte of row 0 at the stored block that holds the first wanted column, which comes
///   `skippedBlocks` blocks of 32 after that block's first; rows are `rowStride` bytes apart; `into` has
///   `PanelMatrix.panelBytes(type:columns:skippedBlocks:)` bytes.
/// - Needs: `rowCount` <= 16; a type that is rounded to (`WeightType.isRoundedTo`), or the one that corresponds to the format.
///   Any address is fine. A partial last block counts as padded with zeros.
public func packPanel(
    into: UnsafeMutableRawPointer, type: WeightType, from source: UnsafeRawPointer, rowStride: Int, rowCount: Int,
    stored: StoredFormat, skippedBlocks: Int = 0, columns: Int
) {
    let blocks = blockCount(columns)
    let skipped = type.factorBytes == 0 ? 0 : skippedBlocks
    clearEnds(into, type: type, skippedBlocks: skipped, columns: columns)
    let parts = stored.blockColumns / 32
    // Block by block, so that the strided stores of a block stay in the L1 cache.
    for b in 0..<blocks {
        let offsets = type.offsets(ofBlock: b + skipped)
        let block = PanelBlock(type: type, base: into + offsets.block, factors: into + offsets.superblock)
        let first = source + (b + skippedBlocks) / parts * stored.blockBytes
        let part = (b + skippedBlocks) % parts
        let count = min(32, columns - 32 * b)
        let isSame = stored.weightType == type
        for row in 0..<PanelMatrix.panelRows {
            let element = first + row * rowStride
            if row >= rowCount {
                block.clear(row)
            } else if isSame && count == 32 {
                block.copy(element, part: part, stored: stored, to: row)
            } else if isSame && type.isInteger {
                block.copyPart(element, part: part, stored: stored, count: count, to: row)
            } else {
                block.convert(element, part: part, stored: stored, count: count, to: row)
            }
        }
    }
}

/// Zeroes what no block of a panel covers: the end of its last cache line, or blocks of superblocks that are no columns.
private func clearEnds(_ panel: UnsafeMutableRawPointer, type: WeightType, skippedBlocks: Int, columns: Int) {
    let end = skippedBlocks + blockCount(columns)
    let size = PanelMatrix.panelBytes(type: type, columns: columns, skippedBlocks: skippedBlocks)
    if skippedBlocks > 0 {
        panel.initializeMemory(as: UInt8.self, repeating: 0, count: type.offsets(ofBlock: 8).superblock)
    }
    let last = type.offsets(ofBlock: max(end - 1, 0)).superblock
    let from = type.factorBytes > 0 ? last : end * type.panelBlockBytes
    (panel + from).initializeMemory(as: UInt8.self, repeating: 0, count: size - from)
}

/// A block of a panel that is being written.
private struct PanelBlock {
    let type: WeightType
    let base: UnsafeMutableRawPointer
    /// Of its superblock, where the type has them.
    let factors: UnsafeMutableRawPointer

    /// Makes a row zero weights.
    func clear(_ row: Int) {
        switch type {
        case .f32: for k in 0..<32 { base.storeBytes(of: 0, toByteOffset: 64 * k + 4 * row, as: UInt32.self) }
        case .bf16, .f16: for k in 0..<32 { base.storeBytes(of: 0, toByteOffset: 32 * k + 2 * row, as: UInt16.self) }
        default: store(.zeros(type), to: row)
        }
    }

    /// Copies 32 stored elements, part `part` of a stored block, whose values the type keeps.
    func copy(_ source: UnsafeRawPointer, part: Int, stored: StoredFormat, to row: Int) {
        switch type {
        case .f32:
            for k in 0..<32 {
                let bits = source.loadUnaligned(fromByteOffset: 4 * k, as: UInt32.self)
                base.storeBytes(of: bits, toByteOffset: 64 * k + 4 * row, as: UInt32.self)
            }
        case .bf16, .f16:
            for k in 0..<32 {
                let bits = source.loadUnaligned(fromByteOffset: 2 * k, as: UInt16.self)
                base.storeBytes(of: bits, toByteOffset: 32 * k + 2 * row, as: UInt16.self)
            }
        default: store(QuantBlock(source, part: part, stored: stored), to: row)
        }
    }

    /// Copies the first `count` of 32 stored elements; the others become zero weights (with a minimum: quants of 0).
    func copyPart(_ source: UnsafeRawPointer, part: Int, stored: StoredFormat, count: Int, to row: Int) {
        var block = QuantBlock(source, part: part, stored: stored)
        withUnsafeBytes(of: QuantBlock.zeros(type).quants) { zeros in
            withUnsafeMutableBytes(of: &block.quants) { bytes in
                for i in count..<32 { bytes[i] = zeros[i] }
            }
        }
        store(block, to: row)
    }

    /// Rounds the first `count` of 32 stored elements to the type; the others count as zeros.
    func convert(_ source: UnsafeRawPointer, part: Int, stored: StoredFormat, count: Int, to row: Int) {
        withUnsafeTemporaryAllocation(of: Float.self, capacity: 32) { buffer in
            buffer.initialize(repeating: 0)
            guard let x = buffer.baseAddress else { return }
            dequantizeBlock(source, part: part, stored: stored, count: count, into: x)
            switch type {
            case .f32: for k in 0..<32 { base.storeBytes(of: x[k], toByteOffset: 64 * k + 4 * row, as: Float.self) }
            case .bf16:
                for k in 0..<32 {
                    base.storeBytes(of: roundBF16(x[k]), toByteOffset: 32 * k + 2 * row, as: UInt16.self)
                }
            case .f16:
                for k in 0..<32 { base.storeBytes(of: Float16(x[k]), toByteOffset: 32 * k + 2 * row, as: Float16.self) }
            case .q8: store(.q8(x), to: row)
            case .q4: store(.q4(x), to: row)
            case .q4m: store(.q4m(x), to: row)
            case .q5, .q5m, .q4k, .q5k, .q6k: preconditionFailure("no weights are rounded to \(type.name)")
            }
        }
    }

    /// Writes a row's quants, scales and minima where the panel has them.
    @inline(__always)
    private func store(_ q: QuantBlock, to row: Int) {
        put(q.quants.0, 0, row)
        put(q.quants.1, 1, row)
        put(q.quants.2, 2, row)
        put(q.quants.3, 3, row)
        switch type {
        case .q8, .q4: put(q.d, 0, row)
        case .q4m:
            put(q.d, 0, row)
            put(q.m, 1, row)
        case .q5:
            putFifthBits(q, row)
            put(q.d, 0, row)
        case .q5m:
            putFifthBits(q, row)
            put(q.d, 0, row)
            put(q.m, 1, row)
        default:
            if type == .q5k { putFifthBits(q, row) }
            if type == .q6k { putLastTwoBits(q, row) }
            base.storeBytes(of: q.small.0, toByteOffset: type.quantBytes + row, as: UInt8.self)
            base.storeBytes(of: q.small.1, toByteOffset: type.quantBytes + 16 + row, as: UInt8.self)
            factors.storeBytes(of: q.d, toByteOffset: 2 * row, as: Float16.self)
            if type != .q6k { factors.storeBytes(of: q.m, toByteOffset: 32 + 2 * row, as: Float16.self) }
        }
    }

    /// Columns 8 index ..< 8 index + 8: bytes, or the low four bits of smaller quants.
    @inline(__always)
    private func put(_ word: UInt64, _ index: Int, _ row: Int) {
        if type == .q8 {
            base.storeBytes(of: UInt32(truncatingIfNeeded: word), toByteOffset: 128 * index + 4 * row, as: UInt32.self)
            base.storeBytes(
                of: UInt32(truncatingIfNeeded: word >> 32), toByteOffset: 128 * index + 64 + 4 * row, as: UInt32.self)
        } else {
            let low = word & 0x0f0f_0f0f_0f0f_0f0f
            base.storeBytes(
                of: UInt32(truncatingIfNeeded: low | low >> 28), toByteOffset: 64 * index + 4 * row, as: UInt32.self)
        }
    }

    /// A half-precision number of a row; 16 numbers from one index to the next.
    @inline(__always)
    private func put(_ number: Float16, _ index: Int, _ row: Int) {
        base.storeBytes(of: number, toByteOffset: type.quantBytes + 32 * index + 2 * row, as: Float16.self)
    }

    @inline(__always)
    private func putFifthBits(_ q: QuantBlock, _ row: Int) {
        @inline(__always) func bits(_ word: UInt64) -> UInt32 {
            let each = word >> 4 & 0x0101_0101_0101_0101
            return UInt32(truncatingIfNeeded: each | each >> 31)
        }
        let all = bits(q.quants.0) | bits(q.quants.1) << 2 | bits(q.quants.2) << 4 | bits(q.quants.3) << 6
        base.storeBytes(of: all, toByteOffset: 256 + 4 * row, as: UInt32.self)
    }

    @inline(__always)
    private func putLastTwoBits(_ q: QuantBlock, _ row: Int) {
        @inline(__always) func bits(_ word: UInt64) -> UInt32 {
            let each = word >> 4 & 0x0303_0303_0303_0303
            return UInt32(truncatingIfNeeded: each | each >> 30)
        }
        base.storeBytes(
            of: bits(q.quants.0) | bits(q.quants.1) << 4, toByteOffset: 256 + 4 * row, as: UInt32.self)
        base.storeBytes(
            of: bits(q.quants.2) | bits(q.quants.3) << 4, toByteOffset: 320 + 4 * row, as: UInt32.self)
    }
}
