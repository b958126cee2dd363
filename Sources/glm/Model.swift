import ArgumentParser
import Checkpoint
import Core
import FoundationEssentials
import GLM
import Tokenization

/// `glm model`: look at a model's files, or make some.
struct Model: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Inspect a model, or make one.", subcommands: [Inspect.self, Make.self])

    /// `glm model inspect PATH`.
    struct Inspect: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what a model's files hold; fails when this version cannot run them.")

        @Argument(help: "A folder with config.json and safetensors, or a GGUF file.")
        var path: String

        @Flag(help: "Print one JSON object.")
        var json = false

        func run() throws {
            let checkpoint = try Checkpoint.open(path)
            let configuration = try Configuration(checkpoint)
            let inspection = Inspection(
                checkpoint, configuration, digest: try checkpoint.digest(), tokenizer: try Tokenizer(checkpoint))
            if json {
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
                Terminal.write(String(decoding: try encoder.encode(inspection), as: UTF8.self) + "\n")
            } else {
                Terminal.write(inspection.table)
            }
            // A file with other tensors than its configuration says, or of types that cannot be read, is shown and refused.
            _ = try TensorNames(configuration: configuration, tensors: checkpoint.tensors)
        }
    }

    /// `glm model make`.
    struct Make: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make a model here, without a download.", subcommands: [Needle.self, Random.self])
    }

    /// What both makers take.
    struct Target: ParsableArguments {
        @Option(help: "The folder to make.")
        var out: String

        @Option(help: "Decoder layers.")
        var layers: Int?

        @Option(help: "Weights: f32, bf16, f16, q8 or q4; of a random model also q5_0, q5_1, q4_k, q5_k or q6_k.")
        var type: String?

        @Option(help: "safetensors, or gguf (which q8, q4 and the like need).")
        var format: String?

        @Flag(help: "Print what was made as one JSON object.")
        var json = false

        /// The type asked for.
        func weightType(else fallback: WeightType, or others: [WeightType] = []) throws -> WeightType {
            guard let type else { return fallback }
            guard let found = WeightType(name: type), found.isRoundedTo || others.contains(found) else {
                let names = (["f32", "bf16", "f16", "q8", "q4"] + others.map(\.name)).joined(separator: ", ")
                throw Problem.invalid("--type \(type) is unknown; use one of \(names)")
            }
            return found
        }

        /// Says what was made.
        func report() throws {
            let checkpoint = try Checkpoint.open(out)
            let layers = try Configuration(checkpoint).layers
            let bytes = checkpoint.tensors.values.reduce(0) { $0 + ($1.byteCount ?? 0) }
            let answer = JSONValue.object([
                .init("path", .string(out)), .init("layers", .integer(layers)), .init("weight_bytes", .integer(bytes)),
                .init("format", .string(checkpoint.format.rawValue)),
            ])
            Terminal.write(
                json
                    ? answer.text() + "\n"
                    : "made \(out): \(layers) layers, \(Terminal.bytes(bytes)) of weights, \(checkpoint.format.rawValue)\n"
            )
        }

        /// The format asked for.
        func fileFormat() throws -> Checkpoint.Format? {
            guard let format else { return nil }
            guard let found = Checkpoint.Format(rawValue: format) else {
                throw Problem.invalid("--format \(format) is unknown; use safetensors or gguf")
            }
            return found
        }
    }

    /// `glm model make needle`.
    struct Needle: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "A tiny model whose computed weights recall facts from any distance: the product's self-test.")

        @OptionGroup var target: Target

        func run() throws {
            try NeedleModel.make(
                folder: target.out, layers: target.layers ?? 2, type: try target.weightType(else: .f32),
                format: try target.fileFormat())
            try target.report()
        }
    }

    /// `glm model make random`.
    struct Random: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Random weights with the dimensions of a real model, for measuring.")

        @OptionGroup var target: Target

        @Option(help: "glm-4-9b-chat, glm-4-9b-chat-1m, glm-4-9b-0414 or tiny.")
        var preset = "tiny"

        @Option(help: "Another seed gives other weights.")
        var seed: UInt64 = 1

        func run() throws {
            guard let found = RandomModel.Preset(rawValue: preset) else {
                let names = RandomModel.Preset.allCases.map(\.rawValue).joined(separator: ", ")
                throw Problem.invalid("--preset \(preset) is unknown; use one of \(names)")
            }
            var line = ProgressLine("writing", unit: "MiB")
            try RandomModel.make(
                folder: target.out, preset: found, layers: target.layers,
                type: try target.weightType(else: .bf16, or: [.q5, .q5m, .q4k, .q5k, .q6k]),
                format: try target.fileFormat(), seed: seed
            ) { line.show($0 >> 20, of: $1 >> 20) }
            line.clear()
            try target.report()
        }
    }
}

/// What `glm model inspect` tells.
private struct Inspection: Encodable {
    /// The tensors of one stored type.
    struct Stored: Encodable {
        var type: String
        var tensors: Int
        var bytes: Int
    }

    var name: String
    var path: String
    var format: String
    var configuration: Configuration
    var parameters: Int
    var bytes: Int
    var types: [Stored]
    var kvBytesPerToken: Int
    var digest: String
    var tokenizer: String
    var template: String?

    init(_ checkpoint: Checkpoint, _ configuration: Configuration, digest: String, tokenizer: Tokenizer?) {
        name = configuration.name
        path = checkpoint.path
        format = checkpoint.format.rawValue
        self.configuration = configuration
        parameters = checkpoint.tensors.values.reduce(0) { $0 + ($1.elementCount ?? 0) }
        bytes = checkpoint.byteCount
        types = Dictionary(grouping: checkpoint.tensors.values, by: \.type)
            .map { type, tensors in
                Stored(
                    type: type.rawValue, tensors: tensors.count, bytes: tensors.reduce(0) { $0 + ($1.byteCount ?? 0) })
            }
            .sorted { ($1.bytes, $0.type) < ($0.bytes, $1.type) }
        kvBytesPerToken = configuration.kvBytesPerToken()
        self.digest = digest
        self.tokenizer = tokenizer == nil ? "none" : checkpoint.format == .gguf ? "embedded" : "files"
        template = tokenizer?.template.rawValue
    }

    var table: String {
        let c = configuration
        var rows = [
            ["path", path], ["format", format], ["architecture", c.architecture.rawValue], ["layers", "\(c.layers)"],
            ["hidden", "\(c.hidden)"], ["heads", "\(c.heads) x \(c.headDim), \(c.kvHeads) KV"],
            ["feed-forward", "\(c.ffn)"], ["vocabulary", "\(c.vocabulary)"],
            ["rotary", c.rotarySummary], ["norm epsilon", "\(c.eps)"],
            ["context", "\(c.contextLength) tokens"], ["parameters", "\(parameters)"],
            ["size", Terminal.bytes(bytes)],
            ["stored as", types.map { "\($0.type) (\($0.tensors))" }.joined(separator: ", ")],
            ["KV cache", "\(kvBytesPerToken) bytes a token in f16"],
            ["stop tokens", c.stopTokens.map(String.init).joined(separator: ", ")],
            ["tokenizer", template.map { "\(tokenizer), template \($0)" } ?? tokenizer], ["digest", digest],
        ]
        rows += c.warnings.map { ["warning", $0] }
        return Terminal.table(["model", name], rows)
    }
}
