/// Which part of every sequence's KV cache a worker holds: for each of its KV heads a run of slots.
///
/// Pages are counted for one KV head; a page of a worker spans all layers of its stage.
public struct KVShare: Hashable, Sendable {
    /// For each KV head that the worker holds, its run of slots; it may be empty.
    public var slots: [Range<Int>]

    /// A share.
    public init(slots: [Range<Int>]) { self.slots = slots }

    /// The share of a worker that holds `kvHeads` KV heads alone.
    public static func whole(kvHeads: Int) -> KVShare {
        KVShare(slots: [Range<Int>](repeating: 0..<Slots.count, count: kvHeads))
    }

    /// The pages that a sequence of `sequencePages` pages takes here.
    public func pages(ofFirst sequencePages: Int) -> Int {
        slots.reduce(0) { $0 + Slots.pages(in: $1, ofFirst: sequencePages) }
    }

    /// Those of places `pages` of one sequence that lie here.
    public func pages(in pages: Range<Int>) -> Int {
        self.pages(ofFirst: pages.upperBound) - self.pages(ofFirst: pages.lowerBound)
    }

    /// The pages of a pool that has room for one sequence of `tokens` tokens.
    public func capacity(tokens: Int) -> Int { pages(ofFirst: Slots.pages(for: tokens)) }

    /// The longest sequence, in tokens and at most `most`, that fits in `pages` pages: whole pages.
    public func tokens(inPages pages: Int, atMost most: Int) -> Int {
        var low = 0
        var high = most / Slots.pageTokens
        while low < high {
            let middle = (low + high + 1) / 2
            if self.pages(ofFirst: middle) <= pages { low = middle } else { high = middle - 1 }
        }
        return low * Slots.pageTokens
    }
}

extension Slots {
    /// Pages of a sequence of `tokens` tokens.
    public static func pages(for tokens: Int) -> Int {
        let (rounded, overflow) = max(tokens, 0).addingReportingOverflow(pageTokens - 1)
        return overflow ? .max / pageTokens : rounded / pageTokens
    }
}
