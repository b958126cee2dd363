public import Core

/// Which sequences have room in the KV cache, and which wait for it.
///
/// A plain value that counts whole pages: every worker holds the same positions of every sequence, so the smallest pool
/// decides for all. A sequence reserves what it may come to need, so that nothing that was started has to stop.
/// Those that wait are taken in the order in which they came: a long one is not starved by short ones behind it.
public struct Router: Sendable {
    /// Tokens that fit, or nil while there is no plan: then everybody waits.
    public private(set) var capacity: Int?
    /// How many sequences may wait.
    public let longestQueue: Int
    private var pages: Int { (capacity ?? 0) / Slots.pageTokens }
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
        if held.removeValue(forKey: sequence) == nil { queue.removeAll { $0.sequence == sequence } }
        return admitted()
    }

    /// A plan with pools of so many tokens begins, or ends (nil): what was held is gone.
    ///
    /// - Returns: who has room now, and who never will.
    public mutating func replan(capacity: Int?) -> (admitted: [SequenceID], refused: [(SequenceID, Problem)]) {
        self.capacity = capacity
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
        var free = pages - held.values.reduce(0, +)
        var now: [SequenceID] = []
        while let next = queue.first, next.pages <= free {
            queue.removeFirst()
            held[next.sequence] = next.pages
            free -= next.pages
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
