import Core
import FoundationEssentials
import Gateway
import Telemetry
import Testing

@Suite("what operators read")
struct WatchTests {
    @Test("/metrics is strict Prometheus text with the cluster's series and the gateway's latencies")
    func metrics() async throws {
        Telemetry.installMeters()
        try await withGateway(try FakeCluster()) { client in
            func scrape() async throws -> StrictExposition {
                let answer = try await client.send(.get, "/metrics")
                #expect(answer.status == 200)
                #expect(answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8")
                return try StrictExposition(answer.body)
            }
            let before = try await scrape()
            let said = try await client.send(
                .post, "/v1/chat/completions", #"{"messages":[{"role":"user","content":"hi"}],"stream":true}"#)
            #expect(said.status == 200)
            let after = try await scrape()
            #expect(after.value("glm_cluster_up") == 1 && after.value("glm_cluster_ready") == 1)
            #expect(after.value("glm_prompt_tokens_total") == 40 && after.value("glm_generation_tokens_total") == 9)
            #expect(after.value("glm_prefix_cache_queries_total") == 40)
            #expect(after.value("glm_prefix_cache_hits_total") == 10)
            #expect(after.value("glm_request_success_total", ["finished_reason": "stop"]) == 3)
            #expect(after.value("glm_request_success_total", ["finished_reason": "abort"]) == 0)
            #expect(after.value("glm_num_requests_running") == 0 && after.value("glm_num_requests_waiting") == 0)
            #expect(after.value("glm_kv_cache_usage_perc") == 1.0 / 64)
            let ada = ["worker": "ada", "stage": "0", "rank": "0"]
            #expect(after.value("glm_worker_kv_capacity_bytes", ada) == 262_144.0)
            #expect(after.value("glm_worker_threads", ada) == 2)
            #expect(after.value("glm_workers", ["state": "ready"]) == 1)
            // Other tests of this process are counted by the same meters: what was asked here came on top.
            func grown(_ name: String) -> Double { (after.value(name) ?? 0) - (before.value(name) ?? 0) }
            for name in ["time_to_first_token", "e2e_request_latency", "request_queue_time", "request_decode_time"] {
                #expect(grown("glm_\(name)_seconds_count") >= 1, "\(name)")
            }
            #expect(grown("glm_inter_token_latency_seconds_count") >= 3)
            #expect(grown("glm_gateway_token_latency_seconds_count") >= 3)
            #expect(grown("glm_request_generation_tokens_sum") >= 4)
            let routes = after.samples.filter { $0.name == "hb_requests_total" }.compactMap { $0.labels["http_route"] }
            #expect(routes.contains("/v1/chat/completions") && routes.contains("/metrics"))
        }
    }

    @Test("/debug/steps is a Chrome trace: waiting and computing of every part, in order and without gaps")
    func steps() async throws {
        try await withGateway(try FakeCluster()) { client in
            let events = try #require(try await client.send(.get, "/debug/steps").json["traceEvents"]?.elements)
            func at(_ event: JSONValue, _ key: String) -> Double { event[key]?.double ?? -1 }
            let slices = events.filter { $0["ph"]?.string == "X" }
            #expect(slices.compactMap { $0["name"]?.string } == ["wait for stage 0", "step 16", "wait for ranks"])
            #expect(slices.map { at($0, "ts") } == [1_002_000, 1_004_000, 1_011_000])
            #expect(slices.map { at($0, "dur") } == [2000, 7000, 1000])
            #expect(slices.allSatisfy { $0["pid"]?.integer == 2 && $0["tid"]?.integer == 0 })
            #expect(slices[1]["args"]?["prompt_tokens"]?.integer == 512)
            // A step that is still on its way has no end to draw.
            #expect(events.count { $0["ph"]?.string == "b" } == 1 && events.count { $0["ph"]?.string == "e" } == 1)
            let names = events.filter { $0["ph"]?.string == "M" }.compactMap { $0["args"]?["name"]?.string }
            #expect(names == ["coordinator", "stage 1", "rank 0: ada"])
        }
    }

    @Test(
        "a request keeps the name that its client gave it, down to the job, and gets one when it has none or a bad one")
    func requestNames() async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            let body = #"{"prompt":"abc","max_tokens":2}"#
            let named = try await client.send(.post, "/v1/completions", body, headers: [("X-Request-Id", "mine-7")])
            #expect(named.headers["x-request-id"] == "mine-7")
            #expect(await cluster.requests.last?.requestID == "mine-7")
            let refused = try await client.send(.post, "/v1/completions", "no", headers: [("X-Request-Id", "mine-8")])
            #expect(refused.status == 400 && refused.headers["x-request-id"] == "mine-8")
            for bad in [String(repeating: "x", count: 129), "two words"] {
                let answer = try await client.send(.post, "/v1/completions", body, headers: [("X-Request-Id", bad)])
                let given = try #require(answer.headers["x-request-id"])
                #expect(given.hasPrefix("req-") && given.count == 20)
                #expect(await cluster.requests.last?.requestID == given)
            }
        }
    }

    @Test("spans go to a file as OTLP in JSON, under the caller's trace, and only when it wants them")
    func traces() async throws {
        let path = "/tmp/glm-traces-\(UInt64.random(in: 0...UInt64.max)).jsonl"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let trace = "0af7651916cd43dd8448eb211c80319c"
        try await withGateway(try FakeCluster(), traces: path) { client in
            let body = #"{"prompt":"abc","max_tokens":2}"#
            func ask(_ traceparent: String) async throws {
                let answer = try await client.send(
                    .post, "/v1/completions", body, headers: [("traceparent", traceparent), ("X-Request-Id", "r")])
                #expect(answer.status == 200)
            }
            try await ask("00-\(trace)-b7ad6b7169203331-00")
            try await ask("00-\(trace)-b7ad6b7169203331-01")
            @Sendable func spans() throws -> [JSONValue] {
                guard let text = try? String(contentsOf: URL(filePath: path), encoding: .utf8) else { return [] }
                return try text.split(separator: "\n").flatMap { line -> [JSONValue] in
                    let export = try JSONValue(parsing: String(line), source: "the trace")
                    let resource = export["resourceSpans"]?.elements?.first
                    return resource?["scopeSpans"]?.elements?.first?["spans"]?.elements ?? []
                }
            }
            // The server's span ends after its client has read the answer.
            let isComplete = await eventually { (try? spans().count) == 5 }
            let all = try spans()
            #expect(isComplete, "\(all.map { $0.text() })")
            #expect(all.allSatisfy { $0["traceId"]?.string == trace })
            func span(_ name: String) -> JSONValue? { all.first { $0["name"]?.string == name } }
            let server = try #require(span("POST /v1/completions"))
            #expect(server["parentSpanId"]?.string == "b7ad6b7169203331" && server["kind"]?.integer == 2)
            let job = try #require(span("job"))
            #expect(job["parentSpanId"]?.string == server["spanId"]?.string)
            for name in ["queue", "prefill", "decode"] {
                #expect(span(name)?["parentSpanId"]?.string == job["spanId"]?.string)
            }
            let prefill = try #require(span("prefill"))
            func nanoseconds(_ key: String) -> Int { Int(prefill[key]?.string ?? "") ?? 0 }
            #expect(nanoseconds("endTimeUnixNano") - nanoseconds("startTimeUnixNano") == 20_000_000)
            let attributes = job["attributes"]?.elements ?? []
            let tokens = attributes.first { $0["key"]?.string == "gen_ai.usage.output_tokens" }
            #expect(tokens?["value"]?["intValue"]?.string == "2")
        }
    }

    @Test(
        "a traceparent that makes no sense begins a new trace",
        arguments: [
            "", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        ])
    func badTraceparent(header: String) async throws {
        try await withGateway(try FakeCluster()) { client in
            let answer = try await client.send(.get, "/v1/models", headers: [("traceparent", header)])
            #expect(answer.status == 200)
        }
    }
}
