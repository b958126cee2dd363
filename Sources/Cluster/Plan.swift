public import Core

/// Who computes what: a slice for every place of the grid, under an epoch.
///
/// The same offers always give the same plan, so a worker that returns gets the slice it had.
public struct Plan: Hashable, Sendable {
    /// One place of the grid.
    public struct Place: Hashable, Sendable {
        /// Who.
        public var worker: WorkerID
        /// What.
        public var slice: Slice
        /// About how many bytes of weights that is.
        public var weightBytes: Int
    }

    /// The plan's number; a later plan has a higher one.
    public var epoch: UInt32
    /// The grid.
    public var layout: Layout
    /// The places, by stage and rank.
    public var places: [[Place]]

    /// Every place, stage by stage.
    public var allPlaces: [Place] { places.flatMap(\.self) }

    /// The place of `worker`, when it has one.
    public func place(of worker: WorkerID) -> Place? { allPlaces.first { $0.worker == worker } }

    /// Divides a model over the first `layout.workers` of the offers.
    ///
    /// Layers go to stages, and leaves to ranks, in proportion to memory; the output matrix counts as some of the layers that
    /// it weighs, so that the last stage is not the slowest. Workers are taken by host and name.
    public init(epoch: UInt32, layout: Layout, offers: [Offer], needs: ModelNeeds) throws {
        self = try Plan(epoch: epoch, layout: layout, dividedOver: offers, needs: needs)
        for place in allPlaces {
            guard let offer = offers.first(where: { $0.worker == place.worker }), place.weightBytes > offer.memory
            else { continue }
            throw Problem.invalid(
                "layout \(layout) does not fit: worker \(place.worker) would hold \(bytesInWords(place.weightBytes)) of weights and offers \(bytesInWords(offer.memory)); add workers or use a smaller --type"
            )
        }
    }

    /// The same division whether or not the weights fit.
    public init(epoch: UInt32, layout: Layout, dividedOver offers: [Offer], needs: ModelNeeds) throws {
        try Self.check(layout, needs)
        let sorted = offers.sorted { ($0.host, $0.worker) < ($1.host, $1.worker) }
        guard sorted.count >= layout.workers else {
            throw Problem.unavailable(
                "layout \(layout) takes \(layout.workers) workers, \(sorted.count) are here; start \(layout.workers - sorted.count) more"
            )
        }
        let grid = (0..<layout.stages).map { stage in
            Array(sorted[stage * layout.ranks..<(stage + 1) * layout.ranks])
        }
        let layers = Self.layers(grid.map { stage in stage.reduce(0.0) { $0 + Double(max($1.memory, 1)) } }, needs)
        self.epoch = epoch
        self.layout = layout
        places = grid.enumerated().map { stage, workers in
            let weights = workers.map { Double(max($0.memory, 1)) }
            let leaves = Leaves.runs(weights: weights)
            let vocabulary = Self.vocabularyRuns(rows: needs.vocabulary, weights: weights)
            var slice = Slice(
                stage: stage, stageCount: layout.stages, rank: 0, layers: layers[stage], leavesByRank: leaves,
                vocabularyByRank: vocabulary)
            let bytes = workers.indices.map { rank in
                slice.rank = rank
                return Self.weightBytes(slice, needs)
            }
            slice.kvWeightByRank = Self.kvWeights(zip(workers, bytes).map { $0.kvBytes(besideWeights: $1) })
            return workers.enumerated().map { rank, offer in
                slice.rank = rank
                return Place(worker: offer.worker, slice: slice, weightBytes: bytes[rank])
            }
        }
    }

    /// How many stages compute at once: fewer than there are when a host has more compute threads than processors.
    ///
    /// Such a host runs as many of its stages at a time as its processors have room for, at least one.
    public func stagesAtOnce(offer: (WorkerID) -> Offer?) -> Int {
        var hosts: [String: (processors: Int, threadsByStage: [Int: Int])] = [:]
        for (stage, places) in places.enumerated() {
            for place in places {
                guard let offer = offer(place.worker), let processors = offer.processors else { continue }
                hosts[offer.host, default: (processors, [:])].threadsByStage[stage, default: 0] += offer.threads
            }
        }
        let waiting = hosts.values.reduce(0) { sum, host in
            let most = host.threadsByStage.values.max() ?? 1
            let room = max(host.processors / max(most, 1), 1)
            return sum + max(host.threadsByStage.count - room, 0)
        }
        return max(layout.stages - waiting, 1)
    }

    /// Bytes for KV cache of a worker with so much memory and weights: a tenth of what is left stays free for activations
    /// and messages.
    public static func kvBudget(memory: Int, weightBytes: Int) -> Int { max(0, memory - weightBytes) / 10 * 9 }

    /// Chooses the grid itself, for `--layout auto`.
    ///
    /// It takes as many of the workers as form a grid; of the grids, first those that hold no KV head twice, the ones
    /// with most ranks (fastest for one stream) before those with more stages; then those with more ranks than KV heads,
    /// fewest first.
    public init(epoch: UInt32, choosingFor offers: [Offer], needs: ModelNeeds) throws {
        var first: Problem?
        for count in stride(from: offers.count, through: 1, by: -1) {
            for layout in Self.grids(of: count, needs) {
                do {
                    self = try Plan(epoch: epoch, layout: layout, offers: offers, needs: needs)
                    return
                } catch let problem as Problem {
                    first = first ?? problem
                }
            }
        }
        throw first ?? Problem.unavailable("no worker is here; start one with glm worker")
    }

    /// The grids of exactly `count` workers, best first.
    static func grids(of count: Int, _ needs: ModelNeeds) -> [Layout] {
        (1...Leaves.count).filter { count % $0 == 0 && count / $0 <= needs.layers }
            .map { Layout(stages: count / $0, ranks: $0) }
            .sorted { a, b in
                let (aFits, bFits) = (a.ranks <= needs.kvHeads, b.ranks <= needs.kvHeads)
                return aFits == bFits ? (aFits ? a.ranks > b.ranks : a.ranks < b.ranks) : aFits
            }
    }

    /// Refuses a grid that the model cannot be cut into.
    public static func check(_ layout: Layout, _ needs: ModelNeeds) throws {
        guard layout.stages >= 1, layout.ranks >= 1 else {
            throw Problem.invalid("layout \(layout) has no workers; use at least 1x1")
        }
        guard layout.stages <= needs.layers else {
            throw Problem.invalid(
                "layout \(layout) has \(layout.stages) stages, the model has \(needs.layers) layers; use at most \(needs.layers) stages"
            )
        }
        guard layout.ranks <= Leaves.count else {
            throw Problem.invalid(
                "layout \(layout) has \(layout.ranks) ranks a stage, at most \(Leaves.count) are possible; use more stages"
            )
        }
    }

    /// Layers of each stage for stages of so much memory: at least one each.
    ///
    /// A prompt's tokens never meet the output matrix and an answer's meet all of it, so no division is best for both: of several, this
    /// is the one whose slowest stages of either kind take least together.
    static func layers(_ memory: [Double], _ needs: ModelNeeds) -> [Range<Int>] {
        let output = needs.layerBytes > 0 ? Double(needs.outputBytes) / Double(needs.layerBytes) : 0
        let divisions = [1, 0.75, 0.5, 0.25, 0].map { divided(needs.layers, memory, output: output * $0) }
        func fits(_ counts: [Int]) -> Bool {
            zip(counts, memory).enumerated().allSatisfy { stage, part in
                let output = stage == memory.count - 1 ? needs.outputBytes : 0
                let embedding = stage == 0 ? needs.embeddingBytes : 0
                return Double(part.0 * needs.layerBytes + output + embedding) <= part.1
            }
        }
        func slowest(_ counts: [Int], output: Double) -> Double {
            let times = zip(counts, memory).enumerated().map { stage, part in
                (Double(part.0) + (stage == memory.count - 1 ? output : 0)) / part.1
            }
            return (times.max() ?? 0) / (Double(needs.layers) + output)
        }
        func cost(_ counts: [Int]) -> Double { slowest(counts, output: 0) + slowest(counts, output: output) }
        let best = divisions.filter(fits).min { cost($0) < cost($1) }
        var at = 0
        return (best ?? divisions[0]).map { count in
            at += count
            return at - count..<at
        }
    }

    /// So many layers in proportion to memory, when the last stage has besides what weighs as many layers as `output` says.
    private static func divided(_ layers: Int, _ memory: [Double], output: Double) -> [Int] {
        let fill = (Double(layers) + output) / max(memory.reduce(0, +), 1)
        var counts: [Int] = []
        var given = 0
        var ideal = 0.0
        for (stage, bytes) in memory.enumerated() {
            let stagesLeft = memory.count - stage - 1
            ideal += fill * bytes
            let end = stagesLeft == 0 ? layers : Int(ideal.rounded())
            counts.append(min(max(end - given, 1), layers - given - stagesLeft))
            given += counts[stage]
        }
        return counts
    }

    /// Runs of whole 1,024-row segments; with fewer segments than ranks some ranks have none.
    static func vocabularyRuns(rows: Int, weights: [Double]) -> [Range<Int>] {
        let segment = 1024
        let segments = (rows + segment - 1) / segment
        let total = weights.reduce(0, +)
        var at = 0
        var sum = 0.0
        return weights.enumerated().map { rank, weight in
            sum += weight
            let share = rank == weights.count - 1 ? segments : Int((sum / total * Double(segments)).rounded())
            let end = max(at, min(share * segment, rows))
            defer { at = end }
            return at..<end
        }
    }

    /// How the memory for KV cache of a stage's ranks compares, in sixteenths of the largest: small differences are none.
    static func kvWeights(_ bytes: [Int]) -> [Int] {
        let largest = max(bytes.max() ?? 0, 1)
        return bytes.map { max(1, Int((Double($0) / Double(largest) * 16).rounded())) }
    }

    /// About how many bytes of weights a slice has.
    static func weightBytes(_ slice: Slice, _ needs: ModelNeeds) -> Int {
        var bytes = needs.layerBytes / Leaves.count * slice.leaves.count * slice.layers.count
        if slice.isFirst { bytes += needs.embeddingBytes }
        if slice.isLast, needs.vocabulary > 0 {
            bytes += Int(Double(needs.outputBytes) * Double(slice.vocabulary.count) / Double(needs.vocabulary))
        }
        return bytes
    }
}
