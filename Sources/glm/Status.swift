import ArgumentParser
import Core
import Tokenization

/// `glm status`: the cluster as it is now.
struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show the cluster: members, stages, ranks, memory, what each is doing.")

    @Flag(help: "Show where the KV pages are: by worker, stage and slot, with bytes and reuse.")
    var kv = false

    @Flag(help: "Show what workers have sent to one another, a token and a layer.")
    var wire = false

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var gateway: GatewayOptions

    func run() async throws {
        let status = try await gateway.client().json(.GET, "/v1/status")
        guard !json else { return Terminal.write(status.text() + "\n") }
        Terminal.write(kv ? KVMap.page(status) : wire ? TrafficPage.page(status) : Self.page(status))
    }

    /// The status for people.
    static func page(_ status: JSONValue) -> String {
        func number(_ key: String) -> Int { status[key]?.integer ?? 0 }
        let layout = status["layout"]?.string ?? "no layout yet"
        let next = status["next_layout"]?.string.map { ", loading \($0)" } ?? ""
        let model = status["model"]?.string ?? ""
        var page = "\(model.isEmpty ? "no model" : model): \(status["state"]?.string ?? "?"), \(layout)\(next)"
        page += ", epoch \(number("epoch")), \(number("steps")) steps"
        page += ", jobs: \(number("running_jobs")) running, \(number("queued_jobs")) waiting\n"
        let members = status["members"]?.elements ?? []
        guard !members.isEmpty else { return page + "no members; start workers with `glm worker`\n" }
        var header = [
            "WORKER", "STATE", "STAGE", "RANK", "LAYERS", "LEAVES", "MEMORY", "WEIGHTS", "KV CACHE", "BUSY", "THREADS",
        ]
        // Where no host has several NUMA nodes there is nothing to say.
        let nodes = members.map { $0["numa_nodes"]?.string }
        let places = nodes.contains { $0 != nil }
        header += (places ? ["NUMA"] : []) + ["ACTIVITY"]
        let rows = zip(members, nodes).map { member, nodes in
            row(member) + (places ? [nodes ?? "-"] : []) + [member["activity"]?.string ?? ""]
        }
        return page + "\n" + Terminal.table(header, rows, right: [2, 3, 6, 7, 8, 9, 10])
    }

    private static func row(_ member: JSONValue) -> [String] {
        func range(_ key: String) -> String {
            guard let ends = member[key]?.elements, ends.count == 2, let first = ends[0].integer,
                let end = ends[1].integer, end > first
            else { return "-" }
            return end == first + 1 ? "\(first)" : "\(first)-\(end - 1)"
        }
        func bytes(_ key: String) -> String { Terminal.bytes(member[key]?.integer ?? 0) }
        return [
            member["worker"]?.string ?? "?", member["state"]?.string ?? "?",
            member["stage"]?.integer.map { "\($0)" } ?? "-", member["rank"]?.integer.map { "\($0)" } ?? "-",
            range("layers"), range("leaves"), bytes("memory_bytes"), bytes("weight_bytes"),
            KVMap.inUse(member["kv"]), "\(Int(((member["busy"]?.double ?? 0) * 100).rounded()))%",
            "\(member["threads"]?.integer ?? 0)",
        ]
    }
}
