import Core
import GLM
import Glibc

/// A cluster of `glm up` for one evaluation, on a port of its own.
struct EvaluationCluster: Sendable {
    private let up: Child
    private let folder: PrivateFolder
    private let madeModel: String?
    private let port: UInt16

    /// Starts it and waits until it serves. Without a model it makes the needle model, with a layer for each stage.
    static func start(layout: String, model: String?, flags: [String]) async throws -> EvaluationCluster {
        let grid = try Layout(layout)
        let folder = try PrivateFolder()
        let made = "\(folder.path)/needle"
        if model == nil { try NeedleModel.make(folder: made, layers: max(2, grid.stages)) }
        let port = try freePort()
        let up = try Child(
            "up",
            [
                "up", "--model", model ?? made, "--layout", layout, "--workers", "\(grid.workers)", "--listen",
                "127.0.0.1:\(port)",
            ] + flags, folder: folder.path)
        let cluster = EvaluationCluster(
            up: up, folder: folder, madeModel: model == nil ? made : nil, port: port)
        do {
            try await cluster.waitUntilReady()
            return cluster
        } catch {
            await cluster.stop()
            throw error
        }
    }

    /// Its gateway.
    func client() throws -> GatewayClient {
        GatewayClient(http: try HTTPClient(url: "http://127.0.0.1:\(port)"))
    }

    private func waitUntilReady() async throws {
        let client = try client()
        while true {
            guard up.isRunning else { throw up.end }
            if (try? await client.json(.GET, "/ready")) != nil { return }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// Ends it, and removes the model that it made.
    func stop() async {
        await up.stop(grace: .seconds(15))
        if let madeModel {
            for file in ["config.json", "model.safetensors", "tokenizer.model"] { unlink("\(madeModel)/\(file)") }
            rmdir(madeModel)
        }
        folder.remove()
    }

    /// A port that nobody listens at: the system names one.
    private static func freePort() throws -> UInt16 {
        let probe = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard probe >= 0 else { throw Problem.failed("no socket can be made: \(String(cString: strerror(errno)))") }
        defer { close(probe) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw in
                bind(probe, raw, size) == 0 ? getsockname(probe, raw, &size) : -1
            }
        }
        guard code == 0 else { throw Problem.failed("no port is free: \(String(cString: strerror(errno)))") }
        return UInt16(bigEndian: address.sin_port)
    }
}
