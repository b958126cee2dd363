import ArgumentParser
import Core

/// `glm bench links`: what the links between the workers of a running cluster can do.
struct LinksBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "links", abstract: "Measure round trip and bandwidth between the workers of a running cluster.",
        discussion:
            "The workers send to one another what tensors take: shared memory on one host, sockets between hosts. Every pair takes its turn, less than a second each. Measure while the cluster is idle: jobs go on, but their steps wait for a pair that measures, a pair waits for the steps before it, and other workers that compute take its processors."
    )

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var gateway: GatewayOptions

    func run() async throws {
        let answer = try await gateway.client().json(.POST, "/v1/cluster/links")
        Terminal.write(json ? answer.text() + "\n" : Self.page(answer))
    }

    /// A line a pair.
    static func page(_ answer: JSONValue) -> String {
        let header = ["FROM", "TO", "WAY", "ROUND TRIP 64 B", "16 KIB", "BANDWIDTH"]
        return Terminal.table(header, (answer["data"]?.elements ?? []).map(row), right: [3, 4, 5])
    }

    private static func row(_ link: JSONValue) -> [String] {
        func time(_ key: String) -> String {
            guard let microseconds = link[key]?.double else { return "?" }
            return "\(Terminal.fixed(microseconds, places: microseconds < 100 ? 1 : 0)) us"
        }
        let rate = link["bytes_per_second"]?.double.map { "\(Terminal.fixed($0 / 1e6, places: 0)) MB/s" }
        return [
            link["from"]?.string ?? "?", link["to"]?.string ?? "?", link["way"]?.string ?? "?", time("round_trip_us"),
            time("row_round_trip_us"), rate ?? "?",
        ]
    }
}
