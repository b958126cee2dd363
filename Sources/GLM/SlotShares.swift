import Core

/// How the ranks of a stage divide attention: by query heads, and where several ranks' query heads read one KV head, by slots.
///
/// All ranks that need a KV head hold a run of its slots each. Every one attends for the query heads of all, over its own pages,
/// and the partial results meet where the query heads belong (design section 3).
struct SlotShares: Sendable {
    /// The query heads of each rank.
    let heads: [Range<Int>]
    /// The KV heads of which each rank holds slots.
    let kvHeads: [Range<Int>]
    /// For each rank and each of its KV heads, its run of slots.
    let slots: [[Range<Int>]]
    /// This rank.
    let rank: Int
    private let group: Int

    /// The division that the ranks' leaves and their memory for KV cache give.
    init(_ configuration: Configuration, leavesByRank: [Range<Int>], kvWeightByRank: [Int], rank: Int) {
        let shares = leavesByRank.map { Shares(configuration, leaves: $0) }
        self.rank = rank
        group = configuration.heads / configuration.kvHeads
        heads = shares.map(\.heads)
        let kvHeads = shares.map(\.kvHeads)
        self.kvHeads = kvHeads
        var slots = kvHeads.map { [Range<Int>](repeating: 0..<0, count: $0.count) }
        for head in 0..<configuration.kvHeads {
            let holders = kvHeads.indices.filter { kvHeads[$0].contains(head) }
            let weights = holders.map { Double(kvWeightByRank[$0]) / Double(kvHeads[$0].count) }
            for (holder, run) in zip(holders, Slots.runs(weights: weights)) {
                slots[holder][head - kvHeads[holder].lowerBound] = run
            }
        }
        self.slots = slots
    }

    /// What this rank holds of every sequence.
    var share: KVShare { KVShare(slots: slots[rank]) }

    /// The ranks that hold slots of KV head `head`.
    func holders(of head: Int) -> [Int] { kvHeads.indices.filter { kvHeads[$0].contains(head) } }

    /// Whether any KV head of the stage is held by more than one rank.
    var isDivided: Bool { (kvHeads.last?.upperBound ?? 0) > 0 && kvHeads.indices.contains { !peers(of: $0).isEmpty } }

    /// The ranks that share a KV head with this one.
    var peers: [Int] { peers(of: rank) }

    private func peers(of rank: Int) -> [Int] {
        kvHeads.indices.filter { $0 != rank && kvHeads[$0].overlaps(kvHeads[rank]) }
    }

    /// The query heads of `rank` that read KV head `head`.
    func heads(of rank: Int, reading head: Int) -> Range<Int> {
        (head * group..<(head + 1) * group).clamped(to: heads[rank])
    }

    /// The run of slots of KV head `head` that `rank` holds.
    func run(of rank: Int, head: Int) -> Range<Int> { slots[rank][head - kvHeads[rank].lowerBound] }
}
