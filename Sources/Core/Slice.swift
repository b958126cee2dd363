/// What one worker computes: its stage's layers, its rank's leaves, its rows of the vocabulary.
public struct Slice: Hashable, Sendable {
    /// The stage, counted from 0.
    public var stage: Int
    /// Stages in the plan.
    public var stageCount: Int
    /// The rank in the stage, counted from 0.
    public var rank: Int
    /// The layers of the stage.
    public var layers: Range<Int>
    /// The leaves of every rank of the stage, in rank order; together they are 0..<8.
    public var leavesByRank: [Range<Int>]
    /// The rows of the output matrix of every rank, in rank order. Only the last stage uses them.
    public var vocabularyByRank: [Range<Int>]
    /// How the ranks' memory for KV cache compares, in rank order: ranks that share a KV head divide its slots so.
    public var kvWeightByRank: [Int]

    /// A slice; ranks have the same memory for KV cache unless said otherwise.
    public init(
        stage: Int, stageCount: Int, rank: Int, layers: Range<Int>, leavesByRank: [Range<Int>],
        vocabularyByRank: [Range<Int>], kvWeightByRank: [Int]? = nil
    ) {
        self.stage = stage
        self.stageCount = stageCount
        self.rank = rank
        self.layers = layers
        self.leavesByRank = leavesByRank
        self.vocabularyByRank = vocabularyByRank
        self.kvWeightByRank = kvWeightByRank ?? [Int](repeating: 1, count: leavesByRank.count)
    }

    /// Everything: the slice of the only worker.
    public static func whole(layers: Int, vocabulary: Int) -> Slice {
        Slice(
            stage: 0, stageCount: 1, rank: 0, layers: 0..<layers, leavesByRank: [0..<Leaves.count],
            vocabularyByRank: [0..<vocabulary])
    }

    /// Ranks in the stage.
    public var rankCount: Int { leavesByRank.count }
    /// The leaves of this rank.
    public var leaves: Range<Int> { leavesByRank[rank] }
    /// The rows of the output matrix of this rank.
    public var vocabulary: Range<Int> { vocabularyByRank[rank] }
    /// Whether tokens enter here.
    public var isFirst: Bool { stage == 0 }
    /// Whether logits leave here.
    public var isLast: Bool { stage == stageCount - 1 }
}
