import Core
import Gateway
import Testing
import Tokenization

@Suite("connections")
struct ConnectionTests {
    @Test("a client that leaves during a stream or a wait takes its job with it", arguments: [true, false])
    func disconnect(isStream: Bool) async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            let body = #"{"messages":[{"role":"user","content":"hang"}],"stream":\#(isStream)}"#
            let waiting = Task {
                try await client.send(.post, "/v1/chat/completions", body) { $0.contains("prefill") }
            }
            #expect(await eventually { await cluster.requests.count == 1 })
            // The stream's reader hangs up by itself once it saw the prompt done; the other one has to be told.
            if !isStream { waiting.cancel() }
            #expect(await eventually { await cluster.cancelled == [JobID("job-1")] })
            _ = await waiting.result
        }
    }

    @Test("a job whose answer was read to its end is not cancelled")
    func complete() async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            for isStream in [true, false] {
                let reply = try await client.send(
                    .post, "/v1/chat/completions",
                    #"{"messages":[{"role":"user","content":"hi"}],"stream":\#(isStream)}"#)
                #expect(reply.status == 200)
            }
        }
        #expect(await cluster.cancelled.isEmpty)
    }

    @Test("a stream with nothing to say sends comments")
    func heartbeat() async throws {
        try await withGateway(try FakeCluster(), heartbeat: .milliseconds(20)) { client in
            let reply = try await client.send(
                .post, "/v1/chat/completions", #"{"messages":[{"role":"user","content":"hang"}],"stream":true}"#
            ) { $0.split(separator: "\n").count { $0 == ": still here" } == 3 }
            #expect(reply.body.contains(": still here\n\n"))
        }
    }

    @Test("many clients at once each get their own answer")
    func many() async throws {
        try await withGateway(try FakeCluster()) { client in
            let answers = try await withThrowingTaskGroup(of: (Int, String).self) { group in
                for number in 0..<50 {
                    group.addTask {
                        let reply = try await client.send(
                            .post, "/v1/chat/completions",
                            #"{"messages":[{"role":"user","content":"number \#(number)"}],"stream":true}"#)
                        let texts = try reply.chunks.compactMap {
                            $0["choices"]?.elements?.first?["delta"]?["content"]?.string
                        }
                        return (number, texts.joined())
                    }
                }
                return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            }
            #expect(answers == Dictionary(uniqueKeysWithValues: (0..<50).map { ($0, "number \($0)") }))
        }
    }

    @Test("a port that is in use is one clear problem")
    func portInUse() async throws {
        try await withGateway(try FakeCluster()) { client in
            let listen = try ListenAddress("127.0.0.1:\(client.port)")
            let second = try Gateway(settings: Gateway.Settings(listen: listen), service: try FakeCluster())
            let problem = await #expect(throws: Problem.self) { try await second.run(handlesSignals: false) }
            #expect(problem?.kind == .invalid)
            #expect(problem?.message.contains("port \(client.port) of 127.0.0.1 is in use") == true)
        }
    }

    @Test("an address that others can reach is refused unless it is allowed")
    func open() async throws {
        for host in ["0.0.0.0:8080", "192.168.1.5:8080", "[::]:8080", "example.org:80", "127.0.0.1.example.org:80"] {
            let listen = try ListenAddress(host)
            let gateway = try Gateway(settings: Gateway.Settings(listen: listen), service: try FakeCluster())
            let problem = await #expect(throws: Problem.self) { try await gateway.run(handlesSignals: false) }
            #expect(problem?.kind == .refused)
            #expect(problem?.message.contains("--insecure") == true)
        }
        for host in ["127.0.0.1:8080", "localhost:1", "[::1]:0", "127.8.9.1:80"] {
            #expect(try ListenAddress(host).isLoopback)
            #expect(try ListenAddress(host).description == host)
        }
        for text in ["", "8080", "host", ":8080", "host:", "host:65536", "::1:80", "host:-1", "[]:80"] {
            #expect(throws: Problem.self) { try ListenAddress(text) }
        }
    }
}
