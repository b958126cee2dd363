import ArgumentParser
import Checkpoint
import Core
import Threads

/// What every command that loads a model takes.
struct ModelOptions: ParsableArguments {
    @Option(help: "A folder with config.json and safetensors, or a GGUF file.")
    var model: String

    @Option(help: "Weights in memory: f32, bf16, f16, q8 or q4; as stored unless given.")
    var type: String?

    @Option(
        name: .customLong("kv-type"),
        help:
            "Keys and values in memory: f32, f16, q8 or q4; f32 beside float weights and f16 beside others unless given."
    )
    var kvTypeName: String?

    @Option(help: "Compute threads of a process; the processors divided among a stage's ranks unless given.")
    var threads: Int?

    @Option(help: "Stages x ranks; more than 1x1 runs in freshly started worker processes.")
    var layout: String = "1x1"

    @Option(name: .customLong("attention"), help: "exact, or sparse: attend to chosen pages only; exact unless given.")
    var attentionName: String?

    /// Which keys tokens attend to.
    func attention() throws -> AttentionMode { try attentionName.map { try AttentionMode(flag: $0) } ?? .exact }

    /// The weight type asked for.
    func weightType() throws -> WeightType? {
        guard let type else { return nil }
        guard let found = WeightType(name: type), found.isRoundedTo else {
            throw Problem.invalid("--type \(type) is unknown; use f32, bf16, f16, q8 or q4")
        }
        return found
    }

    /// How keys and values are held, or nil for what goes with the weights.
    func kvType() throws -> KVType? { try kvTypeName.map { try KVType(flag: $0) } }

    /// Compute threads of each process of a layout on this machine, where a stage's ranks compute at the same time.
    ///
    /// Stages take turns with one answer, and each may use all processors then; with more, they get in each other's way
    /// no more than one process's own threads would.
    func threadCount(_ layout: Layout) throws -> Int {
        if let threads {
            guard (1...1024).contains(threads) else { throw Problem.invalid("--threads \(threads): use 1 to 1024") }
            return threads
        }
        return layout == .single ? Topology.processors.count : try WorkerPlaces(layout).threads(0)
    }
}

extension KVType {
    /// The type that `--kv-type` asks for.
    init(flag: String) throws {
        guard let found = KVType(name: flag) else {
            throw Problem.invalid("--kv-type \(flag) is unknown; use f32, f16, q8 or q4")
        }
        self = found
    }
}

extension AttentionMode {
    /// The mode that `--attention` asks for.
    init(flag: String) throws {
        guard let found = AttentionMode(rawValue: flag) else {
            throw Problem.invalid("--attention \(flag) is unknown; use exact or sparse")
        }
        self = found
    }
}

/// Token ids as a command line gives them: numbers with commas between.
func tokenList(_ text: String, flag: String) throws -> [TokenID] {
    try text.split(separator: ",", omittingEmptySubsequences: false).map { part in
        guard let token = TokenID(part.trimmed) else {
            throw Problem.invalid("\(flag): '\(part)' is no token id; write numbers with commas between, like 1,2,3")
        }
        return token
    }
}

extension Substring {
    fileprivate var trimmed: Substring {
        var rest = self
        while rest.first == " " { rest.removeFirst() }
        while rest.last == " " { rest.removeLast() }
        return rest
    }
}
