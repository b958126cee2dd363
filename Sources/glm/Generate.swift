import ArgumentParser
import Checkpoint
import Coordinator
import Core
import FoundationEssentials
import GLM
import Glibc
import Tokenization

/// `glm generate`: continues a prompt without a cluster, in this process or in freshly started workers.
struct Generate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Continue a prompt without a running cluster.")

    @OptionGroup var options: ModelOptions

    @Option(help: "The prompt as text; special tokens in it are text.")
    var prompt: String?

    @Option(help: "The prompt as token ids, with commas between.")
    var tokens: String?

    @Option(help: "A JSON file: an array of messages with role and content, or an object with messages and tools.")
    var messages: String?

    @Option(name: .customLong("max-tokens"), help: "Generate at most so many tokens.")
    var maxTokens = 256

    @Option(help: "0 takes the most likely token.")
    var temperature: Float = 0

    @Option(name: .customLong("top-p"), help: "Keep the fewest tokens whose probabilities sum to this.")
    var topP: Float = 1

    @Option(name: .customLong("top-k"), help: "Keep so many tokens; 0 keeps all.")
    var topK = 0

    @Option(help: "The same seed draws the same tokens.")
    var seed: UInt64 = 0

    @OptionGroup var drawing: DrawingFlags

    @Option(help: "Tokens in one step of the prompt.")
    var chunk = 512

    @Flag(help: "Print one JSON object at the end.")
    var json = false

    func run() async throws {
        guard (1...65_536).contains(chunk) else { throw Problem.invalid("--chunk \(chunk): use 1 to 65536") }
        guard maxTokens > 0 else { throw Problem.invalid("--max-tokens \(maxTokens): use 1 or more") }
        let checkpoint = try Checkpoint.open(options.model)
        let configuration = try Configuration(checkpoint)
        let tokenizer = try Tokenizer(checkpoint)
        let ids = try promptTokens(tokenizer)
        try configuration.check(prompt: ids)
        var generation = GenerationOptions(
            sampling: SamplingOptions(temperature: temperature, topP: topP, topK: topK, seed: seed),
            maxTokens: maxTokens, attention: try options.attention())
        try drawing.apply(to: &generation)
        try generation.check(vocabulary: configuration.vocabulary)
        var report = Report(promptTokens: ids)
        let clock = ContinuousClock()
        let start = clock.now
        var detokenizer = tokenizer.map { Detokenizer($0) }
        func hear(_ token: TokenID) {
            if report.tokens.isEmpty { report.timings.prefillSeconds = seconds(clock.now - start) }
            report.tokens.append(token)
            say(detokenizer?.next(token) ?? "")
        }
        func say(_ text: String) {
            report.text += text
            if !json { Terminal.write(text) }
        }
        let layout = try Layout(options.layout)
        if layout == .single {
            let room = min(ids.count + maxTokens, configuration.contextLength) + Slots.pageTokens
            let generator = try Generator(
                checkpoint, type: try options.weightType(), kvType: try options.kvType(), kvTokens: room,
                threads: try options.threadCount(.single)
            )
            if let tokenizer {
                generator.stage.drawableTokens = min(tokenizer.lastTokenEnd, configuration.vocabulary)
            }
            let reason = try generator.generate(ids, options: generation, chunk: chunk) { drawn in
                hear(drawn.token.token)
                return true
            }
            report.finishReason = reason.rawValue
        } else {
            report.finishReason = try await runOnCluster(ids, generation, layout) { hear($0) }.rawValue
        }
        say(detokenizer?.finish() ?? "")
        report.timings.totalSeconds = seconds(clock.now - start)
        report.timings.decodeTokensPerSecond =
            report.tokens.count > 1
            ? Double(report.tokens.count - 1) / (report.timings.totalSeconds - report.timings.prefillSeconds) : 0
        if json {
            let encoder = JSONEncoder()
            encoder.keyEncodingStrategy = .convertToSnakeCase
            encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
            print(String(decoding: try encoder.encode(report), as: UTF8.self))
        } else {
            print()
        }
    }

    private func runOnCluster(
        _ ids: [TokenID], _ generation: GenerationOptions, _ layout: Layout, hear: (TokenID) -> Void
    ) async throws -> FinishReason {
        let cluster = try await LocalCluster.start(
            layout: layout, model: options.model, type: try options.weightType(), kvType: try options.kvType(),
            threads: try options.threadCount(layout))
        do {
            let (_, events) = try await cluster.coordinator.submit(
                JobRequest(prompt: ids, options: generation, endsWithClient: true))
            var reason = FinishReason.error
            for await event in events {
                switch event {
                case .prefilled, .scored, .embedded: break
                case .token(let drawn, _, _): hear(drawn.token)
                case .finished(let finish, _, _, _): reason = finish
                case .failed(let problem): throw problem
                }
            }
            await cluster.stop()
            return reason
        } catch {
            await cluster.stop()
            throw error
        }
    }

    private func promptTokens(_ tokenizer: Tokenizer?) throws -> [TokenID] {
        guard [prompt, tokens, messages].filter({ $0 != nil }).count == 1 else {
            throw ValidationError("give exactly one of --prompt, --tokens and --messages")
        }
        if let tokens { return try tokenList(tokens, flag: "--tokens") }
        guard let tokenizer else {
            throw Problem.invalid("\(options.model) has no tokenizer; give the prompt as --tokens")
        }
        if let prompt { return tokenizer.encodePrompt(prompt) }
        let path = messages ?? ""
        guard let text = try? String(decoding: Data(contentsOf: URL(filePath: path)), as: UTF8.self) else {
            throw Problem.invalid("cannot read the messages in \(path)")
        }
        let conversation = try Conversation(json: text)
        return try tokenizer.encodeChat(conversation.messages, tools: conversation.tools, template: nil)
    }

    /// What `--json` prints.
    private struct Report: Encodable {
        struct Timings: Encodable {
            var prefillSeconds = 0.0
            var decodeTokensPerSecond = 0.0
            var totalSeconds = 0.0
        }

        var promptTokens: [TokenID]
        var tokens: [TokenID] = []
        var text = ""
        var finishReason = ""
        var timings = Timings()
    }
}

/// A duration in seconds.
func seconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
}
