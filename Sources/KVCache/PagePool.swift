public import Core

/// The KV pages of one worker: where each sequence's keys and values lie.
///
/// A page here holds 64 tokens of one KV head of one sequence, for all layers of the slice: [layers][keys, values]. Of
/// every sequence the pool holds the pages whose slots its share names. Pages are all of one size, so the pool never
/// fragments; it never holds more than `capacity`. One thread uses it at a time.
public final class PagePool {
    /// Pages in all.
    public let capacity: Int
    /// Pages in use.
    public var used: Int { next - free.count }
    /// Tokens of all sequences, whichever worker holds their pages.
    public private(set) var tokens = 0

    private struct Entry {
        /// By KV head and page of the sequence; -1 where another worker holds the page.
        var pages: [[Int]]
        var count = 0
        var length = 0
    }

    private let share: KVShare
    private let region: MemoryRegion
    private let blockBytes: Int
    private let pageBytes: Int
    private var free: [Int] = []
    private var next = 0
    private var sequences: [SequenceID: Entry] = [:]

    /// A pool with room for a sequence of `tokens` tokens; `pageBytes` is the size of one layer's keys (or values) of one
    /// KV head.
    public init(layers: Int, share: KVShare, pageBytes: Int, tokens: Int) throws {
        self.share = share
        capacity = share.capacity(tokens: tokens)
        self.pageBytes = pageBytes
        blockBytes = layers * 2 * pageBytes
        region = try MemoryRegion(byteCount: blockBytes * capacity)
    }

    /// Tokens held of `sequence`.
    public func length(of sequence: SequenceID) -> Int { sequences[sequence]?.length ?? 0 }

    /// Makes room for `count` more tokens of `sequence`, which must follow those held.
    ///
    /// A gap or a repetition is a fault of the sender, never to be smoothed over: it throws.
    public func extend(_ sequence: SequenceID, start: Int, count: Int) throws {
        var entry = sequences[sequence] ?? Entry(pages: [[Int]](repeating: [], count: share.slots.count))
        guard start == entry.length else {
            throw Problem.failed(
                "sequence \(sequence.number): expected position \(entry.length), got \(start); a step was lost or repeated"
            )
        }
        let wanted = Slots.pages(for: start + count)
        let more = share.pages(ofFirst: wanted) - share.pages(ofFirst: entry.count)
        guard more <= capacity - used else {
            throw Problem.failed("the KV pool is full: \(capacity) pages, \(more) more wanted, \(capacity - used) free")
        }
        for page in entry.count..<max(wanted, entry.count) {
            let slot = Slots.slot(ofPage: page)
            for (head, run) in share.slots.enumerated() { entry.pages[head].append(run.contains(slot) ? take() : -1) }
        }
        entry.count = max(wanted, entry.count)
        entry.length += count
        tokens += count
        sequences[sequence] = entry
    }

    private func take() -> Int {
        if let page = free.popLast() { return page }
        next += 1
        return next - 1
    }

    /// Frees the pages of `sequence`; unknown ones are none.
    public func release(_ sequence: SequenceID) {
        guard let entry = sequences.removeValue(forKey: sequence) else { return }
        for pages in entry.pages { free.append(contentsOf: pages.lazy.filter { $0 >= 0 }) }
        tokens -= entry.length
    }

    /// Frees everything.
    public func releaseAll() {
        for sequence in sequences.keys.sorted() { release(sequence) }
    }

    /// Pages of `sequence`, held here or elsewhere.
    public func pageCount(of sequence: SequenceID) -> Int { sequences[sequence]?.count ?? 0 }

    /// Writes the addresses of the sequence's key and value pages of one layer and KV head, in page order.
    ///
    /// A page that another worker holds has the pool's first address, which nobody may use.
    public func pages(
        of sequence: SequenceID, layer: Int, kvHead: Int, keys: UnsafeMutablePointer<UnsafeMutableRawPointer>,
        values: UnsafeMutablePointer<UnsafeMutableRawPointer>
    ) {
        guard let entry = sequences[sequence] else { return }
        let offset = layer * 2 * pageBytes
        for (index, page) in entry.pages[kvHead].enumerated() {
            let key = page < 0 ? region.base : region.base + page * blockBytes + offset
            keys[index] = key
            values[index] = key + pageBytes
        }
    }
}
