public import Checkpoint
public import Core
public import KVCache
import Kernels
import Threads

/// One worker's part of the model: some layers, some leaves of each, their KV pages. The forward pass of every process.
///
/// Values have one defined order of operations that no layout changes (docs/kernels.md), so the same tokens give the
/// same bits whether one stage of one rank computes them or many. One thread calls it at a time; it has a team of its own.
public final class Stage: @unchecked Sendable {  // handed from the thread that loads it to the one that runs it
    /// What a step leaves behind.
    public enum Output {
        /// Hidden states [tokens, hidden] for the next stage; valid until the next step.
        case hidden(UnsafeBufferPointer<Float>)
        /// What the last stage found, on its rank 0; elsewhere nothing.
        case results([SegmentResult])
    }

    let configuration: Configuration
    let slice: Slice
    let shares: Shares
    let weights: SliceWeights
    let slots: SlotShares
    let pool: PagePool
    let kvType: KVType
    let team: Team
    let scratch: Scratch
    private let rotary: RotaryTable
    private let embedding: TensorRows?
    private let embeddingFormat: StoredFormat
    /// All columns of the residual stream as one leaf: the tree of every column-parallel product.
    let wholeHidden: ColumnTree
    // What a step works with besides `scratch`: made anew in each, in memory that is allocated once.
    private let batch = Batch()
    /// Rows of the residual stream that are still on their way.
    var arriving: Arriving?
    var pageTables: [PageTable] = []
    var calls: [AttentionCall] = []
    var logits: [Float] = []
    var results: [SegmentResult] = []
    let sampler: Sampler?
    /// What stands before the tokens of sequences whose penalties need it.
    var pasts: [SequenceID: PastTokens] = [:]
    /// The sums of the outputs of sequences whose mean is wanted, and of how many tokens.
    var means: [SequenceID: (sum: [Double], tokens: Int)] = [:]
    /// Tokens from this one on stand for nothing and are never drawn; the whole vocabulary may be unless it is set.
    public var drawableTokens: Int
    /// Where pages are kept on disk, if anywhere.
    public var store: PageStore?

    /// Bytes of packed weights.
    public let weightBytes: Int
    /// Pages in the KV pool: 64 tokens of one KV head each, in all layers of the slice.
    public var kvPages: Int { pool.capacity }
    /// Pages of the KV pool that are in use.
    public var kvPagesUsed: Int { pool.used }
    /// Pages of the KV pool in use that are a file's.
    public var kvPagesSpilled: Int { pool.spilled }
    /// Bytes of a page.
    public var kvPageBytes: Int { pool.pageBytes }

    /// Loads and packs a slice; `progress` hears shares of the whole.
    ///
    /// - Parameters:
    ///   - type: The weights' type in memory; nil keeps what the checkpoint has.
    ///   - kvType: How keys and values are held; nil takes what goes with the weights.
    ///   - kvPages: Pages of the KV pool; see `kvShare` for how many a sequence takes.
    ///   - kvMemoryPages: How many of those are memory, nil for all; the others are a file's in `spillFolder`.
    ///   - cache: Where packed weights may lie already.
    ///   - pins: The processor of each thread, as `Team` takes them.
    public init(
        description: ModelDescription, slice: Slice, source: any TensorSource, type: WeightType?, kvType: KVType? = nil,
        kvPages: Int, kvMemoryPages: Int? = nil, spillFolder: String? = nil, cache: PackedCache? = nil, threads: Int,
        pins: [Int?]? = nil, progress: (Double) -> Void
    ) throws {
        let configuration = description.configuration
        let team = Team(size: threads, name: "glm-compute", pin: pins)
        let control = team.prepareThread()
        defer { Team.restoreThread(control) }
        let shares = Shares(configuration, leaves: slice.leaves)
        slots = SlotShares(
            configuration, leavesByRank: slice.leavesByRank, kvWeightByRank: slice.kvWeightByRank, rank: slice.rank)
        weights = try SliceWeights(
            description, slice: slice, shares: shares, source: source, type: type, cache: cache, team: team,
            progress: progress)
        let kvType = try kvType ?? Self.kvType(description, type: type)
        self.kvType = kvType
        drawableTokens = configuration.vocabulary
        sampler =
            slice.isLast
            ? VocabularyTree(shards: slice.vocabularyByRank).map { Sampler(tree: $0, rank: slice.rank) } : nil
        wholeHidden = .whole(configuration.hidden)
        let names = try TensorNames(configuration: configuration, tensors: description.tensors)
        if slice.isFirst {
            let rows = try source.rows(of: names.embedding.tensor, names.embedding.rows, columns: nil)
            embeddingFormat = try rows.type.format(of: names.embedding.tensor)
            embedding = rows
        } else {
            embeddingFormat = .f32
            embedding = nil
        }
        pool = try PagePool(
            layers: slice.layers.count, share: slots.share,
            halfBytes: KeyValuePage.byteCount(headDim: configuration.headDim, type: kvType),
            boundBytes: KeyValuePage.boundsByteCount(headDim: configuration.headDim), pages: kvPages,
            memoryPages: kvMemoryPages, spillFolder: spillFolder)
        rotary = RotaryTable(
            base: configuration.ropeTheta, rotaryDim: configuration.rotaryDim, scaling: configuration.ropeScaling)
        let group = configuration.heads / configuration.kvHeads
        scratch = try Scratch(
            Scratch.Shape(
                hidden: configuration.hidden, queryWidth: shares.heads.count * configuration.headDim,
                kvWidth: shares.kvHeads.count * configuration.headDim, ffn: shares.ffn.count,
                subtrees: shares.subtrees.count, rotaryPairs: configuration.rotaryDim / 2, threads: team.size,
                attentionRows: max(Self.attentionRows, group), headDim: configuration.headDim,
                sequencePages: Slots.pages(for: configuration.contextLength)))
        self.configuration = configuration
        self.slice = slice
        self.shares = shares
        self.team = team
        weightBytes = weights.byteCount
    }

    /// Writes packed weights that `cache` did not have, so that the next start finds them; from any thread, while steps run.
    ///
    /// The folder keeps three layouts' worth of the model at most.
    public func keepWeights(in cache: PackedCache) throws {
        let limit = 3 * weightBytes * slice.stageCount * slice.rankCount
        for matrix in weights.matrices { try matrix.keep(in: cache, limit: limit) }
    }

    /// Query rows of one call of the attention kernel: enough to repay the conversion of a page, few enough for the cache.
    static let attentionRows = 384

    /// Which part of every sequence's KV cache a slice holds.
    public static func kvShare(_ configuration: Configuration, slice: Slice) -> KVShare {
        SlotShares(
            configuration, leavesByRank: slice.leavesByRank, kvWeightByRank: slice.kvWeightByRank, rank: slice.rank
        ).share
    }

    /// Bytes of one page of a slice: keys and values of 64 tokens of one KV head in all its layers.
    public static func kvPageBytes(_ configuration: Configuration, slice: Slice, kvType: KVType) -> Int {
        slice.layers.count * 2 * KeyValuePage.byteCount(headDim: configuration.headDim, type: kvType)
    }

    /// How keys and values are held unless another type is asked for: it follows from the model and the weights' type alone, never from the slice.
    public static func kvType(_ description: ModelDescription, type: WeightType?) throws -> KVType {
        if let type { return KVType(weights: type) }
        let names = try TensorNames(configuration: description.configuration, tensors: description.tensors)
        let tensor = names.down(0).tensor
        guard let stored = description.tensors[tensor]?.type else {
            throw Problem.invalid("tensor \(tensor) is missing")
        }
        return KVType(weights: try stored.format(of: tensor).weightType)
    }

    /// Runs one step: tokens in at the first stage, hidden states elsewhere; hidden states or results out.
    ///
    /// - Parameter input: The stage before's hidden states [tokens, hidden]; nil in the first stage.
    public func run(_ step: Step, input: UnsafePointer<Float>?, collective: any Collective) throws -> Output {
        let control = team.prepareThread()
        defer { Team.restoreThread(control) }
        for decision in step.changes { try change(decision) }
        defer { batch.clear() }
        // A step that failed may have left some behind.
        arriving = nil
        try batch.lay(step, configuration: configuration)
        try scratch.reserve(tokens: max(batch.tokens.count, 1))
        for segment in step.segments {
            try pool.extend(
                segment.sequence, start: segment.start, count: segment.tokens.count, guessed: segment.guesses)
        }
        for (index, segment) in step.segments.enumerated() where segment.attention == .sparse {
            batch.parts[index].unbounded = try pool.pagesWithoutBounds(of: segment.sequence)
        }
        if batch.tokens.isEmpty { return slice.isLast ? .results([]) : .hidden(hidden(tokens: 0)) }
        try begin(batch, input: input)
        let pairs = configuration.rotaryDim / 2
        for (row, position) in batch.positions.enumerated() {
            rotary.angles(position: position, into: scratch.cosines + row * pairs, scratch.sines + row * pairs)
        }
        layPageTables(batch)
        for layer in weights.layers.indices {
            // The last layer's attention output and feed-forward are computed only where logits are asked for.
            let isEnd = slice.isLast && layer == weights.layers.count - 1
            try runLayer(layer, batch: batch, rows: isEnd ? batch.wanted : batch.rows, collective: collective)
        }
        try arrive(collective)
        guard slice.isLast else { return .hidden(hidden(tokens: batch.tokens.count)) }
        return .results(try finish(batch, collective: collective))
    }

    private func hidden(tokens: Int) -> UnsafeBufferPointer<Float> {
        UnsafeBufferPointer(start: scratch.x, count: tokens * configuration.hidden)
    }

    /// Fills the residual stream from the embedding or the stage before.
    private func begin(_ batch: Batch, input: UnsafePointer<Float>?) throws {
        let hidden = configuration.hidden
        if let embedding {
            for (row, token) in batch.tokens.enumerated() {
                dequantize(
                    embedding.base + Int(token) * embedding.rowStride, stored: embeddingFormat, columns: hidden,
                    into: scratch.x + row * hidden)
            }
        } else if let input {
            scratch.x.update(from: input, count: batch.tokens.count * hidden)
        } else {
            throw Problem.failed("stage \(slice.stage) got no hidden states from the stage before")
        }
    }
}
