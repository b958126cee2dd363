import ArgumentParser
import Checkpoint
import Coordinator
import Core
import FoundationEssentials
import GLM
import Threads

/// `glm bench --model PATH`: how fast a model reads and writes, on one process or several.
struct ModelBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model", abstract: "Measure prefill and decode of a model.")

    /// How the KV cache comes to hold the tokens before those that are timed.
    enum Fill: String, ExpressibleByArgument, CaseIterable {
        /// Prefilled up to 4,096 tokens, filled synthetically beyond.
        case auto
        /// By reading a prompt, as it always is outside of measurements.
        case prefill
        /// With made-up keys and values.
        case synthetic

        /// What is done for `depth` tokens.
        func resolved(depth: Int) -> Fill {
            guard self == .auto else { return self }
            return depth <= 4096 ? .prefill : .synthetic
        }
    }

    @OptionGroup var options: ModelOptions

    @Option(help: "Tokens of the prompt; 0 leaves prefill out.")
    var prefill = 512

    @Option(help: "Tokens to decode; 0 leaves decode out.")
    var decode = 32

    @Option(help: "Tokens already in the KV cache before either is timed; several with commas are measured one by one.")
    var depth = "0"

    @Option(
        help:
            "How those come there: prefill reads them, synthetic makes up keys and values at once, auto takes synthetic beyond 4096."
    )
    var fill = Fill.auto

    @Option(help: "Tokens in one step of the prompt.")
    var chunk = 512

    @Option(help: "Times each is measured; the median counts.")
    var repeats = 3

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() async throws {
        guard prefill >= 0, decode >= 0, chunk > 0, repeats > 0 else {
            throw Problem.invalid("--prefill and --decode must be 0 or more, --chunk and --repeats 1 or more")
        }
        let checkpoint = try Checkpoint.open(options.model)
        let description = try ModelDescription(checkpoint)
        let depths = try depths(description.configuration)
        let layout = try Layout(options.layout)
        let type = try options.weightType()
        let kvType = try options.kvType() ?? Stage.kvType(description, type: type)
        let rows =
            layout == .single
            ? try measureHere(checkpoint, description.configuration, depths: depths, kvType: kvType)
            : try await measureCluster(layout, description.configuration, depths: depths, kvType: kvType)
        let report = Report(
            model: options.model, layout: layout.description, threads: try options.threadCount(workers: layout.workers),
            kvType: kvType.name, prefill: prefill, decode: decode, rows: rows)
        Terminal.write(json ? try report.json() : report.page)
    }

    /// The depths asked for. One that leaves no room for what is timed behind it, but is within the context, is made less.
    private func depths(_ configuration: Configuration) throws -> [Int] {
        let room = configuration.contextLength - max(prefill, 1) - decode
        guard room >= 0 else {
            throw Problem.invalid(
                "\(max(prefill, 1) + decode) tokens do not fit the model's context of \(configuration.contextLength)")
        }
        return try depth.split(separator: ",", omittingEmptySubsequences: false).map { text in
            guard let depth = Int(text), 0...configuration.contextLength ~= depth else {
                throw Problem.invalid(
                    "--depth '\(text)': expected 0 to \(configuration.contextLength), several with commas between")
            }
            return min(depth, room)
        }
    }

    /// Tokens that repeat nothing for long, all inside the smallest vocabulary served.
    private func tokens(_ count: Int, vocabulary: Int) -> [TokenID] {
        (0..<count).map { TokenID(($0 &* 7919 &+ 13) % min(vocabulary, 256)) }
    }

    private func measureHere(
        _ checkpoint: Checkpoint, _ configuration: Configuration, depths: [Int], kvType: KVType
    ) throws -> [Row] {
        let length = (depths.max() ?? 0) + max(prefill, 1) + decode
        let cache =
            length * configuration.layers * 2 * configuration.kvHeads * kvType.byteCount(headDim: configuration.headDim)
        guard cache < Topology.memoryAvailable() else {
            throw Problem.unavailable(
                "a KV cache of \(length) tokens takes \(Terminal.bytes(cache)), \(Terminal.bytes(Topology.memoryAvailable())) of memory are free; use a smaller --depth or --kv-type"
            )
        }
        let generator = try Generator(
            checkpoint, type: try options.weightType(), kvType: kvType, kvTokens: length + Slots.pageTokens,
            threads: try options.threadCount(workers: 1))
        return try depths.map { try measure(generator, depth: $0) }
    }

    /// One depth, on one process.
    private func measure(_ generator: Generator, depth: Int) throws -> Row {
        let vocabulary = generator.description.configuration.vocabulary
        let attention = try options.attention()
        let greedy = Segment.Output.sample(Drawing())
        let filled = fill.resolved(depth: depth)
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
            if filled == .synthetic {
                try generator.stage.fillSynthetically(id, tokens: depth)
                position = depth
            } else {
                try feed(depth)
            }
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
        return Row(
            depth: depth, filled: depth == 0 ? "nothing" : filled.rawValue, prefillTokensPerSecond: median(prefills),
            decodeTokensPerSecond: median(decodes))
    }

    /// On a cluster a job's own timings count: prefill to the first token, decode from there.
    private func measureCluster(
        _ layout: Layout, _ configuration: Configuration, depths: [Int], kvType: KVType
    ) async throws -> [Row] {
        guard depths == [0] else {
            throw Problem.invalid(
                "--depth is measured on one process only; leave --layout out, or --depth and read it with --prefill")
        }
        let cluster = try await LocalCluster.start(
            layout: layout, model: options.model, type: try options.weightType(), kvType: kvType,
            threads: try options.threadCount(workers: layout.workers))
        var prefills: [Double] = []
        var decodes: [Double] = []
        do {
            for _ in 0..<repeats {
                let request = JobRequest(
                    prompt: tokens(max(prefill, 1), vocabulary: configuration.vocabulary),
                    // Guesses of made-up text would say nothing about speed.
                    options: GenerationOptions(
                        maxTokens: decode + 1, ignoresEndOfSequence: true, attention: try options.attention(),
                        speculates: false),
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
        return [
            Row(
                depth: 0, filled: "nothing", prefillTokensPerSecond: median(prefills),
                decodeTokensPerSecond: median(decodes))
        ]
    }

    private func median(_ values: [Double]) -> Double? {
        values.isEmpty ? nil : values.sorted()[values.count / 2]
    }

    /// One depth's rates; nil where nothing was timed.
    private struct Row: Encodable {
        var depth: Int
        /// How the cache was filled: nothing, prefill or synthetic.
        var filled: String
        var prefillTokensPerSecond: Double?
        var decodeTokensPerSecond: Double?
    }

    private struct Report: Encodable {
        var model: String
        var layout: String
        var threads: Int
        var kvType: String
        var prefill: Int
        var decode: Int
        var rows: [Row]

        func json() throws -> String {
            let encoder = JSONEncoder()
            encoder.keyEncodingStrategy = .convertToSnakeCase
            encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
            return String(decoding: try encoder.encode(self), as: UTF8.self) + "\n"
        }

        var page: String {
            func rate(_ value: Double?) -> String {
                value.map { Terminal.fixed($0, places: $0 < 10 ? 3 : 2) } ?? "-"
            }
            var page = "layout \(layout), \(threads) threads a process, KV cache \(kvType)\n"
            page += Terminal.table(
                ["DEPTH", "FILLED", "PREFILL \(prefill) T/S", "DECODE \(decode) T/S"],
                rows.map { row in
                    ["\(row.depth)", row.filled, rate(row.prefillTokensPerSecond), rate(row.decodeTokensPerSecond)]
                }, right: [0, 2, 3])
            if rows.contains(where: { $0.filled == Fill.synthetic.rawValue }) {
                page += "synthetic: the pages before what is timed hold made-up keys and values; nothing was read.\n"
            }
            return page
        }
    }
}
