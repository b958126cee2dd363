public import Core

/// Which sequences have room in the KV cache, and which wait for it.
///
/// A plain value that counts whole pages. Every worker has room for its part of one sequence as long as the capacity; since
/// ranks that share a KV head hold different slots, each worker's pages are counted by its share. A sequence reserves what it may come to need, so that nothing that was started has to stop.
/// Those that wait are taken in the order in which they came: a long one is not starved by short ones behind it.
public struct Router: Sendable {
    /// Tokens that fit, or nil while there is no plan: then everybody waits.
    public private(set) var capacity: Int?
    /// How many sequences may wait.
    public let longestQueue: Int
    /// How the workers divide every sequence; workers that divide it alike are counted once.
    private var shares: [KVShare] = []
    /// Pages in use, by share.
    private var used: [Int] = []
    private var held: [SequenceID: Int] = [:]
    private var queue: [(sequence: SequenceID, pages: Int)] = []

    /// No room yet.
    public init(longestQueue: Int = 10_000) { self.longestQueue = longestQueue }

    /// Tokens' worth of pages that are reserved.
    public var reserved: Int { held.values.reduce(0, +) * Slots.pageTokens }
    /// How many sequences wait.
    public var waiting: Int { queue.count }

    /// Asks room for `tokens` tokens of `sequence`: now, or later, when the result of another call names it.
    ///
    /// - Throws: a problem with the figures when it can never fit, or when too many wait.
    /// - Returns: the sequences that have room now, in order.
    public mutating func place(_ sequence: SequenceID, tokens: Int) throws -> [SequenceID] {
        let needed = Self.pages(for: tokens)
        if let capacity { try Self.check(needed, capacity) }
        guard queue.count < longestQueue else {
            throw Problem.unavailable("\(queue.count) jobs wait already; try again later")
        }
        queue.append((sequence, needed))
        return admitted()
    }

    /// Gives back what `sequence` held or waited for; returns the sequences that have room now.
    public mutating func free(_ sequence: SequenceID) -> [SequenceID] {
        if let pages = held.removeValue(forKey: sequence) {
            for (index, share) in shares.enumerated() { used[index] -= share.pages(ofFirst: pages) }
        } else {
            queue.removeAll { $0.sequence == sequence }
        }
        return admitted()
    }

    /// A plan with pools of so many tokens begins, or ends (nil): what was held is gone.
    ///
    /// - Returns: who has room now, and who never will.
    public mutating func replan(
        capacity: Int?, shares: [KVShare]
    ) -> (admitted: [SequenceID], refused: [(SequenceID, Problem)]) {
        self.capacity = capacity
        self.shares = Set(shares).sorted { $0.slots.description < $1.slots.description }
        used = [Int](repeating: 0, count: self.shares.count)
        held = [:]
        var refused: [(SequenceID, Problem)] = []
        if let capacity {
            for entry in queue {
                do { try Self.check(entry.pages, capacity) } catch { refused.append((entry.sequence, error)) }
            }
            let never = Set(refused.map(\.0))
            queue.removeAll { never.contains($0.sequence) }
        }
        return (admitted(), refused)
    }

    private mutating func admitted() -> [SequenceID] {
        guard let capacity else { return [] }
        var now: [SequenceID] = []
        while let next = queue.first {
            let wanted = shares.map { $0.pages(ofFirst: next.pages) }
            let fits = shares.indices.allSatisfy {
                used[$0] + wanted[$0] <= shares[$0].pages(ofFirst: capacity / Slots.pageTokens)
            }
            guard fits else { break }
            queue.removeFirst()
            held[next.sequence] = next.pages
            for index in shares.indices { used[index] += wanted[index] }
            now.append(next.sequence)
        }
        return now
    }

    private static func pages(for tokens: Int) -> Int {
        let (rounded, overflow) = max(tokens, 1).addingReportingOverflow(Slots.pageTokens - 1)
        return overflow ? Int.max / Slots.pageTokens : rounded / Slots.pageTokens
    }

    private static func check(_ needed: Int, _ capacity: Int) throws(Problem) {
        let has = capacity / Slots.pageTokens
        guard needed > has else { return }
        throw .invalid(
            "the job needs KV cache for \(needed * Slots.pageTokens) tokens (prompt and answer), the cluster has \(has * Slots.pageTokens); shorten the prompt, ask for fewer tokens, or give the workers more memory"
        )
    }
}
