import FoundationEssentials
import Testing

/// A cluster of real processes for one test: made, asked, broken and ended by its id.
///
/// `up` starts everything with one command, `byHand` each role by its own, so that a test can end one of them.
final class TestCluster {
    /// The gateway's address.
    let url: String
    /// The coordinator's address; empty for `up`.
    let control: String
    /// The tcp port of the coordinator's address.
    let controlPort: Int
    private let scratch: Scratch
    private var processes: [String: Running] = [:]

    private var coordinator: [String] = []

    /// Where its coordinator keeps jobs, when it does.
    var store: String { scratch.path + "/store.db" }

    /// Starts the coordinator, for the first time or again.
    func startCoordinator() throws { processes["coordinator"] = try Running(coordinator) }

    /// The needle model that it serves.
    var model: String { scratch.path + "/needle" }

    private init(scratch: Scratch, control: String, controlPort: Int, url: String) {
        self.scratch = scratch
        self.control = control
        self.controlPort = controlPort
        self.url = url
    }

    /// `glm up` with these flags, ready to answer; `meanwhile` happens to it while it starts.
    static func up(_ flags: [String], meanwhile: (Running) async throws -> Void = { _ in }) async throws -> TestCluster
    {
        let listen = "127.0.0.1:\(try freePort())"
        let cluster = TestCluster(scratch: try Scratch(), control: "", controlPort: 0, url: "http://\(listen)")
        try await cluster.makeModel()
        let up = try Running(["up", "--model", cluster.model, "--threads", "1", "--listen", listen] + flags)
        cluster.processes["up"] = up
        try await meanwhile(up)
        try await cluster.waitUntilReady()
        return cluster
    }

    /// Coordinator, gateway and `workers` workers, each started by hand.
    static func byHand(
        workers: Int, layout: String, coordinator flags: [String] = [], store: Bool = false
    ) async throws -> TestCluster {
        let port = try freePort()
        let listen = "127.0.0.1:\(try freePort())"
        let cluster = TestCluster(
            scratch: try Scratch(), control: "tcp://127.0.0.1:\(port)", controlPort: port, url: "http://\(listen)")
        try await cluster.makeModel()
        cluster.coordinator =
            ["coordinator", "--model", cluster.model, "--layout", layout, "--bind", cluster.control] + flags
            + (store ? ["--store", cluster.store] : [])
        try cluster.startCoordinator()
        cluster.processes["gateway"] = try Running(
            ["gateway", "--coordinator", cluster.control, "--listen", listen])
        for number in 0..<workers { try cluster.addWorker("w\(number)") }
        try await cluster.waitUntilReady()
        return cluster
    }

    private func makeModel() async throws {
        let made = try await Command.run(["model", "make", "needle", "--layers", "4", "--out", model])
        guard made.status == 0 else { throw Running.Failure(description: "model make: \(made.errors)") }
    }

    /// Starts a worker called `name`.
    @discardableResult
    func addWorker(_ name: String, flags: [String] = []) throws -> Running {
        let worker = try Running(
            [
                "worker", "--coordinator", control, "--name", name, "--threads", "1", "--memory", "256M", "--cache",
                scratch.path + "/cache-" + name,
            ] + flags)
        processes[name] = worker
        return worker
    }

    /// One of its processes.
    func process(_ name: String) throws -> Running { try #require(processes[name]) }

    /// Runs a client command against the gateway.
    func ask(_ arguments: [String], limit: Duration = .seconds(60)) async throws -> Command.Outcome {
        try await Command.run(arguments + ["--gateway", url], limit: limit)
    }

    /// Whether it serves.
    func isReady() async throws -> Bool {
        for (name, process) in processes where !process.isRunning {
            if name == "up" || name == "coordinator" || name == "gateway" {
                throw Running.Failure(description: "\(name) ended: \(process.errors)")
            }
        }
        let status = try await ask(["status", "--json"])
        return status.status == 0 && status.output.hasPrefix("{\"state\":\"ready\"")
    }

    /// Waits until it serves.
    func waitUntilReady() async throws {
        do {
            try await eventually("a cluster that is ready", within: .seconds(30)) { try await isReady() }
        } catch let failure as Running.Failure {
            let said = processes.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value.errors.suffix(400))" }
            throw Running.Failure(description: "\(failure)\n" + said.joined(separator: "\n"))
        }
    }

    /// Asks for a fact that the text states; the answer without its newline.
    func recall() async throws -> String {
        let question = " Note: heron=719. It rained. What is it? heron="
        let said = try await ask(["submit", question, "--temperature", "0", "--max-tokens", "8"])
        guard said.status == 0 else { throw Running.Failure(description: "submit: \(said.errors)") }
        return String(said.output.prefix { $0 != "\n" && $0 != "." })
    }

    /// Ends all processes, the workers first.
    func stop() async throws {
        for (_, process) in processes.sorted(by: { $0.key > $1.key }) { process.send(15) }
        for (_, process) in processes { _ = try await process.wait() }
        processes = [:]
    }
}
