import Core
import Yams

/// The file that `glm plan --hosts` reads: kinds of hosts, their measured rates, and the network between them.
///
/// It is YAML (or JSON, which is YAML too); docs/operations.md describes it. An unknown key or a number out of range is an
/// error that names the line.
struct HostsFile: Sendable {
    /// Some hosts that are alike.
    struct Kind: Sendable {
        /// What the file calls them.
        var name: String
        /// How many there are.
        var count: Int
        /// Bytes that each offers to its workers together.
        var memory: Int
        /// Workers on each.
        var workers: Int
        /// Compute threads of each worker.
        var threads: Int
        /// What was measured.
        var rates: HostRates
    }

    /// The hosts, in the order of the file.
    var hosts: [Kind]
    /// Bytes a second between two hosts, each way; nil when the file does not say.
    var bandwidth: Double?
    /// Seconds until a small message is on another host; nil when the file does not say.
    var latency: Double?

    /// Workers of all hosts.
    var workerCount: Int { hosts.reduce(0) { $0 + $1.count * $1.workers } }
    /// Hosts.
    var hostCount: Int { hosts.reduce(0) { $0 + $1.count } }

    /// Reads the file at `path`.
    init(path: String) throws {
        let bytes = try FileBytes.read(path, remedy: "name a file of hosts; glm bench host prints an entry for it")
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Problem.invalid("\(path) is not UTF-8 text; expected a file of hosts in YAML")
        }
        try self.init(text: text, path: path)
    }

    /// Reads the text of a file that problems call `path`.
    init(text: String, path: String) throws {
        let root: Node?
        do {
            root = try compose(yaml: text)
        } catch let error as YamlError {
            throw Problem.invalid("\(path)\(Self.inWords(error)); expected a file of hosts in YAML")
        }
        guard let root else { throw Problem.invalid("\(path) is empty; expected a list of hosts: 'hosts:'") }
        let reader = HostsReader(path: path)
        let top = try reader.members(root, keys: ["hosts", "network"], of: "the file")
        guard let list = top["hosts"]?.sequence, !list.isEmpty else {
            throw Problem.invalid("\(path): 'hosts' is missing or no list; glm bench host prints an entry for it")
        }
        hosts = try list.map { try reader.kind($0) }
        if let network = top["network"] {
            let members = try reader.members(network, keys: ["bandwidth", "latency"], of: "'network'")
            bandwidth = try members["bandwidth"].map { try reader.number($0, "bandwidth", 1e-4...1e4) * 1e9 }
            latency = try members["latency"].map { try reader.number($0, "latency", 0...1e6) / 1e6 }
        }
        guard workerCount <= 4096 else {
            throw Problem.invalid("\(path) has \(workerCount) workers; at most 4096 can be planned")
        }
    }

    private static func inWords(_ error: YamlError) -> String {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            " line \(mark.line): not YAML: \(problem)"
        case .duplicatedKeysInMapping(let keys, let context):
            " line \(context.mark.line): \(keys.joined(separator: ", ")) is given twice"
        default: ": not YAML"
        }
    }
}

/// Reads nodes; its problems name the line.
private struct HostsReader {
    let path: String

    /// The members of a mapping, none of which may be unknown.
    func members(_ node: Node, keys: [String], of what: String) throws -> [String: Node] {
        guard let mapping = node.mapping else { throw problem(node, "\(what) is no mapping of keys and values") }
        var members: [String: Node] = [:]
        for (key, value) in mapping {
            guard let name = key.string, keys.contains(name) else {
                throw problem(
                    key, "unknown key '\(key.string ?? "?")' in \(what), expected \(keys.joined(separator: ", "))")
            }
            members[name] = value
        }
        return members
    }

    /// A number in `bounds`.
    func number(_ node: Node, _ key: String, _ bounds: ClosedRange<Double>) throws -> Double {
        guard let text = node.scalar?.string, let number = Double(text), bounds.contains(number) else {
            throw problem(
                node, "\(key) is '\(node.scalar?.string ?? "no number")', expected \(inWords(bounds))")
        }
        return number
    }

    /// A number in `bounds`, as short as it can be written.
    private func inWords(_ bounds: ClosedRange<Double>) -> String {
        func short(_ x: Double) -> String { x >= 1 || x == 0 ? "\(Int(x))" : "\(x)" }
        return "a number from \(short(bounds.lowerBound)) to \(short(bounds.upperBound))"
    }

    /// One entry of `hosts`.
    func kind(_ node: Node) throws -> HostsFile.Kind {
        let members = try members(
            node, keys: ["name", "count", "memory", "workers", "threads", "rates"], of: "a host")
        func count(_ key: String, _ most: Int) throws -> Int? {
            guard let found = members[key] else { return nil }
            guard let text = found.scalar?.string, let number = Int(text), 1...most ~= number else {
                throw problem(
                    found,
                    "\(key) is '\(found.scalar?.string ?? "no number")', expected a whole number from 1 to \(most)")
            }
            return number
        }
        guard let memory = members["memory"], let bytes = memory.scalar?.string else {
            throw problem(node, "a host has no memory; write what it offers to its workers, like memory: 48G")
        }
        guard let threads = try count("threads", 1024) else {
            throw problem(node, "a host has no threads; write the compute threads of a worker, like threads: 16")
        }
        return HostsFile.Kind(
            name: members["name"]?.scalar?.string ?? "host", count: try count("count", 4096) ?? 1,
            memory: try byteCount(bytes, flag: "\(path) line \(memory.mark?.line ?? 0): memory"),
            workers: try count("workers", 64) ?? 1, threads: threads,
            rates: try members["rates"].map(rates) ?? HostRates())
    }

    private func rates(_ node: Node) throws -> HostRates {
        var rates = HostRates()
        let members = try members(node, keys: HostRates.CodingKeys.allCases.map(\.rawValue), of: "'rates'")
        for kind in HostRates.CodingKeys.allCases {
            guard let types = members[kind.rawValue] else { continue }
            let names =
                kind == .products || kind == .read ? WeightType.allCases.map(\.name) : KVType.allCases.map(\.name)
            for (type, rate) in try self.members(types, keys: names, of: "'\(kind.rawValue)'") {
                rates[kind][type] = try number(rate, "\(kind.rawValue) \(type)", 1e-3...1e6)
            }
        }
        return rates
    }

    private func problem(_ node: Node, _ what: String) -> Problem {
        Problem.invalid("\(path)\(node.mark.map { " line \($0.line)" } ?? ""): \(what)")
    }
}
