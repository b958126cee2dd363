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

    @Option(help: "Jobs that run at the same time, each with its own prompt; rates are of all together.")
    var jobs = 1

    @Option(help: "Times each is measured; the median counts.")
    var repeats = 3

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() async throws {
        guard prefill >= 0, decode >= 0, chunk > 0, repeats > 0, jobs > 0 else {
            throw Problem.invalid("--prefill and --decode must be 0 or more, --chunk, --jobs and --repeats 1 or more")
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
            model: options.model, layout: layout.description, threads: try options.threadCount(layout),
            kvType: kvType.name, jobs: jobs, prefill: prefill, decode: decode, rows: rows)
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

    /// Tokens that repeat nothing for long, all inside the smallest vocabulary served; each job has its own.
    private func token(_ index: Int, job: Int, vocabulary: Int) -> TokenID {
        TokenID((index &* 7919 &+ 13 &+ job) % min(vocabulary, 256))
    }

    private func measureHere(
        _ checkpoint: Checkpoint, _ configuration: Configuration, depths: [Int], kvType: KVType
    ) throws -> [Row] {
        let length = (depths.max() ?? 0) + max(prefill, 1) + decode
        let cache =
            jobs * length * configuration.layers * 2 * configuration.kvHeads
            * kvType.byteCount(headDim: configuration.headDim)
        guard cache < Topology.memoryAvailable() else {
            throw Problem.unavailable(
                "a KV cache of \(jobs * length) tokens takes \(Terminal.bytes(cache)), \(Terminal.bytes(Topology.memoryAvailable())) of memory are free; use a smaller --depth, --jobs or --kv-type"
            )
        }
        let generator = try Generator(
            checkpoint, type: try options.weightType(), kvType: kvType, kvTokens: jobs * (length + Slots.pageTokens),
            threads: try options.threadCount(.single))
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
        var reads: [Double] = []
        var shares: [Double] = []
        for _ in 0..<repeats {
            let ids = (0..<jobs).map { _ in generator.nextSequence() }
            var segments = ids.map {
                Segment(sequence: $0, start: 0, tokens: [], output: .none, attention: attention)
            }
            var position = 0
            /// Gives every job `count` tokens more, as many in a step as `chunk` lets in.
            func feed(_ count: Int) throws {
                let end = position + count
                while position < end {
                    let next = min(chunk, end - position)
                    let isLast = position + next == end
                    for job in segments.indices {
                        segments[job].start = position
                        segments[job].output = isLast ? greedy : .none
                        segments[job].tokens.removeAll(keepingCapacity: true)
                        for index in 0..<next {
                            segments[job].tokens.append(token(index, job: job, vocabulary: vocabulary))
                        }
                    }
                    let together = max(chunk / next, 1)
                    if jobs <= together {
                        _ = try generator.run(segments)
                    } else {
                        for first in stride(from: 0, to: jobs, by: together) {
                            _ = try generator.run(Array(segments[first..<min(first + together, jobs)]))
                        }
                    }
                    position += next
                }
            }
            if filled == .synthetic {
                for id in ids { try generator.stage.fillSynthetically(id, tokens: depth) }
                position = depth
            } else {
                try feed(depth)
            }
            if prefill > 0 {
                let time = try ContinuousClock().measure { try feed(prefill) }
                prefills.append(Double(jobs * prefill) / seconds(time))
            } else if depth == 0 {
                try feed(1)
            }
            if decode > 0 {
                let time = try ContinuousClock().measure { for _ in 0..<decode { try feed(1) } }
                decodes.append(Double(jobs * decode) / seconds(time))
                // As many plain reads, at once: shared machines give more or less from one minute to the next.
                let reading = ContinuousClock().measure { for _ in 0..<decode { _ = generator.stage.readWeights() } }
                reads.append(Double(decode * generator.stage.weightBytes) / seconds(reading) / 1e9)
                shares.append(reading / time)
            }
            try generator.release(ids)
        }
        return Row(
            depth: depth, filled: depth == 0 ? "nothing" : filled.rawValue, prefillTokensPerSecond: median(prefills),
            decodeTokensPerSecond: median(decodes), readGigabytesPerSecond: median(reads),
            decodeReadShare: median(shares))
    }

    /// On a cluster one job's own timings count, prefill to the first token, decode from there; of several jobs, which take
    /// turns, the time until all have their first token, and then the time until all have ended.
    private func measureCluster(
        _ layout: Layout, _ configuration: Configuration, depths: [Int], kvType: KVType
    ) async throws -> [Row] {
        guard depths == [0] else {
            throw Problem.invalid(
                "--depth is measured on one process only; leave --layout out, or --depth and read it with --prefill")
        }
        let cluster = try await LocalCluster.start(
            layout: layout, model: options.model, type: try options.weightType(), kvType: kvType,
            threads: try options.threadCount(layout))
        var prefills: [Double] = []
        var decodes: [Double] = []
        do {
            for turn in 0..<repeats {
                let requests = try (0..<jobs).map { job in
                    JobRequest(
                        prompt: (0..<max(prefill, 1)).map {
                            token($0, job: turn * jobs + job, vocabulary: configuration.vocabulary)
                        },
                        // Guesses of made-up text would say nothing about speed.
                        options: GenerationOptions(
                            maxTokens: decode + 1, ignoresEndOfSequence: true, attention: try options.attention(),
                            speculates: false),
                        endsWithClient: true)
                }
                let rates = try await together(requests, on: cluster.coordinator)
                prefills.append(rates.0)
                if decode > 0 { decodes.append(rates.1) }
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

    /// Runs jobs at the same time: tokens/s of all prompts until the last job has its first token, and of the answers from
    /// there to the last one's end.
    private func together(_ requests: [JobRequest], on coordinator: Coordinator) async throws -> (Double, Double) {
        let clock = ContinuousClock()
        let start = clock.now
        return try await withThrowingTaskGroup(of: (drawn: [Duration], timings: Timings).self) { group in
            for request in requests {
                group.addTask {
                    let (_, events) = try await coordinator.submit(request)
                    var drawn: [Duration] = []
                    for await event in events {
                        if case .failed(let problem) = event { throw problem }
                        if case .token = event { drawn.append(clock.now - start) }
                        guard case .finished(_, _, _, let timings) = event else { continue }
                        return (drawn, timings)
                    }
                    throw Problem.failed("a job's events ended before the job did")
                }
            }
            var all: [(drawn: [Duration], timings: Timings)] = []
            for try await job in group { all.append(job) }
            if all.count == 1 {
                return (
                    Double(prefill) / seconds(all[0].timings.prefill), Double(decode) / seconds(all[0].timings.decode)
                )
            }
            let first = all.compactMap(\.drawn.first).max() ?? .zero
            let end = all.compactMap(\.drawn.last).max() ?? .zero
            let after = all.reduce(0) { $0 + $1.drawn.count { $0 > first } }
            return (Double(jobs * prefill) / seconds(first), Double(after) / seconds(end - first))
        }
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
        /// What plain reads of the weights got, in turn with the answers.
        var readGigabytesPerSecond: Double?
        /// The time of so many plain reads by that of as many steps of answers.
        var decodeReadShare: Double?
    }

    private struct Report: Encodable {
        var model: String
        var layout: String
        var threads: Int
        var kvType: String
        var jobs: Int
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
            var page = "layout \(layout), \(threads) threads a process, KV cache \(kvType)"
            page += jobs == 1 ? "\n" : ", \(jobs) jobs together\n"
            page += Terminal.table(
                ["DEPTH", "FILLED", "PREFILL \(prefill) T/S", "DECODE \(decode) T/S", "WEIGHTS READ GB/S", "OF READS"],
                rows.map { row in
                    [
                        "\(row.depth)", row.filled, rate(row.prefillTokensPerSecond), rate(row.decodeTokensPerSecond),
                        rate(row.readGigabytesPerSecond),
                        row.decodeReadShare.map { "\(Int(($0 * 100).rounded()))%" } ?? "-",
                    ]
                }, right: [0, 2, 3, 4, 5])
            if rows.contains(where: { $0.decodeReadShare != nil }) {
                page +=
                    "of reads: the time to read all weights, and do nothing else, by the time of a step that answers.\n"
            }
            if rows.contains(where: { $0.filled == Fill.synthetic.rawValue }) {
                page += "synthetic: the pages before what is timed hold made-up keys and values; nothing was read.\n"
            }
            return page
        }
    }
}
