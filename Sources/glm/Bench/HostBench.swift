import ArgumentParser
import Checkpoint
import Core
import FoundationEssentials
import GLM
import Threads

/// `glm bench host`: this host's entry for the file that `glm plan` reads.
struct HostBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "host",
        abstract: "Measure this host for glm plan: prints its entry of hosts.yaml.",
        discussion: """
            Runs a layer of made-up weights with the model's dimensions: the kernels that workers run, and no files. Several \
            workers (--workers) are measured at the same time, as they will run.
            """)

    @Option(help: "A model of these dimensions: glm-4-9b-chat, glm-4-9b-chat-1m, glm-4-9b-0414, or a path.")
    var model = "glm-4-9b-chat-1m"

    @Option(help: "Weights in memory: f32, bf16, f16, q8 or q4.")
    var type = "q4"

    @Option(name: .customLong("kv-type"), help: "Keys and values in memory: f32, f16, q8, q4, several with commas.")
    var kvTypes = "f16,q8,q4"

    @Option(help: "Workers on this host.")
    var workers = 1

    @Option(help: "Compute threads of a worker; the processors divided among the workers unless given.")
    var threads: Int?

    @Option(help: "Memory that the host offers, like 48G; most of what is free unless given.")
    var memory: String?

    @Option(help: "Tokens in the KV cache while attention is measured.")
    var depth = 32_768

    @Option(help: "What the entry calls the host.")
    var name = "host"

    @Flag(help: "Print the same as JSON, which glm plan reads too.")
    var json = false

    func run() async throws {
        guard 1...64 ~= workers, 1...1024 ~= threads ?? 1 else {
            throw Problem.invalid("--workers must be 1 to 64, --threads 1 to 1024")
        }
        let configuration = try ModelDimensions.configuration(model)
        let deepest = configuration.contextLength / 2
        guard min(1024, deepest)...deepest ~= depth else {
            throw Problem.invalid("--depth \(depth): use \(min(1024, deepest)) to \(deepest) with this model")
        }
        guard let weightType = WeightType(name: type), weightType.isRoundedTo else {
            throw Problem.invalid("--type \(type) is unknown; use f32, bf16, f16, q8 or q4")
        }
        let kvTypes = try kvTypes.split(separator: ",").map { try KVType(flag: String($0)) }
        let places = WorkerPlaces(try NumaOptions.chosen(.load()), count: workers, together: workers)
        let threads = threads ?? places.threads(0)
        let memory =
            try memory.map { try byteCount($0, flag: "--memory") } ?? Topology.memoryAvailable() / 10 * 9
        for worker in 0..<workers {
            if let place = places[worker] { Terminal.note("worker \(worker) on NUMA \(place)") }
        }
        var rates = HostRates()
        for kvType in kvTypes {
            Terminal.note(
                "measuring \(workers) x \(threads) threads, \(weightType.name) weights, \(kvType.name) KV cache")
            let speed = try HostSpeed.measure(
                configuration, type: weightType, kvType: kvType, workers: workers, threads: threads, places: places,
                depth: depth)
            // The weights' rates are measured again with each KV type; the best of them is the least disturbed.
            rates.products[weightType.name] = max(rates.products[weightType.name] ?? 0, speed.products)
            rates.read[weightType.name] = max(rates.read[weightType.name] ?? 0, speed.read)
            rates.attention[kvType.name] = speed.attention
            rates.decodeAttention[kvType.name] = speed.decodeAttention
        }
        let entry = HostEntry(
            name: name, count: 1, memory: "\(memory >> 20)M", workers: workers, threads: threads, rates: rates)
        Terminal.write(json ? try entry.json() : entry.yaml(measured: "\(model)"))
    }
}

/// A host in the file that `glm plan` reads.
private struct HostEntry: Encodable {
    var name: String
    var count: Int
    var memory: String
    var workers: Int
    var threads: Int
    var rates: HostRates

    func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(["hosts": [self]]), as: UTF8.self) + "\n"
    }

    func yaml(measured: String) -> String {
        var lines = [
            "hosts:", "  - name: \(name)", "    count: \(count)", "    memory: \(memory)", "    workers: \(workers)",
            "    threads: \(threads)", "    rates:  # 10^9 a second of one worker, all busy; measured with \(measured)",
        ]
        for kind in HostRates.CodingKeys.allCases {
            let rates = rates[kind].sorted { $0.key < $1.key }
            let pairs = rates.map { "\($0.key): \(Terminal.fixed($0.value, places: 2))" }
            lines.append("      \(kind.rawValue): {\(pairs.joined(separator: ", "))}")
        }
        return lines.joined(separator: "\n") + "\n"
    }
}

/// Where a command takes dimensions from: a preset's name, or a model's files.
enum ModelDimensions {
    /// The dimensions of `model`.
    static func configuration(_ model: String) throws -> Configuration {
        if let preset = RandomModel.Preset(rawValue: model) { return RandomModel.configuration(preset) }
        return try description(model, storedAs: .bf16).configuration
    }

    /// The tensors of `model`; a preset's are stored as published weights are.
    static func description(_ model: String, storedAs type: WeightType) throws -> ModelDescription {
        if let preset = RandomModel.Preset(rawValue: model) {
            return try ModelDescription(RandomModel.configuration(preset), storedAs: type)
        }
        guard FileManager.default.fileExists(atPath: model) else {
            let names = RandomModel.Preset.allCases.map(\.rawValue).joined(separator: ", ")
            throw Problem.notFound("--model \(model) is neither a file nor a folder nor one of \(names)")
        }
        return try ModelDescription(try Checkpoint.open(model))
    }
}
