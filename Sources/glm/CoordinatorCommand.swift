import ArgumentParser
import Checkpoint
import Coordinator
import Core
import Glibc
import Telemetry
import Tokenization
import Transport

/// `glm coordinator`: membership, plan, steps and jobs of a cluster.
struct CoordinatorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coordinator", abstract: "Shard a model over workers and drive them.")

    @OptionGroup var role: RoleOptions
    @OptionGroup var serving: ServingOptions
    @OptionGroup var kept: StoreOptions

    @Option(
        help: "Where workers and gateways connect to: tcp://HOST:PORT or ipc://PATH; tcp://127.0.0.1:7070 unless given."
    )
    var bind: String?

    @Option(help: "How many workers to wait for, when the layout is auto.")
    var workers: Int?

    @Option(help: "The cluster's key file, or the folder that `glm keys make` wrote.")
    var keys: String?

    @Flag(help: "Listen without keys where others can reach it.")
    var insecure = false

    func run() async throws {
        let settings = try Settings.load(config: serving.config)
        let note = try role.start("coordinator", settings)
        let model = try serving.path(settings)
        let layout = try serving.layout(settings)
        let expected = try workers ?? settings.int("workers") ?? layout?.workers ?? 1
        guard (1...4096).contains(expected) else { throw Problem.invalid("--workers \(expected): use 1 to 4096") }
        let coordinator = try Coordinator(
            CoordinatorSettings(
                model: model, tokenizer: try Tokenizer(Checkpoint.open(model)),
                endpoints: [bind ?? settings.string("bind") ?? "tcp://127.0.0.1:7070"],
                security: try Self.security(keys ?? settings.string("keys")),
                insecure: try insecure || settings.bool("insecure") ?? false, layout: layout, workers: expected,
                weightType: try serving.weightType(settings), kvType: try serving.kvType(settings),
                kvTokens: try serving.kvTokens(settings), scalesItself: try serving.scalesItself(settings),
                chunk: try serving.chunk(settings), store: kept.path(settings),
                retention: try kept.retention(settings), longestQueue: try kept.longestQueue(settings),
                record: Telemetry.records(of: "coordinator")
            ) { note($0) })
        try await Interrupt.cancelling { await coordinator.run() }
        // Workers hear that the cluster ends: the words need a moment to leave.
        usleep(200_000)
    }

    /// The keys in a file, or in the cluster's file of a folder; none when there is no path.
    static func security(_ path: String?) throws -> Security {
        guard let path else { return .open }
        var facts = stat()
        let isFolder = stat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFDIR
        return .curve(try KeyFile.read(isFolder ? "\(path)/\(KeyFile.clusterName)" : path))
    }
}

/// What whoever serves a model takes: coordinator and up.
struct ServingOptions: ParsableArguments {
    @Option(help: "A folder with config.json and safetensors, or a GGUF file.")
    var model: String?

    @Option(help: "Stages x ranks, like 2x2; auto chooses.")
    var layout: String?

    @Option(help: "Weights in memory: f32, bf16, f16, q8 or q4; as stored unless given.")
    var type: String?

    @Option(
        name: .customLong("kv-type"),
        help:
            "Keys and values in memory: f32, f16, q8 or q4; f32 beside float weights and f16 beside others unless given."
    )
    var kvType: String?

    @Option(
        name: .customLong("kv-tokens"), help: "Tokens of KV cache on every worker; what memory allows unless given.")
    var kvTokens: Int?

    @Option(
        help: "auto takes spare workers into the layout when a prompt needs their memory; manual waits for `glm scale`."
    )
    var scale: String?

    @Option(help: "Tokens in one step of a prompt.")
    var chunk: Int?

    @Option(help: "A configuration file; ./glm.toml or ~/.config/glm/glm.toml unless given.")
    var config: String?

    /// Where the model is.
    func path(_ settings: Settings) throws -> String {
        guard let path = model ?? settings.string("model") else {
            throw ValidationError("give the model with --model PATH")
        }
        return path
    }

    /// The grid, or nil for auto.
    func layout(_ settings: Settings) throws -> Layout? {
        let text = layout ?? settings.string("layout") ?? "auto"
        return text == "auto" ? nil : try Layout(text)
    }

    /// The weights' type, or nil for as stored.
    func weightType(_ settings: Settings) throws -> WeightType? {
        guard let name = type ?? settings.string("type") else { return nil }
        guard let found = WeightType(name: name), found.isRoundedTo else {
            throw Problem.invalid("--type \(name) is unknown; use f32, bf16, f16, q8 or q4")
        }
        return found
    }

    /// How keys and values are held, or nil for what goes with the weights.
    func kvType(_ settings: Settings) throws -> KVType? {
        try (kvType ?? settings.string("kv-type")).map { try KVType(flag: $0) }
    }

    /// Tokens of KV cache, or nil.
    func kvTokens(_ settings: Settings) throws -> Int? {
        guard let tokens = try kvTokens ?? settings.int("kv-tokens") else { return nil }
        guard (Slots.pageTokens...1 << 32).contains(tokens) else {
            throw Problem.invalid("--kv-tokens \(tokens): use \(Slots.pageTokens) or more")
        }
        return tokens
    }

    /// Whether the layout grows by itself.
    func scalesItself(_ settings: Settings) throws -> Bool {
        let word = scale ?? settings.string("scale") ?? "manual"
        guard let found = ["auto": true, "manual": false][word] else {
            throw Problem.invalid("--scale \(word) is unknown; use auto or manual")
        }
        return found
    }

    /// Tokens of a prompt's step.
    func chunk(_ settings: Settings) throws -> Int {
        let tokens = try chunk ?? settings.int("chunk") ?? 512
        guard (1...65_536).contains(tokens) else { throw Problem.invalid("--chunk \(tokens): use 1 to 65536") }
        return tokens
    }
}
