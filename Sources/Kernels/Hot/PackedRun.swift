// The walk over a panel's blocks of integer weights: see `Panels` for what lies where.

import CLinux

/// The blocks of a panel one after another, `B` bits a weight.
///
/// `K` says what is beside the quants. 0: a scale for each row, and 2^(B-1) was added to the quants that are less than a byte.
/// 1: scale and minimum. 2: scale and minimum, small, times the superblock's factors. 3: two small scales, of columns 0..<16
/// and 16..<32, times the superblock's factor, and 2^(B-1) was added to the quants.
struct PackedRun<let B: Int, let K: Int> {
    /// Quants, then scales.
    private(set) var block: UnsafeRawPointer
    /// Of the superblock: f16 factors for scales, then for minima.
    private(set) var factors: UnsafeRawPointer
    /// Blocks from here to the end of the superblock.
    let left: Int

    /// From block `index` of a panel on; blocks that are skipped count.
    @inline(__always)
    init(panel: UnsafeRawPointer, index: Int) {
        guard K >= 2 else {
            block = panel + index &* Self.blockBytes
            factors = panel
            left = 8
            return
        }
        factors = panel + index / 8 &* (Self.factorBytes &+ 8 &* Self.blockBytes)
        block = factors + (Self.factorBytes &+ index % 8 &* Self.blockBytes)
        left = 8 &- index % 8
    }

    /// Bytes of a block's quants.
    @inline(__always)
    static var quantBytes: Int { 64 * B }
    /// Bytes of a block.
    @inline(__always)
    static var blockBytes: Int { 64 * B + (K == 1 ? 64 : 32) }
    /// Bytes before a superblock's blocks.
    @inline(__always)
    static var factorBytes: Int { K == 2 ? 64 : K == 3 ? 32 : 0 }
    /// Whether something is added besides the product with the scale.
    @inline(__always)
    static var hasMinima: Bool { K == 1 || K == 2 }

    /// Those of some panels, from the first on, that one token's product reads two at a time. Two streams of memory are faster than one,
    /// and the activations are loaded once for both; quants of a byte, which need no unpacking, are faster in one.
    @inline(__always)
    static func pairs(of panels: Range<Int>) -> Range<Int> {
        panels.lowerBound..<(B == 8 ? panels.lowerBound : panels.upperBound &- panels.count % 2)
    }

    /// The block's scales.
    @inline(__always)
    var scales: UnsafeRawPointer { block + 64 &* B }

    /// How far ahead lines are asked for while `tokens` tokens pass each block: the processor itself does not see far enough then. Where
    /// two or three pass it does, and memory sets the pace: 0.
    @inline(__always)
    static func bytesAhead(tokens: Int) -> Int { tokens < 4 ? 0 : blockBytes &* max(8, 64 / tokens) }

    /// Asks for the lines of the block that lies so many bytes, unless 0, ahead.
    @inline(__always)
    func ask(bytesAhead: Int) {
        if bytesAhead == 0 { return }
        for line in 0...B { clinux_prefetch(block + (bytesAhead &+ 64 &* line)) }
    }

    /// Goes on to the next block, of the next superblock when this was the last one.
    @inline(__always)
    mutating func advance(isLast: Bool) {
        block += Self.blockBytes
        guard K >= 2, isLast else { return }
        factors = block
        block += Self.factorBytes
    }

    /// Takes a block off `left`, as many as are left of a superblock in all runs that are read together; true when it was the last.
    @inline(__always)
    static func isLast(_ left: inout Int) -> Bool {
        guard K >= 2 else { return false }
        left &-= 1
        if left > 0 { return false }
        left = 8
        return true
    }
}
