/// Consecutive pages of the KV cache, named by the sequence that computed them and by their place in it.
///
/// A page keeps its name for life, whoever reads it: sequences that begin alike share pages, and a page's place in every
/// sequence is the same.
public struct PageRun: Hashable, Sendable {
    /// The sequence that made them.
    public var creator: SequenceID
    /// Their places, counted from the sequence's beginning.
    public var pages: Range<Int>

    /// Pages `pages` that `creator` made.
    public init(_ creator: SequenceID, _ pages: Range<Int>) {
        self.creator = creator
        self.pages = pages
    }
}

/// What a page holds, as a hash: of the model and its cache's type, of all tokens before the page, and of its own.
///
/// Equal keys mean equal bits of K and V, on every layout and after every restart.
public struct PageKey: Hashable, Comparable, Sendable {
    /// The first eight bytes.
    public var high: UInt64
    /// The last eight bytes.
    public var low: UInt64

    /// A key of two halves.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Orders them for lists.
    public static func < (a: PageKey, b: PageKey) -> Bool { (a.high, a.low) < (b.high, b.low) }
}

/// The first tokens of a page that another sequence made, to be copied into a page of one's own.
public struct PageCopy: Hashable, Sendable {
    /// The sequence that made the page.
    public var creator: SequenceID
    /// The page's place.
    public var page: Int
    /// How many of its tokens are valid in the copy, 1 to 63.
    public var tokens: Int

    /// A copy.
    public init(_ creator: SequenceID, page: Int, tokens: Int) {
        self.creator = creator
        self.page = page
        self.tokens = tokens
    }
}

/// What happens to the KV cache between two steps: the router decides, every worker does, in this order.
public enum KVChange: Hashable, Sendable {
    /// A sequence begins with pages that are there, and perhaps with the copy of part of one more.
    case open(SequenceID, prefix: [PageRun], copy: PageCopy?)
    /// A sequence is over; its pages stay until they are dropped.
    case close(SequenceID)
    /// Pages are free. Those that a worker does not hold are nothing to it.
    case drop(PageRun)
    /// Pages are to be written to disk when there is time; they have these keys, and their places begin at `first`.
    case store([PageRun], first: Int, keys: [PageKey])
    /// Pages of these keys are to be read from disk and become those that an open sequence makes next, from place `first`.
    case restore(SequenceID, first: Int, keys: [PageKey])
    /// A sequence that was restored keeps only its first `pages` pages: what came after them was damaged.
    case cut(SequenceID, pages: Int)
}
