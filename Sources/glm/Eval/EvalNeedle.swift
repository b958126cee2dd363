import ArgumentParser
import Core
import FoundationEssentials

/// `glm eval needle`: hides facts in long texts and asks the cluster for each.
///
/// Meant for the needle model (`glm model make needle`), whose weights recall a fact exactly: a page routed wrongly,
/// a merge done wrongly or a stale page shows as a wrong answer. Exit status 1 when an answer is wrong.
struct EvalNeedle: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "needle", abstract: "Hide facts in long texts and ask for each: the product's self-test.")

    @Option(help: "The longest text, in tokens.")
    var context: Int = 8192

    @Option(help: "Facts in a text, from its beginning to its end; 1 to 32.")
    var depths: Int = 5

    @Option(
        help: "Lengths in tokens with commas between; an eighth, a quarter, half and all of --context unless given.")
    var lengths: String?

    @Option(help: "Chooses sentences, keys and values.")
    var seed: UInt64 = 1

    @Option(help: "exact, or sparse: attend to chosen pages only.")
    var attention: String = AttentionMode.exact.rawValue

    @Flag(help: "Print JSON: found, total and cells.")
    var json = false

    @Option(help: "Also write a picture of the table to this file.")
    var svg: String?

    @Option(help: "Start a cluster of this layout for the evaluation, and end it afterwards.")
    var layout: String?

    @Option(help: "The model of that cluster; the needle model, made on the spot, unless given.")
    var model: String?

    @Option(help: "Weights in memory of that cluster: f32, bf16, f16, q8 or q4.")
    var type: String?

    @Option(name: .customLong("kv-type"), help: "Keys and values in memory of that cluster: f32, f16, q8 or q4.")
    var kvType: String?

    @Option(name: .customLong("kv-memory"), help: "Memory of each worker's KV pool of that cluster, like 100M.")
    var kvMemory: String?

    @OptionGroup var gateway: GatewayOptions

    func run() async throws {
        guard (1...Haystack.keys.count).contains(depths) else {
            throw Problem.invalid("--depths \(depths): the model knows \(Haystack.keys.count) keys; use 1 to that")
        }
        let lengths = try lengthsAsked()
        guard layout != nil || model != nil || kvType != nil || kvMemory != nil || type != nil else {
            return try await evaluate(lengths, gateway: try gateway.client())
        }
        let own = try await EvaluationCluster.start(
            layout: layout ?? "2x2", model: model,
            flags: [("--kv-type", kvType), ("--kv-memory", kvMemory), ("--type", type)].flatMap { flag, value in
                value.map { [flag, $0] } ?? []
            })
        do {
            try await Interrupt.cancelling { [self] in try await evaluate(lengths, gateway: own.client()) }
            await own.stop()
        } catch {
            await own.stop()
            throw error
        }
    }

    private func evaluate(_ lengths: [Int], gateway: GatewayClient) async throws {
        let client = NeedleClient(
            gateway: gateway, label: "reading:", attention: try AttentionMode(flag: attention))
        let start = ContinuousClock.now
        let bytesPerToken = try await client.bytesPerToken(seed: seed)
        var progress = ProgressLine("asking", unit: "questions")
        var cells: [NeedleReport.Cell] = []
        for length in lengths {
            let haystack = try haystack(tokens: length, bytesPerToken: bytesPerToken)
            for needle in haystack.needles {
                progress.show(cells.count, of: lengths.count * depths)
                cells.append(try await client.ask(for: needle, in: haystack, length: length))
            }
        }
        progress.clear()
        let (layout, workers) = try await client.workers()
        let report = NeedleReport(
            model: try await client.modelName(), layout: layout, workers: workers, attention: attention,
            found: cells.filter(\.found).count,
            total: cells.count,
            seconds: start.duration(to: .now) / .seconds(1), cells: cells)
        if let svg { try write(report.svg, to: svg) }
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
            print(String(decoding: try encoder.encode(report), as: UTF8.self))
        } else {
            print(report.table)
        }
        if report.found < report.total { throw ExitCode(1) }
    }

    private func lengthsAsked() throws -> [Int] {
        guard let lengths else {
            try check(context, flag: "--context")
            return [8, 4, 2, 1].map { context / $0 }.filter { $0 >= shortest }
        }
        let asked = try lengths.split(separator: ",", omittingEmptySubsequences: false).map { part in
            guard let length = Int(part) else {
                throw Problem.invalid(
                    "--lengths: '\(part)' is no number; write tokens with commas between, like 512,4096")
            }
            try check(length, flag: "--lengths")
            return length
        }
        return Set(asked).sorted()
    }

    /// A text that holds its facts and a little prose, in tokens.
    private var shortest: Int { 64 + 24 * depths }

    private func check(_ length: Int, flag: String) throws {
        guard (shortest...1 << 24).contains(length) else {
            throw Problem.invalid(
                "\(flag): \(length) tokens do not hold \(depths) facts and a question; use at least \(shortest)")
        }
    }

    /// A text that fills `tokens` together with its question, the template's own tokens and the answer.
    private func haystack(tokens: Int, bytesPerToken: Double) throws -> Haystack {
        // The ratio is a sample's: a text that fills the model's whole context must not be longer than that.
        let bytes = Int((Double(tokens) * 0.9995 - 48) * bytesPerToken)
        let positions = depths == 1 ? [0.5] : (0..<depths).map { Double($0) / Double(depths - 1) }
        return Haystack(byteCount: bytes, depths: positions, seed: seed &+ UInt64(tokens))
    }

    private func write(_ text: String, to path: String) throws {
        do {
            try Data(text.utf8).write(to: URL(filePath: path))
        } catch {
            throw Problem.failed("--svg \(path): the file cannot be written; does its folder exist?")
        }
    }
}
