import CZeroMQ
import Testing

/// Bad input: one clear line, the right exit status, and a cluster that serves on.
@Suite("Processes refuse bad input", .serialized, .timeLimit(.minutes(5)))
struct RefusalTests {
    @Test(
        "11: bad usage is one line and exit status 2",
        arguments: [
            ["frobnicate"], ["up", "--workers", "many"], ["generate"], ["submit", "--no-such-flag"],
            ["logits", "--model"],
            ["jobs", "frobnicate"], ["eval", "needle", "--depths", "x"], ["plan", "--model", "glm-4-9b-chat"],
        ])
    func badUsage(arguments: [String]) async throws {
        let end = try await Command.run(arguments)
        #expect(end.isOneError(status: 2), "\(end)")
    }

    @Test(
        "12: what cannot be done is one line and exit status 1",
        arguments: [
            ["generate", "--model", "/nowhere", "--tokens", "1", "--max-tokens", "1"],
            ["up", "--model", "/nowhere", "--workers", "1"],
            ["coordinator", "--model", "/nowhere", "--bind", "tcp://127.0.0.1:7999"],
            ["model", "inspect", "/nowhere"],
            ["tokenize", "--model", "/nowhere", "--text", "x"],
            ["submit", "hello", "--gateway", "http://127.0.0.1:1"],
            ["status", "--gateway", "no address"],
            ["eval", "needle", "--gateway", "http://127.0.0.1:1"],
            ["eval", "needle", "--depths", "99"],
            ["eval", "needle", "--context", "10"],
            ["plan", "--model", "glm-4-9b-chat", "--hosts", "/nowhere"],
            ["plan", "--model", "no-such-model", "--hosts", "/dev/null"],
            ["bench", "host", "--type", "q5"],
        ])
    func impossible(arguments: [String]) async throws {
        let end = try await Command.run(arguments)
        #expect(end.isOneError(status: 1), "\(end)")
    }

    @Test("13: a layout that the model cannot be cut into is refused", arguments: ["9x1", "1x9", "0x1", "2", "axb"])
    func badLayout(layout: String) async throws {
        let scratch = try Scratch()
        let model = scratch.path + "/needle"
        let made = try await Command.run(["model", "make", "needle", "--out", model])
        #expect(made.status == 0, "\(made.errors)")
        let end = try await Command.run(
            ["generate", "--model", model, "--tokens", "1,2", "--max-tokens", "1", "--layout", layout])
        #expect(end.isOneError(status: 1), "\(end)")
    }

    @Test("14: a port in use is named, and who has it serves on")
    func portInUse() async throws {
        let cluster = try await TestCluster.byHand(workers: 1, layout: "1x1")
        let second = try await Command.run(
            ["coordinator", "--model", cluster.model, "--bind", cluster.control], limit: .seconds(20))
        #expect(second.isOneError(status: 1), "\(second)")
        #expect(second.errors.contains("\(cluster.controlPort)"), "\(second.errors)")
        let listen = cluster.url.dropFirst("http://".count)
        let gateway = try await Command.run(
            ["gateway", "--coordinator", cluster.control, "--listen", String(listen)], limit: .seconds(20))
        #expect(gateway.isOneError(status: 1), "\(gateway)")
        #expect(try await cluster.recall() == "719")
        try await cluster.stop()
    }

    @Test("15: addresses that others can reach are refused without keys")
    func openAddresses() async throws {
        let scratch = try Scratch()
        let model = scratch.path + "/needle"
        _ = try await Command.run(["model", "make", "needle", "--out", model])
        let port = try freePort()
        let coordinator = try await Command.run(
            ["coordinator", "--model", model, "--bind", "tcp://0.0.0.0:\(port)"], limit: .seconds(20))
        #expect(coordinator.isOneError(status: 1), "\(coordinator)")
        #expect(coordinator.errors.contains("keys"))
        let up = try await Command.run(
            ["up", "--model", model, "--workers", "1", "--listen", "0.0.0.0:\(port)"], limit: .seconds(20))
        #expect(up.isOneError(status: 1), "\(up)")
    }

    @Test("16: raw bytes, junk frames and half handshakes at the coordinator's socket leave the cluster serving")
    func garbage() async throws {
        let cluster = try await TestCluster.byHand(workers: 2, layout: "1x2")
        var random = SystemRandomNumberGenerator()
        for length in [0, 1, 9, 64, 1000, 70_000] {
            throwBytes((0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }, atPort: cluster.controlPort)
        }
        // A right greeting, then a frame that claims 2^62 bytes.
        let greeting: [UInt8] = [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0] + Array("NULL".utf8)
        throwBytes(
            greeting + [UInt8](repeating: 0, count: 48) + [2, 0x40, 0, 0, 0, 0, 0, 0, 0], atPort: cluster.controlPort)
        throwBytes(Array("GET / HTTP/1.1\r\n\r\n".utf8), atPort: cluster.controlPort)
        try throwFrames(at: cluster.control)
        #expect(try await cluster.recall() == "719")
        try await cluster.stop()
    }

    @Test("17: a worker with another cluster's key is refused, one with the right key is admitted")
    func wrongKey() async throws {
        let scratch = try Scratch()
        for name in ["ours", "theirs"] {
            let made = try await Command.run(["keys", "make", "--out", scratch.path + "/" + name])
            #expect(made.status == 0, "\(made.errors)")
        }
        let model = scratch.path + "/needle"
        _ = try await Command.run(["model", "make", "needle", "--out", model])
        let control = "tcp://127.0.0.1:\(try freePort())"
        let key = scratch.path + "/ours/cluster.key"
        let coordinator = try Running(
            ["coordinator", "--model", model, "--layout", "1x1", "--bind", control, "--keys", key])
        let worker = ["worker", "--coordinator", control, "--threads", "1", "--memory", "256M", "--cache", "none"]
        let stranger = try Running(worker + ["--name", "stranger", "--keys", scratch.path + "/theirs/cluster.key"])
        let friend = try Running(worker + ["--name", "friend", "--keys", key])
        let listen = "127.0.0.1:\(try freePort())"
        let gateway = try Running(
            ["gateway", "--coordinator", control, "--listen", listen, "--keys", scratch.path + "/ours/gateway.key"])
        try await eventually("a cluster that is ready") {
            for process in [coordinator, gateway, friend] where !process.isRunning {
                throw Running.Failure(description: "a process ended: \(process.errors)")
            }
            let status = try await Command.run(["status", "--json", "--gateway", "http://\(listen)"])
            return status.output.hasPrefix("{\"state\":\"ready\"") && !status.output.contains("stranger")
        }
        for process in [stranger, friend, gateway, coordinator] { try await process.stop() }
    }

    /// Connects as a peer that speaks ZeroMQ but nothing of ours.
    private func throwFrames(at endpoint: String) throws {
        let context = try #require(zmq_ctx_new())
        let socket = try #require(zmq_socket(context, ZMQ_DEALER))
        var linger: Int32 = 500
        zmq_setsockopt(socket, ZMQ_LINGER, &linger, MemoryLayout<Int32>.size)
        #expect(zmq_connect(socket, endpoint) == 0)
        let junk: [[UInt8]] = [
            [], [0], Array(repeating: 0xff, count: 100), Array("hello".utf8), [0x08, 0x01, 0x52, 0x7f],
            [0x08, 0x01, 0xb2, 0x03, 0x00],
        ]
        for frame in junk {
            zmq_send(socket, frame, frame.count, ZMQ_SNDMORE)
            zmq_send(socket, frame, frame.count, 0)
            zmq_send(socket, frame, frame.count, 0)
        }
        zmq_close(socket)
        zmq_ctx_term(context)
    }
}
