import ArgumentParser
import Checkpoint
import Cluster
import Coordinator
import Core
import FoundationEssentials
import GLM

/// `glm plan`: what a cluster of given hosts would do with one long context, before anybody starts it.
struct PlanCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Predict memory, time and speed of a model on given hosts, for every grid worth trying.",
        discussion: """
            Wide stages (many ranks) answer fast: a token's work is divided. Many stages read fast once: chunks of the prompt \
            follow each other. Both are shown.
            """)

    @Option(help: "glm-4-9b-chat, glm-4-9b-chat-1m, glm-4-9b-0414, or a path to a model.")
    var model: String

    @Option(help: "The file of hosts: YAML, as glm bench host prints it (docs/operations.md).")
    var hosts: String

    @Option(help: "Tokens of the context; all that the model takes unless given.")
    var context: Int?

    @Option(help: "Weights in memory: f32, bf16, f16, q8 or q4; as stored (a named model: bf16) unless given.")
    var type: String?

    @Option(
        name: .customLong("kv-type"),
        help:
            "Keys and values in memory: f32, f16, q8 or q4; f32 beside float weights and f16 beside others unless given."
    )
    var kvTypeName: String?

    @Option(help: "Only this grid, worker by worker: stages x ranks.")
    var layout: String?

    @Option(help: "Tokens in one step of the prompt.")
    var chunk = 512

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let file = try HostsFile(path: hosts)
        let description = try ModelDimensions.description(model, storedAs: .bf16)
        let configuration = description.configuration
        let context = context ?? configuration.contextLength
        guard 1...configuration.contextLength ~= context else {
            throw Problem.invalid(
                "--context \(context): the model takes 1 to \(configuration.contextLength) tokens")
        }
        guard 1...65_536 ~= chunk else { throw Problem.invalid("--chunk \(chunk): use 1 to 65536") }
        let weightType = try type.map { name in
            guard let found = WeightType(name: name), found.isRoundedTo else {
                throw Problem.invalid("--type \(name) is unknown; use f32, bf16, f16, q8 or q4")
            }
            return found
        }
        let kvType = try kvTypeName.map { try KVType(flag: $0) } ?? Stage.kvType(description, type: weightType)
        let cluster = try PlannedCluster(
            file, description: description, type: weightType, kvType: kvType, chunk: chunk)
        let grids =
            if let layout { [try cluster.grid(try Layout(layout), context: context)] } else {
                try cluster.grids(context: context)
            }
        let report = PlanReport(
            model: configuration.name, context: context, chunk: chunk, type: weightType?.name ?? "as stored",
            kvType: kvType.name, hosts: file.hostCount, workers: file.workerCount, assumed: cluster.assumed,
            grids: grids)
        Terminal.write(json ? try report.json() : report.page(placed: layout != nil))
    }
}

/// The hosts of a file as workers with offers and rates, and what grids of them would do.
struct PlannedCluster {
    /// What no measurement said.
    let assumed: [String]
    private let offers: [Offer]
    private let rates: [WorkerID: WorkerRates]
    private let description: ModelDescription
    private let needs: ModelNeeds
    private let kvType: KVType
    private let chunk: Int
    private let network: Road

    /// Between two workers of one host: what two processes here exchange over ipc.
    private static let local = Road(bandwidth: 1.5e9, latency: 60e-6)
    /// The coordinator's part of a step.
    private static let stepSeconds = 300e-6

    /// The workers of `file`, for a model whose weights are held as `type`, or as stored.
    init(
        _ file: HostsFile, description: ModelDescription, type: WeightType?, kvType: KVType, chunk: Int
    ) throws {
        self.description = description
        self.kvType = kvType
        self.chunk = chunk
        needs = ModelNeeds(description, type: type)
        let held = type ?? Self.heldType(description)
        var assumed: [String] = []
        var offers: [Offer] = []
        var rates: [WorkerID: WorkerRates] = [:]
        for (number, kind) in file.hosts.enumerated() {
            var missing: [String] = []
            let found = kind.rates.rates(weights: held, kvType: kvType, threads: kind.threads) { missing.append($0) }
            if !missing.isEmpty {
                assumed.append("\(kind.name) (\(kind.threads) threads): \(missing.joined(separator: ", "))")
            }
            for host in 0..<kind.count {
                let name = "\(Self.padded(number))-\(kind.name)-\(Self.padded(host))"
                for worker in 0..<kind.workers {
                    let id = WorkerID(kind.workers > 1 ? "\(name)/\(Self.padded(worker))" : name)
                    offers.append(
                        Offer(worker: id, memory: kind.memory / kind.workers, threads: kind.threads, host: name))
                    rates[id] = found
                }
            }
        }
        if file.hostCount > 1 {
            if file.bandwidth == nil { assumed.append("network: bandwidth 0.12 GB/s, which is 1 Gbit/s") }
            if file.latency == nil { assumed.append("network: latency 100 microseconds") }
        }
        network = Road(bandwidth: file.bandwidth ?? 0.12e9, latency: file.latency ?? 100e-6)
        self.assumed = assumed
        self.offers = offers
        self.rates = rates
    }

    /// Names sort like the file's order, and so does the plan.
    private static func padded(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 3 - digits.count)) + digits
    }

    /// The type that most of the bytes are stored as.
    private static func heldType(_ description: ModelDescription) -> WeightType {
        let bytes = Dictionary(grouping: description.tensors.values, by: \.type)
            .mapValues { $0.reduce(0) { $0 + ($1.byteCount ?? 0) } }
        switch bytes.max(by: { ($0.value, $0.key.rawValue) < ($1.value, $1.key.rawValue) })?.key {
        case .bf16: return .bf16
        case .f16: return .f16
        case .q8_0: return .q8
        case .q4_0: return .q4
        case .q4_1: return .q4m
        case .q5_0: return .q5
        case .q5_1: return .q5m
        case .q4_k: return .q4k
        case .q5_k: return .q5k
        case .q6_k: return .q6k
        default: return .f32
        }
    }

    /// The grids that use the most workers: one for each number of ranks.
    func grids(context: Int) throws -> [PlannedGrid] {
        let layers = description.configuration.layers
        return try (1...min(Leaves.count, offers.count)).map { ranks in
            try grid(Layout(stages: min(offers.count / ranks, layers), ranks: ranks), context: context)
        }
    }

    /// What `layout` would do.
    func grid(_ layout: Layout, context: Int) throws -> PlannedGrid {
        let plan = try Plan(epoch: 1, layout: layout, dividedOver: offers, needs: needs)
        let byID = Dictionary(uniqueKeysWithValues: offers.map { ($0.worker, $0) })
        let none = WorkerRates(products: 1, attention: 1, read: 1, decodeAttention: 1)
        let parts = plan.parts(description.configuration, kvType: kvType) { id in
            (byID[id] ?? Offer(worker: id, memory: 0, threads: 1), rates[id] ?? none)
        }
        let model = CostModel(
            shape: ModelShape(description.configuration, needs: needs), grid: parts, chunk: chunk, local: Self.local,
            network: network, stepSeconds: Self.stepSeconds)
        return PlannedGrid(layout: layout, plan: plan, model: model, context: context)
    }
}
