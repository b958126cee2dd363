import FoundationEssentials
import Glibc
import Testing

/// A coordinator that is killed and started again: what it accepted is finished, each job once, with the same tokens.
@Suite("Processes restart", .serialized, .timeLimit(.minutes(5)))
struct RestartTests {
    private struct Job: Decodable {
        var id: String
        var status: String
        var tokens: [Int]
    }

    private func body(_ seed: Int, tokens: Int) -> String {
        #"{"prompt":[\#(seed + 60),61,62,63,64,65],"max_tokens":\#(tokens),"ignore_eos":true,"temperature":1.5,"seed":\#(seed)}"#
    }

    private func submit(_ cluster: TestCluster, _ seed: Int, tokens: Int) throws -> String {
        let made = try HTTP.ask("POST", cluster.url, "/v1/jobs", body: body(seed, tokens: tokens))
        guard made.status == 202, let id = made.body.split(separator: "\"").dropFirst(3).first else {
            throw Running.Failure(description: "jobs: \(made)")
        }
        return String(id)
    }

    private func job(_ cluster: TestCluster, _ id: String) async throws -> Job {
        let shown = try await cluster.ask(["jobs", "show", id, "--json"])
        guard shown.status == 0 else { throw Running.Failure(description: "jobs show: \(shown.errors)") }
        return try JSONDecoder().decode(Job.self, from: Data(shown.output.utf8))
    }

    private func restart(_ cluster: TestCluster) async throws {
        let killed = try cluster.process("coordinator")
        killed.send(SIGKILL)
        _ = try await killed.wait()
        try cluster.startCoordinator()
    }

    @Test("a coordinator killed while jobs run and wait finishes them after its start, and forgets no answer")
    func killed() async throws {
        let cluster = try await TestCluster.byHand(
            workers: 2, layout: "1x2", coordinator: ["--kv-tokens", "2048"], store: true)
        // Two at a time have room.
        let ids = try (0..<5).map { try submit(cluster, $0, tokens: 900) }
        try await eventually("the first tokens") { try await job(cluster, ids[0]).tokens.count > 50 }
        #expect(try await job(cluster, ids[4]).status == "queued")
        // A reader of a stream, and one that waits for a whole answer, do not notice more than a pause.
        let waiter = try Running(["jobs", "wait", ids[1], "--json", "--gateway", cluster.url])
        try await restart(cluster)
        try await cluster.waitUntilReady()
        let heard = try await waiter.wait(limit: .seconds(90))
        #expect(heard.status == 0, "\(heard.errors)")
        for id in ids {
            let end = try await cluster.ask(["jobs", "wait", id, "--json"], limit: .seconds(90))
            #expect(end.status == 0, "\(end.errors)")
        }
        var found: [[Int]] = []
        for id in ids {
            let job = try await job(cluster, id)
            #expect(job.status == "finished" && job.tokens.count == 900)
            found.append(job.tokens)
        }
        // Nothing was asked twice, and the answers are those of a cluster that nobody disturbed.
        #expect(try await cluster.ask(["jobs", "list", "--json"]).output.components(of: "\"id\"") == 5)
        let again = try submit(cluster, 3, tokens: 900)
        #expect(!ids.contains(again))
        _ = try await cluster.ask(["jobs", "wait", again, "--json"], limit: .seconds(90))
        #expect(try await job(cluster, again).tokens == found[3])
        try await restart(cluster)
        try await cluster.waitUntilReady()
        for (id, tokens) in zip(ids, found) { #expect(try await job(cluster, id).tokens == tokens) }
        // An event stream goes on behind the event that the reader had last.
        let rest = try HTTP.ask(
            "GET", cluster.url, "/v1/jobs/\(ids[0])/events", headers: ["last-event-id: 897"])
        #expect(rest.body.contains("id: 898\n") && rest.body.contains("id: 900\nevent: finished"), "\(rest.body)")
        #expect(!rest.body.contains("id: 897\n") && !rest.body.contains("event: prefill"))
        try await cluster.stop()
    }

    @Test("a chat's stream pauses while the coordinator is started again, and does not break")
    func stream() async throws {
        let cluster = try await TestCluster.byHand(workers: 1, layout: "1x1", store: true)
        let wanted = try HTTP.ask("POST", cluster.url, "/v1/completions", body: body(5, tokens: 4000))
        #expect(wanted.status == 200)
        let url = cluster.url
        let body = body(5, tokens: 4000).dropLast() + #","stream":true}"#
        async let streamed = Task.detached { try HTTP.ask("POST", url, "/v1/completions", body: String(body)) }.value
        try await eventually("the stream's job") {
            let jobs = try await cluster.ask(["jobs", "list", "--json"]).output
            return jobs.contains("\"decode\"")
        }
        try await restart(cluster)
        let reply = try await streamed
        let text = reply.body.split(whereSeparator: \.isNewline).compactMap { line -> String? in
            guard line.hasPrefix("data: {") else { return nil }
            struct Chunk: Decodable {
                struct Choice: Decodable { var text: String }
                var choices: [Choice]
            }
            return try? JSONDecoder().decode(Chunk.self, from: Data(line.dropFirst(6).utf8)).choices.first?.text
        }.joined()
        struct Whole: Decodable {
            struct Choice: Decodable { var text: String }
            var choices: [Choice]
        }
        let whole = try JSONDecoder().decode(Whole.self, from: Data(wanted.body.utf8)).choices[0].text
        #expect(reply.body.contains("[DONE]") && text == whole, "\(reply.body.suffix(300))")
        try await cluster.stop()
    }

    @Test("glm up starts a coordinator that was lost again, and its jobs go on")
    func up() async throws {
        let scratch = try Scratch()
        let cluster = try await TestCluster.up([
            "--workers", "1", "--layout", "1x1", "--store", scratch.path + "/store.db",
        ])
        let id = try submit(cluster, 1, tokens: 900)
        let coordinator = try #require(coordinator(of: try cluster.process("up")))
        kill(coordinator, SIGKILL)
        let end = try await cluster.ask(["jobs", "wait", id, "--json"], limit: .seconds(60))
        #expect(end.status == 0, "\(end.errors)")
        #expect(try await job(cluster, id).tokens.count == 900)
        try await cluster.stop()
    }

    @Test("glm up starts a coordinator again that is killed before it was seen to serve")
    func early() async throws {
        let cluster = try await TestCluster.up(["--workers", "1", "--layout", "1x1"]) { up in
            try await eventually("a coordinator") { coordinator(of: up) != nil }
            kill(try #require(coordinator(of: up)), SIGKILL)
        }
        #expect(try await cluster.recall() == "719")
        let said = try cluster.process("up").errors
        #expect(said.components(of: "coordinator was killed by signal 9; starting it again in 1 s") == 1, "\(said)")
        try await cluster.stop()
    }

    @Test("a store that is damaged or in use is one line and exit status 1")
    func refused() async throws {
        let cluster = try await TestCluster.byHand(workers: 1, layout: "1x1", store: true)
        let scratch = try Scratch()
        let text = try scratch.write("text", String(repeating: "no store ", count: 1000))
        for (store, word) in [(cluster.store, "another coordinator"), (text, "damaged"), ("/nowhere/s.db", "opened")] {
            let end = try await Command.run([
                "coordinator", "--model", cluster.model, "--bind", "ipc://\(scratch.path)/control", "--store", store,
            ])
            #expect(end.isOneError(status: 1) && end.errors.contains(word), "\(end)")
        }
        try await cluster.stop()
    }

    /// The coordinator that `glm up` started.
    private func coordinator(of up: Running) -> pid_t? {
        children(of: up.id).first { commandLine(of: $0).dropFirst().first == "coordinator" }
    }

    /// The words with which a process was started.
    private func commandLine(of id: pid_t) -> [String] {
        let data = (try? Data(contentsOf: URL(filePath: "/proc/\(id)/cmdline"))) ?? Data()
        return data.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }
}

extension String {
    /// How often `part` is in it.
    func components(of part: String) -> Int { ranges(of: part).count }
}
