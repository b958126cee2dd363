import Core
import Kernels
import Threads

/// Answers questions about rows of logits that are divided over the ranks of a stage. The same logits, options and position
/// draw the same token, wherever and whenever, however the vocabulary is divided.
///
/// One is used for step after step, so that its lists are allocated once.
final class Sampler {
    private let tree: VocabularyTree
    private let rank: Int
    /// The rows of the step, and of steps that had more.
    private var rows: [RowDraw] = []
    private var count = 0
    private var writer = WordWriter()
    private var readers: [WordReader] = []

    /// The sampler of rank `rank`, whose part of the vocabulary the tree tells.
    init(tree: VocabularyTree, rank: Int) {
        self.tree = tree
        self.rank = rank
    }

    /// Asks one more question about a row of logits, of which `logits` is this rank's part; every rank asks the same.
    ///
    /// - Parameter drawable: Tokens from this one on are never drawn.
    func ask(_ question: RowQuestion, logits: UnsafeBufferPointer<Float>, drawable: Int) {
        if count == rows.count { rows.append(RowDraw(rank: rank, tree: tree)) }
        rows[count].ask(question, logits: logits, drawable: drawable)
        count += 1
    }

    /// Hands the answer to every question to `hear`, in the order in which they were asked; the same on every rank. The team's members share
    /// the rows.
    func answer(_ collective: any Collective, team: Team, _ hear: (ScoredToken) -> Void) throws {
        defer {
            for row in 0..<count { rows[row].forget() }
            count = 0
        }
        while rows[..<count].contains(where: { $0.answer == nil }) {
            if count == 1 {
                rows[0].prepare()
            } else {
                team.run { for row in team.share(of: count, rank: $0) { rows[row].prepare() } }
            }
            writer.clear()
            for row in 0..<count { rows[row].write(to: &writer) }
            try writer.words.withUnsafeBufferPointer { own in
                let told = try trade(own, collective)
                readers.removeAll(keepingCapacity: true)
                for shard in tree.shards.indices {
                    readers.append(WordReader(shard == rank ? own : told[shard < rank ? shard : shard - 1]))
                }
                for row in 0..<count { rows[row].read(from: &readers) }
            }
        }
        for row in 0..<count {
            if let answer = rows[row].answer { hear(answer) }
        }
    }

    /// Tells the other ranks this one's words and returns theirs, in order.
    private func trade(
        _ own: UnsafeBufferPointer<Float>, _ collective: any Collective
    ) throws -> [UnsafeBufferPointer<Float>] {
        if tree.shards.count == 1 { return [] }
        let others = tree.shards.indices.filter { $0 != rank }
        return try collective.trade(
            .draws,
            others.map { other in
                let expected = rows[..<count].reduce(0) { $0 + $1.wordCount(of: other) }
                return Parcel(rank: other, values: own, expected: expected)
            })
    }

    /// A number in 0..<1 that depends on seed and position alone, so that a replay draws the same.
    ///
    /// - Source: the mixing function of SplitMix64 (Steele, Lea, Flood 2014), applied to both in turn.
    static func uniform(seed: UInt64, position: Int) -> Double {
        func mix(_ value: UInt64) -> UInt64 {
            var z = value &+ 0x9e37_79b9_7f4a_7c15
            z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
            return z ^ (z >> 31)
        }
        return Double(mix(mix(seed) ^ UInt64(bitPattern: Int64(position))) >> 11) * 0x1p-53
    }
}
