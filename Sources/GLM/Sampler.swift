import Core
import Kernels

/// Answers questions about rows of logits that are divided over the ranks of a stage. The same logits, options and position
/// draw the same token, wherever and whenever, however the vocabulary is divided.
struct Sampler {
    let tree: VocabularyTree
    let rank: Int
    /// Tokens from this one on are never drawn.
    let drawable: Int

    /// The answers, in order, on every rank.
    ///
    /// - Parameters:
    ///   - logits: This rank's part of each row.
    ///   - collective: Every rank calls this with the same questions.
    func answers(
        _ questions: [RowQuestion], logits: [UnsafeBufferPointer<Float>], collective: any Collective
    ) throws -> [ScoredToken] {
        var rows = zip(questions, logits).map {
            RowDraw($0, logits: $1, rank: rank, tree: tree, drawable: drawable)
        }
        while rows.contains(where: { $0.answer == nil }) {
            var writer = WordWriter()
            for row in rows.indices { rows[row].write(to: &writer) }
            let own = writer.words
            try own.withUnsafeBufferPointer { own in
                let others = tree.shards.indices.filter { $0 != rank }
                let parcels = others.map { other in
                    Parcel(rank: other, values: own, expected: rows.reduce(0) { $0 + $1.wordCount(of: other) })
                }
                let told = try others.isEmpty ? [] : collective.trade(.draws, parcels)
                var readers = [WordReader](repeating: WordReader(own), count: tree.shards.count)
                for (other, words) in zip(others, told) { readers[other] = WordReader(words) }
                for row in rows.indices { rows[row].read(from: &readers) }
            }
        }
        return rows.compactMap(\.answer)
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
