import ArgumentParser
import Core
import Tokenization

/// `glm scale`: another layout, while jobs run on.
struct Scale: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scale", abstract: "Change the layout of a cluster that runs; its jobs go on.",
        discussion:
            "Slices are loaded in the background, then the new layout takes over. Jobs keep their tokens; what the KV cache held is computed again."
    )

    @Option(help: "Stages x ranks, like 2x2; auto takes in all workers.")
    var layout: String

    @Flag(help: "Print one JSON object at the end.")
    var json = false

    @OptionGroup var gateway: GatewayOptions

    func run() async throws {
        let client = try gateway.client()
        _ = try await client.json(.POST, "/v1/cluster/scale", body: .object([.init("layout", .string(layout))]))
        let status = try await LayoutWatch(client: client).wait()
        Terminal.write(json ? status.text() + "\n" : Status.page(status))
    }
}

/// `glm drain`: takes a worker out of the layout without a loss.
struct Drain: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain", abstract: "Take a worker out of the layout; jobs go on with the others.",
        discussion: "When the command returns the worker holds nothing any more and can be ended.")

    @Argument(help: "The worker's name.")
    var worker: String

    @Flag(help: "Print one JSON object at the end.")
    var json = false

    @OptionGroup var gateway: GatewayOptions

    func run() async throws {
        let client = try gateway.client()
        _ = try await client.json(.POST, "/v1/cluster/drain", body: .object([.init("worker", .string(worker))]))
        let status = try await LayoutWatch(client: client).wait()
        let state = (status["members"]?.elements ?? []).first { $0["worker"]?.string == worker }?["state"]?.string
        guard state == nil || state == "drained" else {
            throw Problem.failed("worker \(worker) is still in the layout; see the coordinator's log for why")
        }
        Terminal.write(json ? status.text() + "\n" : Status.page(status))
    }
}

/// Waits for a layout that is being loaded.
private struct LayoutWatch {
    let client: GatewayClient

    /// The status when no other layout is being loaded any more.
    func wait() async throws -> JSONValue {
        let before = try await client.json(.GET, "/v1/status")
        guard let wanted = before["next_layout"]?.string else { return before }
        var progress = ProgressLine("loading layout \(wanted):", unit: "workers")
        defer { progress.clear() }
        while true {
            let status = try await client.json(.GET, "/v1/status")
            guard status["next_layout"]?.string != nil else {
                guard status["layout"]?.string == wanted else {
                    throw Problem.failed("layout \(wanted) could not be loaded; see the coordinator's log for why")
                }
                return status
            }
            let members = status["members"]?.elements ?? []
            let loading = members.count { $0["activity"]?.string?.hasPrefix("loading") == true }
            progress.show(members.count - loading, of: members.count)
            try await Task.sleep(for: .milliseconds(100))
        }
    }
}
