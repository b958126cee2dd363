public import Core

/// The KV pages of one worker: where each sequence's keys and values lie.
///
/// A page group holds 64 tokens of one sequence for all layers and KV heads of the slice:
/// [layers][KV heads][key page, value page]. Groups are all of one size, so the pool never fragments; it never holds
/// more than `capacity` groups. One thread uses it at a time.
public final class PagePool {
    /// Page groups in all.
    public let capacity: Int
    /// Page groups in use.
    public var used: Int { next - free.count }
    /// Tokens held, over all sequences.
    public private(set) var tokens = 0

    private struct Entry {
        var groups: [Int] = []
        var length = 0
    }

    private let region: MemoryRegion
    private let groupBytes: Int
    private let layerBytes: Int
    private let pageBytes: Int
    private var free: [Int] = []
    private var next = 0
    private var sequences: [SequenceID: Entry] = [:]

    /// A pool of `capacity` page groups; `pageBytes` is the size of one layer's keys (or values) of one KV head.
    public init(layers: Int, kvHeads: Int, pageBytes: Int, capacity: Int) throws {
        self.capacity = capacity
        self.pageBytes = pageBytes
        layerBytes = kvHeads * 2 * pageBytes
        groupBytes = layers * layerBytes
        region = try MemoryRegion(byteCount: groupBytes * capacity)
    }

    /// Tokens held of `sequence`.
    public func length(of sequence: SequenceID) -> Int { sequences[sequence]?.length ?? 0 }

    /// Makes room for `count` more tokens of `sequence`, which must follow those held.
    ///
    /// A gap or a repetition is a fault of the sender, never to be smoothed over: it throws.
    public func extend(_ sequence: SequenceID, start: Int, count: Int) throws {
        var entry = sequences[sequence] ?? Entry()
        guard start == entry.length else {
            throw Problem.failed(
                "sequence \(sequence.number): expected position \(entry.length), got \(start); a step was lost or repeated"
            )
        }
        let wanted = (start + count + Slots.pageTokens - 1) / Slots.pageTokens
        guard wanted - entry.groups.count <= capacity - used else {
            throw Problem.failed(
                "the KV pool is full: \(capacity * Slots.pageTokens) tokens, \(wanted - entry.groups.count) more pages wanted, "
                    + "\(capacity - used) free")
        }
        while entry.groups.count < wanted {
            if let group = free.popLast() {
                entry.groups.append(group)
            } else {
                entry.groups.append(next)
                next += 1
            }
        }
        entry.length += count
        tokens += count
        sequences[sequence] = entry
    }

    /// Frees the pages of `sequence`; unknown ones are none.
    public func release(_ sequence: SequenceID) {
        guard let entry = sequences.removeValue(forKey: sequence) else { return }
        free.append(contentsOf: entry.groups)
        tokens -= entry.length
    }

    /// Frees everything.
    public func releaseAll() {
        for sequence in sequences.keys.sorted() { release(sequence) }
    }

    /// Page groups of `sequence`.
    public func pageCount(of sequence: SequenceID) -> Int { sequences[sequence]?.groups.count ?? 0 }

    /// Writes the addresses of the sequence's key and value pages of one layer and KV head, in page order.
    public func pages(
        of sequence: SequenceID, layer: Int, kvHead: Int, keys: UnsafeMutablePointer<UnsafeMutableRawPointer>,
        values: UnsafeMutablePointer<UnsafeMutableRawPointer>
    ) {
        guard let entry = sequences[sequence] else { return }
        let offset = layer * layerBytes + kvHead * 2 * pageBytes
        for (index, group) in entry.groups.enumerated() {
            let key = region.base + group * groupBytes + offset
            keys[index] = key
            values[index] = key + pageBytes
        }
    }
}
