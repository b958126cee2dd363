import Core
import GLM
import Synchronization
import Threads

/// How fast the workers of this host compute, measured on stages of a few layers; of the slowest worker, in 10^9 a second.
///
/// Of several runs the best of each kind counts: machines are shared, and the best run is the least disturbed.
struct HostSpeed {
    /// Operations of matrices in prefill.
    var products: Double
    /// Operations of attention in prefill.
    var attention: Double
    /// Bytes of weights in decode.
    var read: Double
    /// Operations of attention in decode, of one thread.
    var decodeAttention: Double

    /// So many that little of their weights is left in a cache when its turn comes again.
    private static let layers = 3
    private static let rounds = 5
    /// Tokens of a chunk: a step's, unless somebody wants it otherwise.
    private static let chunk = 512

    /// Measures `workers` stages of `threads` threads each, at the same time.
    static func measure(
        _ configuration: Configuration, type: WeightType, kvType: KVType, workers: Int, threads: Int,
        places: WorkerPlaces, depth: Int
    ) throws -> HostSpeed {
        let c = configuration
        let source = try SyntheticWeights(c, layers: layers, type: type)
        // Enough queries that every thread has some calls of the kernel.
        let queries = max(64, 16 * threads)
        let room = depth + chunk + rounds * (queries + Subject.answerTokens) + 2 * Slots.pageTokens
        let kvBytes = room * layers * 2 * c.kvHeads * kvType.byteCount(headDim: c.headDim)
        let needs = workers * (kvBytes + (1 << 30))
        guard Topology.memoryAvailable() > needs else {
            throw Problem.unavailable(
                "measuring takes up to \(Terminal.bytes(needs)) of memory, \(Terminal.bytes(Topology.memoryAvailable())) are free; use a smaller --depth"
            )
        }
        let subjects = try together(workers, places) { index in
            let pins = places[index].flatMap { $0.sharers == 1 ? $0.pins(threads: threads) : nil }
            return try Subject(source, type: type, kvType: kvType, threads: threads, pins: pins, room: room)
        }
        let times = try together(workers, places) {
            try subjects[$0].measure(rounds: rounds, depth: depth, chunk: chunk, queries: queries)
        }
        let weightBytes = Double(subjects.first?.stage.weightBytes ?? 0)

        let layer = c.hidden * c.headDim * 2 * (c.heads + c.kvHeads) + 3 * c.hidden * c.ffn
        let operations = 2 * Double(chunk) * Double(layer * layers)
        let pair = 4 * Double(c.heads * c.headDim * layers)
        // In decode a KV head is one thread's work: this share of them is the busiest thread's.
        let busiest = Double((c.kvHeads + threads - 1) / threads) / Double(c.kvHeads)
        func slowest(_ rate: (Times) -> Double) -> Double { (times.map(rate).min() ?? 0) / 1e9 }
        return HostSpeed(
            products: slowest { operations / $0.matrices(chunk: chunk) }, attention: slowest { pair / $0.pair },
            read: slowest { weightBytes / $0.token }, decodeAttention: slowest { pair * busiest / $0.key })
    }

    /// Runs `body` for all workers at once, a thread each, at their places.
    private static func together<T: Sendable>(
        _ workers: Int, _ places: WorkerPlaces, _ body: @escaping @Sendable (Int) throws -> T
    ) throws -> [T] {
        let results = Results<T>(count: workers)
        let threads = (0..<workers).map { index in
            Thread(name: "bench-\(index)") {
                for refused in places[index]?.apply() ?? [] { Terminal.note("worker \(index): \(refused)") }
                results.set(index, Result { try body(index) })
            }
        }
        for thread in threads { thread.join() }
        return try results.all()
    }

    /// What each thread found.
    private final class Results<T: Sendable>: Sendable {
        private let found: Mutex<[Result<T, any Error>?]>

        init(count: Int) { found = Mutex([Result<T, any Error>?](repeating: nil, count: count)) }

        func set(_ index: Int, _ result: Result<T, any Error>) { found.withLock { $0[index] = result } }

        func all() throws -> [T] { try found.withLock { try $0.compactMap { try $0?.get() } } }
    }
}

/// The best times of one worker, in seconds.
private struct Times {
    /// A chunk at the beginning of a sequence.
    var chunk = Double.infinity
    /// Attention of one query token over one key token, in a chunk.
    var pair = Double.infinity
    /// One token at the beginning.
    var token = Double.infinity
    /// Attention of one token over one key token.
    var key = Double.infinity

    /// A chunk without its attention.
    func matrices(chunk count: Int) -> Double {
        max(chunk - pair * Double(count) * Double(count + 1) / 2, chunk / 10)
    }
}

/// A stage that one thread at a time measures.
private final class Subject: @unchecked Sendable {
    static let answerTokens = 12

    let stage: Stage
    private let collective = SoloCollective()
    private var steps: UInt64 = 0

    init(_ source: SyntheticWeights, type: WeightType, kvType: KVType, threads: Int, pins: [Int?]?, room: Int)
        throws
    {
        // The first of two stages: every layer is computed whole, and no logits.
        let c = source.description.configuration
        let slice = Slice(
            stage: 0, stageCount: 2, rank: 0, layers: 0..<c.layers, leavesByRank: [0..<Leaves.count],
            vocabularyByRank: [0..<c.vocabulary])
        stage = try Stage(
            description: source.description, slice: slice, source: source, type: type, kvType: kvType,
            kvPages: KVShare.whole(kvHeads: c.kvHeads).capacity(tokens: room), threads: threads, pins: pins,
            progress: { _ in })
    }

    /// Chunks, queries and single tokens at the beginning and behind `depth` tokens, in turns: the difference is attention's.
    func measure(rounds: Int, depth: Int, chunk: Int, queries: Int) throws -> Times {
        let deep = SequenceID(1)
        let shallow = SequenceID(2)
        try stage.fillSynthetically(deep, tokens: depth)
        var position = depth
        var best = Times()
        var few = Double.infinity
        // Per key token: the sequence grows a little from round to round.
        var queriesPerKey = Double.infinity
        var tokenPerKey = Double.infinity
        for _ in 0..<rounds {
            best.chunk = min(best.chunk, try next(chunk, of: shallow, at: 0))
            try release(shallow)
            few = min(few, try next(queries, of: shallow, at: 0))
            try release(shallow)
            best.token = min(best.token, try median { try next(1, of: shallow, at: $0) })
            try release(shallow)
            queriesPerKey = min(queriesPerKey, try next(queries, of: deep, at: position) / Double(position))
            position += queries
            let start = position
            tokenPerKey = min(tokenPerKey, try median { try next(1, of: deep, at: start + $0) / Double(start + $0) })
            position += Self.answerTokens
        }
        try release(deep)
        best.pair = max(queriesPerKey - few / Double(depth), 1e-12) / Double(queries)
        best.key = max(tokenPerKey - best.token / Double(depth), 1e-12)
        return best
    }

    /// Single tokens vary most.
    private func median(_ body: (Int) throws -> Double) rethrows -> Double {
        try (0..<Self.answerTokens).map(body).sorted()[Self.answerTokens / 2]
    }

    private func release(_ sequence: SequenceID) throws {
        steps += 1
        let step = Step(
            number: steps, epoch: 1, changes: [.close(sequence), .drop(PageRun(sequence, 0..<Int.max))], segments: [])
        _ = try stage.run(step, input: nil, collective: collective)
    }

    /// The seconds that the next `count` tokens of a sequence take.
    private func next(_ count: Int, of sequence: SequenceID, at start: Int) throws -> Double {
        steps += 1
        let tokens = (0..<count).map { TokenID((start + $0) &* 7919 % 256) }
        let step = Step(
            number: steps, epoch: 1,
            segments: [Segment(sequence: sequence, start: start, tokens: tokens, output: .none)])
        let begin = ContinuousClock.now
        _ = try stage.run(step, input: nil, collective: collective)
        return begin.duration(to: .now) / .seconds(1)
    }
}
