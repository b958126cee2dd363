public import Core

/// A model's dimensions, as far as the cost of computing it depends on them.
public struct ModelShape: Hashable, Sendable {
    /// Decoder layers.
    public var layers: Int
    /// Elements of the residual stream.
    public var hidden: Int
    /// Query heads.
    public var heads: Int
    /// Key and value heads.
    public var kvHeads: Int
    /// Elements of a head.
    public var headDim: Int
    /// Inner size of the feed-forward.
    public var ffn: Int
    /// Rows of the output matrix.
    public var vocabulary: Int
    /// Bytes of a weight in memory, scales included.
    public var weightBytes: Double

    /// A model's dimensions.
    public init(
        layers: Int, hidden: Int, heads: Int, kvHeads: Int, headDim: Int, ffn: Int, vocabulary: Int,
        weightBytes: Double
    ) {
        self.layers = layers
        self.hidden = hidden
        self.heads = heads
        self.kvHeads = kvHeads
        self.headDim = headDim
        self.ffn = ffn
        self.vocabulary = vocabulary
        self.weightBytes = weightBytes
    }

    /// Query heads that read one KV head.
    public var group: Int { heads / kvHeads }

    /// Weights of one layer's matrices: Q, K, V, O, gate, up and down.
    public var layerWeights: Int { hidden * headDim * 2 * (heads + kvHeads) + 3 * hidden * ffn }

    /// Operations of the matrices for one token in all layers: a multiplication and an addition a weight.
    public var linearOperations: Double { 2 * Double(layers) * Double(layerWeights) }

    /// Operations of attention for one query token and one key token in all layers: a score and a weighted value a head.
    public var pairOperations: Double { 4 * Double(layers) * Double(heads * headDim) }
}

/// How fast one worker computes while all workers of its host do.
public struct WorkerRates: Hashable, Sendable {
    /// Operations a second of the matrices over a chunk of a prompt (two a weight and token), all threads together.
    public var products: Double
    /// Operations a second of attention over a chunk of a prompt (4 x head dimension a query head and key), all threads.
    public var attention: Double
    /// Bytes of weights a second that one token's matrices take, all threads together.
    public var read: Double
    /// Operations a second of one token's attention, of one thread: a KV head of one sequence is one thread's work.
    public var decodeAttention: Double

    /// The rates of a worker.
    public init(products: Double, attention: Double, read: Double, decodeAttention: Double) {
        self.products = products
        self.attention = attention
        self.read = read
        self.decodeAttention = decodeAttention
    }
}

/// A way from one worker to another.
public struct Road: Hashable, Sendable {
    /// Bytes a second, each way.
    public var bandwidth: Double
    /// Seconds until a small message is there and its receiver awake.
    public var latency: Double

    /// A way.
    public init(bandwidth: Double, latency: Double) {
        self.bandwidth = bandwidth
        self.latency = latency
    }
}

/// What one worker of a plan computes and holds.
public struct WorkerPart: Hashable, Sendable {
    /// Who.
    public var worker: WorkerID
    /// Its host: workers of one host talk over the short way, and share the long one.
    public var host: String
    /// Compute threads.
    public var threads: Int
    /// Bytes it may use.
    public var memory: Int
    /// How fast it is.
    public var rates: WorkerRates
    /// Layers of its stage.
    public var layers: Int
    /// Its query heads.
    public var heads: Range<Int>
    /// The KV heads that those read.
    public var kvHeads: Range<Int>
    /// Its columns of the feed-forward.
    public var ffn: Int
    /// Its rows of the output matrix; 0 but in the last stage.
    public var vocabulary: Int
    /// Partial sums that it sends to each other rank: the subtrees of its leaves.
    public var roots: Int
    /// The slots of each of its KV heads.
    public var share: KVShare
    /// Bytes of its weights.
    public var weightBytes: Int
    /// Bytes of one page: keys and values of 64 tokens of one KV head in all its layers.
    public var pageBytes: Int

    /// A worker's part.
    public init(
        worker: WorkerID, host: String, threads: Int, memory: Int, rates: WorkerRates, layers: Int, heads: Range<Int>,
        kvHeads: Range<Int>, ffn: Int, vocabulary: Int, roots: Int, share: KVShare, weightBytes: Int, pageBytes: Int
    ) {
        self.worker = worker
        self.host = host
        self.threads = threads
        self.memory = memory
        self.rates = rates
        self.layers = layers
        self.heads = heads
        self.kvHeads = kvHeads
        self.ffn = ffn
        self.vocabulary = vocabulary
        self.roots = roots
        self.share = share
        self.weightBytes = weightBytes
        self.pageBytes = pageBytes
    }

    /// Bytes of KV cache of one sequence of `context` tokens.
    public func kvBytes(context: Int) -> Int { share.capacity(tokens: context) * pageBytes }

    /// Whether weights and the KV cache of one sequence of `context` tokens fit.
    public func fits(context: Int) -> Bool {
        kvBytes(context: context) <= Plan.kvBudget(memory: memory, weightBytes: weightBytes)
    }
}

/// What a grid is predicted to do with one long sequence: time, rates, memory and bytes on the wire.
///
/// A plain value: dimensions and measured rates in, times out. The formulas are those of the work that stages really do
/// (docs/architecture.md): the matrices and attention of a chunk; everything of a stage waits for its slowest rank at each
/// exchange; chunks follow each other through the stages, as many at once as there are stages; in the last layer only
/// keys and values are made for tokens whose logits nobody asked for.
public struct CostModel: Sendable {
    /// The model.
    public let shape: ModelShape
    /// The workers, by stage and rank.
    public let grid: [[WorkerPart]]
    /// Tokens of a step of the prompt.
    public let chunk: Int
    /// The way between two workers of one host.
    public let local: Road
    /// The way between two hosts.
    public let network: Road
    /// Seconds that a step costs besides: the coordinator's message, its answer, waking up.
    public let stepSeconds: Double
    private var costs: [StageCost] = []

    /// Seconds of a stage: for a chunk, for each of its tokens, and for each pair of a query token and a key token.
    private struct StageCost {
        var step: Double
        var token: Double
        var pair: Double
    }

    /// A model on a grid.
    public init(
        shape: ModelShape, grid: [[WorkerPart]], chunk: Int, local: Road, network: Road, stepSeconds: Double
    ) {
        self.shape = shape
        self.grid = grid
        self.chunk = max(1, chunk)
        self.local = local
        self.network = network
        self.stepSeconds = stepSeconds
        costs = grid.indices.map(cost)
    }

    // MARK: Prefill

    /// Seconds from the first token of a prompt of `context` tokens to the first token of the answer.
    public func prefillSeconds(context: Int) -> Double {
        let stages = grid.count
        var free = [Double](repeating: 0, count: stages)
        var ends: [Double] = []
        var start = 0
        while start < context {
            let count = min(chunk, context - start)
            // A step is sent when fewer are under way than there are stages.
            var ready = ends.count >= stages ? ends[ends.count - stages] : 0
            for stage in 0..<stages {
                let begin = max(
                    ready + (stage == 0 ? stepSeconds : boundarySeconds(after: stage - 1, tokens: count)),
                    free[stage])
                ready = begin + chunkSeconds(stage: stage, depth: start, tokens: count)
                free[stage] = ready
            }
            ends.append(ready)
            start += count
        }
        return (ends.last ?? 0) + lastRowSeconds(depth: max(context - 1, 0))
    }

    /// Tokens a second of a steady flow of whole chunks behind `depth` tokens: what the slowest stage lets through.
    public func prefillRate(depth: Int) -> Double {
        let slowest = grid.indices.map { chunkSeconds(stage: $0, depth: depth, tokens: chunk) }.max() ?? 0
        // A grid of one stage waits for the coordinator between two steps.
        return Double(chunk) / (grid.count == 1 ? slowest + stepSeconds : slowest)
    }

    /// Seconds of one stage for `tokens` tokens behind `depth`, its exchanges included.
    func chunkSeconds(stage: Int, depth: Int, tokens: Int) -> Double {
        let pairs = Double(tokens) * Double(depth) + Double(tokens) * Double(tokens + 1) / 2
        return costs[stage].step + Double(tokens) * costs[stage].token + pairs * costs[stage].pair
    }

    /// What a stage takes for a chunk: everybody waits for the slowest rank at each exchange.
    private func cost(stage: Int) -> StageCost {
        let parts = grid[stage]
        let isLast = stage == grid.count - 1
        let layers = Double(parts.first?.layers ?? 0) - (isLast ? 1 : 0)
        func matrices(_ weights: (WorkerPart) -> Int) -> Double {
            parts.map { 2 * Double(weights($0)) / $0.rates.products }.max() ?? 0
        }
        let (qkv, out, ffn) = (matrices(qkvWeights), matrices(outWeights), matrices(ffnWeights))
        let trade = tradeSeconds(stage: stage, tokens: 0)
        let latency = 2 * rootSeconds(stage: stage, tokens: 0, isDivided: division(stage: stage).isDivided) + trade
        let token =
            qkv + out + ffn + sumSecondsOfToken(stage: stage, qkv: qkv, out: out, ffn: ffn)
            + tradeSeconds(stage: stage, tokens: 1) - trade
        let pair = parts.map { pairOperations($0) / $0.rates.attention }.max() ?? 0
        return StageCost(step: layers * latency, token: layers * token + (isLast ? qkv : 0), pair: layers * pair)
    }

    /// The last layer's rest and the output matrix, for the one token whose logits are wanted.
    private func lastRowSeconds(depth: Int) -> Double {
        guard let last = grid.indices.last else { return 0 }
        return layerDecodeSeconds(stage: last, depth: depth) + outputSeconds
    }

    // MARK: Decode

    /// Tokens a second of one sequence that has `depth` tokens.
    public func decodeRate(depth: Int) -> Double {
        var seconds = stepSeconds + outputSeconds
        for stage in grid.indices {
            seconds += Double(grid[stage].first?.layers ?? 0) * layerDecodeSeconds(stage: stage, depth: depth)
            if stage > 0 { seconds += boundarySeconds(after: stage - 1, tokens: 1) }
        }
        return 1 / seconds
    }

    /// Seconds of one layer for one token.
    func layerDecodeSeconds(stage: Int, depth: Int) -> Double {
        let parts = grid[stage]
        func read(_ weights: (WorkerPart) -> Int) -> Double {
            parts.map { Double(weights($0)) * shape.weightBytes / $0.rates.read }.max() ?? 0
        }
        let attention = parts.map { decodeAttentionSeconds($0, stage: stage, depth: depth) }.max() ?? 0
        return read(qkvWeights) + attention + read(outWeights) + read(ffnWeights)
            + 2 * rootSeconds(stage: stage, tokens: 1, isDivided: false) + tradeSeconds(stage: stage, tokens: 1)
    }

    /// Seconds of one layer's attention for one token: the kernel's calls, one for each KV head or subtree of its slots,
    /// spread over the threads.
    private func decodeAttentionSeconds(_ part: WorkerPart, stage: Int, depth: Int) -> Double {
        let keys = Double(depth + 1)
        var loads = [Double](repeating: 0, count: max(1, part.threads))
        let isDivided = !peers(of: part, stage: stage).isEmpty
        let calls = part.share.slots.flatMap { run in
            isDivided ? Slots.subtrees(of: run).map { Double($0.count) } : run.isEmpty ? [] : [Double(run.count)]
        }
        for call in calls.sorted(by: >) {
            guard let least = loads.indices.min(by: { loads[$0] < loads[$1] }) else { continue }
            loads[least] += call / Double(Slots.count)
        }
        let heaviest = loads.max() ?? 0
        return heaviest * keys * Double(4 * shape.group * shape.headDim) / part.rates.decodeAttention
    }

    /// Seconds of the output matrix for one token, and of the logits' way to rank 0.
    private var outputSeconds: Double {
        guard let last = grid.last else { return 0 }
        let product = last.map { Double($0.vocabulary * shape.hidden) * shape.weightBytes / $0.rates.read }.max() ?? 0
        let logits = Self.exchange(last) { from, to in to == 0 && from > 0 ? Double(last[from].vocabulary * 4) : 0 }
        return product + seconds(logits, last)
    }

    // MARK: A rank's share of a layer

    private func qkvWeights(_ part: WorkerPart) -> Int {
        shape.hidden * shape.headDim * (part.heads.count + 2 * part.kvHeads.count)
    }

    private func outWeights(_ part: WorkerPart) -> Int { shape.hidden * shape.headDim * part.heads.count }

    private func ffnWeights(_ part: WorkerPart) -> Int { 3 * shape.hidden * part.ffn }

    /// Operations of one layer's attention for one token of query and one of key, averaged over the slots.
    ///
    /// A rank attends over its slots of a KV head for every query head that reads it, whoever asks.
    private func pairOperations(_ part: WorkerPart) -> Double {
        let slots = part.share.slots.reduce(0) { $0 + $1.count }
        return 4 * Double(shape.group * shape.headDim) * Double(slots) / Double(Slots.count)
    }
}
