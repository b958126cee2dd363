/// The fixed eight-way cut of a row-parallel matrix along K.
///
/// A leaf is a share of the query heads, or of the feed-forward's columns; a rank owns a run of leaves. Each leaf's
/// partial sum is computed alone and the eight are added in one balanced binary tree, whoever owns them, so the sum
/// has the same bits for every number of ranks. An empty leaf adds nothing (not a zero).
public enum Leaves {
    /// How many leaves there are, whatever the layout.
    public static let count = 8

    /// The units (whole heads, whole quantisation blocks) of leaf `leaf` when there are `units` in all.
    public static func units(of leaf: Int, in units: Int) -> Range<Int> {
        leaf * units / count..<(leaf + 1) * units / count
    }

    /// The units of a run of leaves.
    public static func units(of leaves: Range<Int>, in units: Int) -> Range<Int> {
        leaves.lowerBound * units / count..<leaves.upperBound * units / count
    }

    /// The complete subtrees that a run of leaves is made of, in order: aligned runs whose length is a power of two.
    ///
    /// A rank sends one partial sum for each; 3 ranks of 3, 3 and 2 leaves own {0-1, 2}, {3, 4-5} and {6-7}.
    public static func subtrees(of leaves: Range<Int>) -> [Range<Int>] {
        completeSubtrees(of: leaves, count: count)
    }

    /// Contiguous runs of leaves for ranks with these weights (memory, say): every rank gets at least one.
    public static func runs(weights: [Double]) -> [Range<Int>] {
        precondition(!weights.isEmpty && weights.count <= count)
        let total = weights.reduce(0, +)
        var runs: [Range<Int>] = []
        var at = 0
        var sum = 0.0
        for (rank, weight) in weights.enumerated() {
            sum += weight
            let left = weights.count - rank - 1
            let ideal = total > 0 ? Int((sum / total * Double(count)).rounded()) : (rank + 1) * count / weights.count
            let end = left == 0 ? count : min(max(ideal, at + 1), count - left)
            runs.append(at..<end)
            at = end
        }
        return runs
    }
}

/// The aligned runs, of power-of-two length, that `run` is made of, in a balanced tree over `count` items.
private func completeSubtrees(of run: Range<Int>, count: Int) -> [Range<Int>] {
    var roots: [Range<Int>] = []
    var at = run.lowerBound
    while at < run.upperBound {
        var size = count
        while at % size != 0 || at + size > run.upperBound { size /= 2 }
        roots.append(at..<at + size)
        at += size
    }
    return roots
}

/// The fixed 64-way cut of a sequence's KV cache.
///
/// Page p (64 tokens) belongs to slot bitreverse6(p mod 64), so that every run of slots gets evenly striped pages.
/// Attention is computed slot by slot and merged in the balanced binary tree over the 64 slots.
public enum Slots {
    /// How many slots there are, whatever the layout.
    public static let count = 64
    /// Tokens in a page.
    public static let pageTokens = 64

    /// The slot of page `page` of a sequence.
    public static func slot(ofPage page: Int) -> Int { reverse(page % count) }

    /// The first page of slot `slot`; the others follow at steps of `count`.
    public static func firstPage(ofSlot slot: Int) -> Int { reverse(slot) }

    /// The complete subtrees of the tree over the slots that a run of slots is made of, in order.
    public static func subtrees(of slots: Range<Int>) -> [Range<Int>] { completeSubtrees(of: slots, count: count) }

    /// Cuts the slots into contiguous runs for holders of these weights; a light one may get none.
    public static func runs(weights: [Double]) -> [Range<Int>] {
        let total = weights.reduce(0, +)
        var sum = 0.0
        var at = 0
        return weights.indices.map { index in
            sum += weights[index]
            let end = index == weights.count - 1 || total <= 0 ? count : Int((sum / total * Double(count)).rounded())
            defer { at = end }
            return at..<end
        }
    }

    /// How many of a sequence's first `pages` pages lie in `slots`.
    public static func pages(in slots: Range<Int>, ofFirst pages: Int) -> Int {
        let cycles = pages / count
        var found = cycles * slots.count
        for page in cycles * count..<pages where slots.contains(slot(ofPage: page)) { found += 1 }
        return found
    }

    /// The six low bits of `x`, mirrored.
    static func reverse(_ x: Int) -> Int {
        var y = 0
        for bit in 0..<6 where x & (1 << bit) != 0 { y |= 1 << (5 - bit) }
        return y
    }
}
