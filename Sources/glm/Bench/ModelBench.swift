import ArgumentParser
import Checkpoint
import Coordinator
import Core
import FoundationEssentials
import GLM

/// `glm bench --model PATH`: how fast a model reads and writes, on one process or several.
struct ModelBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model", abstract: "Measure prefill and decode of a model.")

    @OptionGroup var options: ModelOptions

    @Option(help: "Tokens of the prompt; 0 leaves prefill out.")
    var prefill = 512

    @Option(help: "Tokens to decode; 0 leaves decode out.")
    var decode = 32

    @Option(help: "Tokens already in the KV cache before either is timed.")
    var depth = 0

    @Option(help: "Tokens in one step of the prompt.")
    var chunk = 512

    @Option(help: "Times each is measured; the median counts.")
    var repeats = 3

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() async throws {
        guard prefill >= 0, decode >= 0, depth >= 0, chunk > 0, repeats > 0 else {
            throw Problem.invalid("--prefill, --decode and --depth must be 0 or more, --chunk and --repeats 1 or more")
        }
        let checkpoint = try Checkpoint.open(options.model)
        let configuration = try Configuration(checkpoint)
        let length = depth + max(prefill, 1) + decode
        guard length <= configuration.contextLength else {
            throw Problem.invalid("\(length) tokens do not fit the model's context of \(configuration.contextLength)")
        }
        let layout = try Layout(options.layout)
        let rates =
            layout == .single
            ? try measureHere(checkpoint, length: length) : try await measureCluster(layout, configuration)
        let report = Report(
            model: options.model, layout: layout.description, threads: try options.threadCount(workers: layout.workers),
            depth: depth, prefill: prefill, decode: decode, prefillTokensPerSecond: rates.prefill,
            decodeTokensPerSecond: rates.decode)
        if json {
            let encoder = JSONEncoder()
            encoder.keyEncodingStrategy = .convertToSnakeCase
            encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
            print(String(decoding: try encoder.encode(report), as: UTF8.self))
        } else {
            print("layout \(layout), \(report.threads) threads a process, depth \(depth)")
            print("prefill \(prefill) tokens: \(rounded(rates.prefill)) tokens/s")
            print("decode \(decode) tokens: \(rounded(rates.decode)) tokens/s")
        }
    }

    private struct Report: Encodable {
        var model: String
        var layout: String
        var threads: Int
        var depth: Int
        var prefill: Int
        var decode: Int
        var prefillTokensPerSecond: Double
        var decodeTokensPerSecond: Double
    }

    /// Tokens that repeat nothing for long, all inside the smallest vocabulary served.
    private func tokens(_ count: Int, vocabulary: Int) -> [TokenID] {
        (0..<count).map { TokenID(($0 &* 7919 &+ 13) % min(vocabulary, 256)) }
    }

    private func measureHere(_ checkpoint: Checkpoint, length: Int) throws -> (prefill: Double, decode: Double) {
        let generator = try Generator(
            checkpoint, type: try options.weightType(), kvType: try options.kvType(),
            kvTokens: length + Slots.pageTokens,
            threads: try options.threadCount(workers: 1))
        let vocabulary = generator.description.configuration.vocabulary
        let attention = try options.attention()
        let greedy = Segment.Output.sample(SamplingOptions())
        var prefills: [Double] = []
        var decodes: [Double] = []
        for _ in 0..<repeats {
            let id = generator.nextSequence()
            var position = 0
            func feed(_ count: Int) throws {
                let end = position + count
                while position < end {
                    let next = min(chunk, end - position)
                    let output: Segment.Output = position + next == end ? greedy : .none
                    _ = try generator.run([
                        Segment(
                            sequence: id, start: position, tokens: tokens(next, vocabulary: vocabulary), output: output,
                            attention: attention)
                    ])
                    position += next
                }
            }
            try feed(depth)
            if prefill > 0 {
                let time = try ContinuousClock().measure { try feed(prefill) }
                prefills.append(Double(prefill) / seconds(time))
            } else if depth == 0 {
                try feed(1)
            }
            if decode > 0 {
                let time = try ContinuousClock().measure { for _ in 0..<decode { try feed(1) } }
                decodes.append(Double(decode) / seconds(time))
            }
            try generator.release([id])
        }
        return (median(prefills), median(decodes))
    }

    /// On a cluster a job's own timings count: prefill to the first token, decode from there.
    private func measureCluster(
        _ layout: Layout, _ configuration: Configuration
    ) async throws -> (prefill: Double, decode: Double) {
        guard depth == 0 else { throw Problem.invalid("--depth is measured on one process only; leave --layout out") }
        let cluster = try await LocalCluster.start(
            layout: layout, model: options.model, type: try options.weightType(), kvType: try options.kvType(),
            threads: try options.threadCount(workers: layout.workers))
        var prefills: [Double] = []
        var decodes: [Double] = []
        do {
            for _ in 0..<repeats {
                let request = JobRequest(
                    prompt: tokens(max(prefill, 1), vocabulary: configuration.vocabulary),
                    options: GenerationOptions(
                        maxTokens: decode + 1, ignoresEndOfSequence: true, attention: try options.attention()),
                    endsWithClient: true)
                let (_, events) = try await cluster.coordinator.submit(request)
                for await event in events {
                    if case .failed(let problem) = event { throw problem }
                    guard case .finished(_, _, _, let timings) = event else { continue }
                    prefills.append(Double(prefill) / seconds(timings.prefill))
                    if decode > 0 { decodes.append(Double(decode) / seconds(timings.decode)) }
                }
            }
        } catch {
            await cluster.stop()
            throw error
        }
        await cluster.stop()
        return (median(prefills), median(decodes))
    }

    private func median(_ values: [Double]) -> Double {
        values.isEmpty ? 0 : values.sorted()[values.count / 2]
    }

    private func rounded(_ value: Double) -> Double { (value * 100).rounded() / 100 }
}
