import Glibc
import Testing

/// The main path: real processes serve, and go on serving whatever is thrown at them.
@Suite("Processes serve", .serialized, .timeLimit(.minutes(5)))
struct ServingTests {
    @Test("1: four workers in every grid find all facts of a long text", arguments: ["2x2", "4x1", "1x4", "auto"])
    func fourWorkersFindFacts(layout: String) async throws {
        let cluster = try await TestCluster.up(["--workers", "4", "--layout", layout])
        let found = try await cluster.ask(["eval", "needle", "--lengths", "700", "--depths", "3", "--json"])
        #expect(found.status == 0, "\(found.errors)")
        #expect(found.output.contains("\"found\" : 3"))
        try await cluster.stop()
    }

    @Test("1b: sparse attention finds the facts of a text that it does not read whole, and says what it did")
    func sparse() async throws {
        let cluster = try await TestCluster.up(["--workers", "4", "--layout", "1x4"])
        let found = try await cluster.ask([
            "eval", "needle", "--lengths", "12000", "--depths", "3", "--attention", "sparse", "--json",
        ])
        #expect(found.status == 0, "\(found.errors)")
        #expect(found.output.contains("\"found\" : 3") && found.output.contains("\"attention\" : \"sparse\""))
        let wrong = try await cluster.ask(["submit", "hi", "--attention", "dense"])
        #expect(wrong.isOneError(status: 1) && wrong.errors.contains("exact or sparse"), "\(wrong)")
        try await cluster.stop()
    }

    @Test("2: three workers serve, which no power of two divides", arguments: ["1x3", "3x1"])
    func threeWorkersServe(layout: String) async throws {
        let cluster = try await TestCluster.up(["--workers", "3", "--layout", layout])
        #expect(try await cluster.recall() == "719")
        try await cluster.stop()
    }

    @Test("2b: what no message may hold is answered at once, and serving goes on")
    func impossibleNames() async throws {
        let cluster = try await TestCluster.up(["--workers", "1"])
        let long = String(repeating: "a", count: 2000)
        for (method, path) in [
            ("GET", "/v1/jobs/\(long)"), ("DELETE", "/v1/jobs/\(long)"), ("GET", "/v1/jobs/\(long)/events"),
            ("GET", "/v1/files/\(long)"), ("DELETE", "/v1/files/\(long)"), ("GET", "/v1/batches/\(long)"),
        ] {
            let reply = try HTTP.ask(method, cluster.url, path)
            #expect(reply.status == 404 && reply.body.contains("too long for a name"), "\(method) \(path) \(reply)")
        }
        // Too small for a float: not a zero for that.
        let fields = #""max_tokens":1,"temperature":1,"top_p":5e-324,"repetition_penalty":5e-324"#
        let reply = try HTTP.ask("POST", cluster.url, "/v1/completions", body: #"{"prompt":"a",\#(fields)}"#)
        #expect(reply.status == 200, "\(reply)")
        let drained = try HTTP.ask("POST", cluster.url, "/v1/cluster/drain", body: #"{"worker":"two\nlines"}"#)
        #expect(drained.status == 404, "\(drained)")
        #expect(try await cluster.recall() == "719")
        try await cluster.stop()
    }

    @Test("a process that is started gets its standard files and nothing else that is open")
    func descriptors() async throws {
        let open = open("/dev/null", O_RDONLY)
        defer { close(open) }
        #expect(fcntl(open, F_GETFD) & FD_CLOEXEC == 0)
        let listed = try await Running(["/proc/self/fd"], program: "ls").wait()
        // The last one is the folder that is listed.
        #expect(listed.output.split(separator: "\n") == ["0", "1", "2", "3"])
    }

    @Test("3: Ctrl-C ends every process of glm up")
    func interruptEndsAll() async throws {
        let cluster = try await TestCluster.up(["--workers", "2", "--layout", "1x2"])
        let up = try cluster.process("up")
        let children = children(of: up.id)
        #expect(children.count >= 3)
        up.send(SIGINT)
        let end = try await up.wait()
        #expect(end.status == 0 || end.status == 130, "\(end.status) \(end.errors)")
        try await eventually("the children's end") { children.allSatisfy { kill($0, 0) != 0 } }
        try await cluster.stop()
    }

    @Test("4: jobs at the same time all get their own answer")
    func manyAtOnce() async throws {
        let cluster = try await TestCluster.up(["--workers", "2", "--layout", "2x1"])
        let values = (0..<6).map { 100 + 137 * $0 }
        try await withThrowingTaskGroup(of: (Int, String).self) { group in
            for value in values {
                let url = cluster.url
                group.addTask {
                    let question = " Note: heron=\(value). What is it? heron="
                    let said = try await Command.run([
                        "submit", question, "--temperature", "0", "--max-tokens", "8", "--gateway", url,
                    ])
                    return (value, said.output)
                }
            }
            for try await (value, output) in group { #expect(output.hasPrefix("\(value)")) }
        }
        try await cluster.stop()
    }

    @Test("5: the job of a worker that is killed goes on when another one joins")
    func killedWorker() async throws {
        let cluster = try await TestCluster.byHand(workers: 2, layout: "2x1")
        // Reading this takes far longer than until its first step is seen: attention grows with the square of the length.
        let scratch = try Scratch()
        let text = try scratch.write("text", String(repeating: "It rained again. ", count: 1600))
        let job = try await cluster.ask(["submit", "--file", text, "--detach", "--max-tokens", "8"])
        let name = job.output.filter { !$0.isWhitespace }
        #expect(job.status == 0, "\(job.errors)")
        try await eventually("the job's first step") {
            let shown = try await cluster.ask(["jobs", "show", name, "--json"])
            return shown.output.contains("\"prefill\"")
        }
        try cluster.process("w1").send(SIGKILL)
        try cluster.addWorker("w2")
        try await cluster.waitUntilReady()
        let waited = try await cluster.ask(["jobs", "wait", name], limit: .seconds(180))
        #expect(waited.status == 0, "\(waited)")
        #expect(try await cluster.recall() == "719")
        try await cluster.stop()
    }

    @Test("6: a worker with another model is refused in words, and the cluster serves on")
    func anotherModel() async throws {
        let cluster = try await TestCluster.byHand(workers: 1, layout: "1x1")
        let scratch = try Scratch()
        let other = scratch.path + "/other"
        let made = try await Command.run(["model", "make", "needle", "--layers", "3", "--out", other])
        #expect(made.status == 0, "\(made.errors)")
        let stranger = try cluster.addWorker("stranger", flags: ["--model", other])
        let end = try await stranger.wait()
        #expect(end.status == 1)
        #expect(end.errors.contains("digest") || end.errors.contains("model"), "\(end.errors)")
        #expect(try await cluster.recall() == "719")
        try await cluster.stop()
    }
}
