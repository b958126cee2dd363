import FoundationEssentials
import Testing

/// `glm plan`: predictions from a file of hosts.
@Suite("Processes plan", .timeLimit(.minutes(2)))
struct PlanningTests {
    private static let rates = """
            rates:
              products: {q4: 1000}
              attention: {f16: 500}
              read: {q4: 50}
              decode-attention: {f16: 40}
        """

    private struct Report: Decodable {
        struct Grid: Decodable {
            var layout: String
            var fits: Bool
            var kv_bytes: Int
            var prefill_seconds: Double
            var decode_rate_at_end: Double
        }
        var assumed: [String]
        var fast_answers: String?
        var one_off_reading: String?
        var grids: [Grid]
    }

    private func plan(_ hosts: String, _ arguments: [String] = []) async throws -> Command.Outcome {
        let scratch = try Scratch()
        let path = scratch.path + "/hosts.yaml"
        try Data(hosts.utf8).write(to: URL(filePath: path))
        return try await Command.run(
            ["plan", "--model", "glm-4-9b-chat-1m", "--type", "q4", "--hosts", path] + arguments)
    }

    @Test("forty hosts hold a million tokens; wide stages answer fastest, many stages read fastest")
    func fortyHosts() async throws {
        let hosts =
            "hosts:\n  - count: 40\n    memory: 16G\n    threads: 16\n\(Self.rates)\nnetwork: {bandwidth: 1.25}\n"
        let end = try await plan(hosts, ["--json"])
        #expect(end.status == 0, "\(end.errors)")
        let report = try JSONDecoder().decode(Report.self, from: Data(end.output.utf8))
        #expect(report.grids.count == 8 && report.grids.allSatisfy(\.fits))
        // Stages of two layers each: with one host a layer the last one, which has the output matrix too, is the slowest.
        #expect(report.fast_answers == "5x8" && report.one_off_reading == "20x2")
        #expect(report.assumed.count == 1 && report.assumed[0].contains("network"))
        let wide = try #require(report.grids.first { $0.layout == "5x8" })
        let long = try #require(report.grids.first { $0.layout == "40x1" })
        // The stage of the output matrix has fewer layers, and the others more.
        let even = 85_899_345_920 / 40
        #expect((even...even * 5 / 4).contains(wide.kv_bytes) && (even...even * 5 / 4).contains(long.kv_bytes))
        #expect(wide.decode_rate_at_end > 1.9 * long.decode_rate_at_end)
        #expect(wide.prefill_seconds > long.prefill_seconds)
    }

    @Test("what does not fit is said with figures, what was not measured is named")
    func tooSmall() async throws {
        let end = try await plan("hosts: [{name: small, memory: 8G, threads: 4}]", ["--kv-type", "q8"])
        #expect(end.status == 0, "\(end.errors)")
        #expect(end.output.contains("Nothing fits: 1x1 wants"), "\(end.output)")
        #expect(end.output.contains("assumed, not measured: small (4 threads): products q4 600"), "\(end.output)")
        #expect(end.output.contains("decode-attention q8"))
    }

    @Test("one grid is shown worker by worker")
    func oneGrid() async throws {
        let end = try await plan(
            "hosts: [{memory: 32G, threads: 4, workers: 2}]", ["--layout", "1x2", "--context", "4096"])
        #expect(end.status == 0, "\(end.errors)")
        #expect(end.output.contains("000-host-000/000") && end.output.contains("000-host-000/001"), "\(end.output)")
    }

    @Test(
        "a wrong file of hosts is one line that says where",
        arguments: [
            ("hosts: [", "not YAML"), ("", "is empty"), ("hosts: []", "'hosts' is missing"),
            ("hosts:\n  - memory: 8G\n    thread: 4", "line 3: unknown key 'thread'"),
            ("hosts:\n  - memory: 8G", "no threads"), ("hosts:\n  - memory: much\n    threads: 4", "line 2"),
            ("hosts:\n  - {memory: 8G, threads: 0}", "expected a whole number from 1 to 1024"),
            ("hosts:\n  - {memory: 8G, threads: 4, rates: {read: {q5: 1}}}", "unknown key 'q5'"),
            ("hosts:\n  - {memory: 8G, threads: 4, rates: {read: {q4: fast}}}", "read q4 is 'fast'"),
            ("hosts:\n  - {memory: 8G, threads: 4}\nnetwork: 5", "'network' is no mapping"),
            ("hosts:\n  - {memory: 8G, memory: 9G, threads: 4}", "given twice"),
        ])
    func wrongFile(hosts: String, message: String) async throws {
        let end = try await plan(hosts)
        #expect(end.isOneError(status: 1) && end.errors.contains(message), "\(end)")
    }

    @Test("a grid that hosts or model cannot form is refused", arguments: ["2x1", "1x9", "41x1"])
    func wrongLayout(layout: String) async throws {
        let end = try await plan("hosts: [{memory: 8G, threads: 4}]", ["--layout", layout])
        #expect(end.isOneError(status: 1), "\(end)")
    }
}
