import Core
import Gateway
import Testing
import Tokenization

@Suite("jobs, models and status")
struct JobTests {
    @Test("a job is accepted at once, its events are replayed and numbered, and it is listed")
    func job() async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            let made = try await client.send(
                .post, "/v1/jobs", #"{"messages":[{"role":"user","content":"hé"}]}"#)
            #expect(made.status == 202)
            #expect(try made.json["id"]?.string == "job-1")
            #expect(await cluster.requests.first?.endsWithClient == false)
            for _ in 0..<2 {
                let events = try await client.send(.get, "/v1/jobs/job-1/events")
                let chunks = try events.chunks
                #expect(chunks.first?["type"]?.string == "prefill")
                #expect(chunks.compactMap { $0["text"]?.string }.joined() == "\nhé")
                #expect(chunks.last?["type"]?.string == "finished")
                #expect(chunks.last?["finish_reason"]?.string == "stop")
                #expect(chunks.last?["usage"]?["completion_tokens"]?.integer == 5)
                #expect(events.body.hasPrefix("event: prefill\ndata: {") && events.body.contains("id: 0\nevent: token"))
            }
            let rest = try await client.send(.get, "/v1/jobs/job-1/events", headers: [("last-event-id", "3")])
            #expect(rest.body.hasPrefix("id: 4\n"))
            #expect(try rest.chunks.count == 2)
            let second = try await client.send(.post, "/v1/jobs", #"{"prompt":"abc"}"#)
            #expect(second.status == 202)
            #expect(await cluster.requests.last?.options.maxTokens == nil)
            let list = try await client.send(.get, "/v1/jobs").json["data"]?.elements
            #expect(list?.compactMap { $0["id"]?.string } == ["job-2", "job-1"])
            let one = try await client.send(.get, "/v1/jobs/job-1").json
            #expect(one["status"]?.string == "finished")
            #expect(one["text"]?.string == "\nhé")
            #expect(one["tokens"]?.elements?.count == 5)
            #expect(one["timings"]?["decode_ms"]?.double == 50)
        }
    }

    @Test("a job lives on when its reader leaves, and is cancelled on demand")
    func cancel() async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            _ = try await client.send(.post, "/v1/jobs", #"{"messages":[{"role":"user","content":"hang"}]}"#)
            let partial = try await client.send(.get, "/v1/jobs/job-1/events") { $0.contains("prefill") }
            #expect(!partial.body.contains("finished"))
            #expect(try await client.send(.get, "/v1/jobs/job-1").json["status"]?.string == "prefill")
            #expect(await cluster.cancelled.isEmpty)
            let cancelled = try await client.send(.delete, "/v1/jobs/job-1")
            #expect(cancelled.status == 200)
            #expect(try cancelled.json["status"]?.string == "cancelled")
            let events = try await client.send(.get, "/v1/jobs/job-1/events")
            #expect(try events.chunks.last?["finish_reason"]?.string == "cancelled")
        }
    }

    @Test("links are measured for whoever asks, and not while the model loads")
    func links() async throws {
        try await withGateway(try FakeCluster()) { client in
            let answer = try await client.send(.post, "/v1/cluster/links")
            #expect(answer.status == 200)
            let link = try answer.json["data"]?.elements?.first
            #expect(link?["from"]?.string == "ada" && link?["to"]?.string == "bob" && link?["way"]?.string == "ring")
            #expect(link?["round_trip_us"]?.double == 2.5 && link?["row_round_trip_us"]?.double == 12.25)
            #expect(link?["bytes_per_second"]?.integer == 4_000_000_000)
        }
        try await withGateway(try FakeCluster(isLoading: true)) { client in
            let answer = try await client.send(.post, "/v1/cluster/links")
            #expect(answer.status == 503)
        }
    }

    @Test("another layout and a worker's leave are asked for, and wrong wishes refused with their field")
    func scale() async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            for body in [#"{"layout":"2x2"}"#, #"{"layout":"auto"}"#] {
                #expect(try await client.send(.post, "/v1/cluster/scale", body).status == 202)
            }
            #expect(try await client.send(.post, "/v1/cluster/drain", #"{"worker":"ada"}"#).status == 202)
            #expect(await cluster.wishes == ["2x2", "auto", "without ada"])
            for (path, body, status, word) in [
                ("scale", "{}", 400, "layout"), ("scale", #"{"layout":"2by2"}"#, 400, "STAGESxRANKS"),
                ("scale", #"{"layout":7}"#, 400, "layout"), ("scale", #"{"layout":"9x1"}"#, 400, "4 layers"),
                ("scale", "nonsense", 400, "body"), ("drain", #"{"worker":"bob"}"#, 404, "bob"),
                ("drain", #"{"worker":""}"#, 400, "worker"),
            ] {
                let answer = try await client.send(.post, "/v1/cluster/\(path)", body)
                #expect(answer.status == status && answer.body.contains(word), "\(answer.status) \(answer.body)")
            }
        }
    }

    @Test("a job that does not exist is not found")
    func unknown() async throws {
        try await withGateway(try FakeCluster()) { client in
            for (method, path) in [
                (Method.get, "/v1/jobs/job-9"), (.get, "/v1/jobs/job-9/events"), (.delete, "/v1/jobs/job-9"),
            ] {
                let reply = try await client.send(method, path)
                #expect(reply.status == 404)
                #expect(try reply.json["error"]?["message"]?.string == "there is no job-9")
            }
        }
    }

    @Test("the model, the health and the status are told")
    func models() async throws {
        try await withGateway(try FakeCluster()) { client in
            let list = try await client.send(.get, "/v1/models").json
            #expect(list["data"]?.elements?.first?["id"]?.string == "echo")
            #expect(list["data"]?.elements?.first?["object"]?.string == "model")
            #expect(try await client.send(.get, "/v1/models/echo").json["max_model_len"]?.integer == 4096)
            #expect(try await client.send(.get, "/v1/models/ech%6F").status == 200)
            let other = try await client.send(.get, "/v1/models/gpt-4")
            #expect(other.status == 404)
            #expect(try other.json["error"]?["code"]?.string == "model_not_found")
            #expect(try await client.send(.get, "/health").json["status"]?.string == "ok")
            #expect(try await client.send(.get, "/ready").json["status"]?.string == "ready")
            let status = try await client.send(.get, "/v1/status").json
            #expect(status["layout"]?.string == "1x1")
            #expect(status["epoch"]?.integer == 3)
            let member = status["members"]?.elements?.first
            #expect(member?["worker"]?.string == "ada")
            #expect(member?["leaves"]?.elements == [.integer(0), .integer(8)])
        }
    }
}
