/// A worker's KV pool at one moment, in pages of 64 tokens of one KV head in all layers of its stage.
public struct KVUse: Hashable, Sendable {
    /// Pages of the pool.
    public var pages: Int
    /// Pages in use.
    public var used: Int
    /// Of those in use, kept for the next prompt that begins alike; they are given up when their room is wanted.
    public var idle: Int
    /// Of those in use, in a file on its disk because memory is full: slower.
    public var spilled: Int
    /// Bytes of a page.
    public var pageBytes: Int
    /// Places of sequences on its disk (64 tokens each), or nil when it keeps none there.
    public var stored: Int?
    /// By slot, pages in use; empty when nothing is known.
    public var slotPages: [Int]
    /// By slot, how often a sequence began with one of them.
    public var slotReuses: [Int]
    /// What is wrong with its disk, or an empty text.
    public var trouble: String

    /// A pool.
    public init(
        pages: Int = 0, used: Int = 0, idle: Int = 0, spilled: Int = 0, pageBytes: Int = 0, stored: Int? = nil,
        slotPages: [Int] = [],
        slotReuses: [Int] = [], trouble: String = ""
    ) {
        self.pages = pages
        self.used = used
        self.idle = idle
        self.spilled = spilled
        self.pageBytes = pageBytes
        self.stored = stored
        self.slotPages = slotPages
        self.slotReuses = slotReuses
        self.trouble = trouble
    }
}
