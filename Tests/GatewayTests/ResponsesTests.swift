import Core
import Gateway
import Testing
import Tokenization

@Suite("responses")
struct ResponsesTests {
    private static let tools = #""tools":[{"type":"function","name":"look_up","parameters":{"type":"object"}}]"#

    private static func body(_ said: String, _ more: String = "") -> String {
        #"{"input":\#(JSONValue.string(said).text())\#(more)}"#
    }

    @Test("a text is answered by a message among the output")
    func whole() async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            let json = try await client.send(.post, "/v1/responses", Self.body("hello", #","instructions":"S""#)).json
            #expect(json["object"]?.string == "response")
            #expect(json["status"]?.string == "completed")
            let item = json["output"]?.elements?.first
            #expect(item?["type"]?.string == "message")
            #expect(item?["content"]?.elements?.first?["type"]?.string == "output_text")
            #expect(item?["content"]?.elements?.first?["text"]?.string == "hello")
            #expect(json["usage"]?["input_tokens_details"]?["cached_tokens"]?.integer == 2)
            #expect(json["usage"]?["output_tokens"]?.integer == 7)
            #expect(json["instructions"]?.string == "S")
            let tokenizer = try FakeCluster.tokenizer(.glm4Chat)
            #expect(await cluster.requests.first.map { tokenizer.decode($0.prompt) } == "\nS\nhello")
        }
    }

    @Test("a stream's events are numbered and end with the response that the whole would have been")
    func streamed() async throws {
        try await withGateway(try FakeCluster()) { client in
            let reply = try await client.send(.post, "/v1/responses", Self.body("hi", #","stream":true"#))
            let events = try reply.chunks
            #expect(
                events.compactMap { $0["type"]?.string } == [
                    "response.created", "response.in_progress", "response.output_item.added",
                    "response.content_part.added", "response.output_text.delta", "response.output_text.delta",
                    "response.output_text.done", "response.content_part.done", "response.output_item.done",
                    "response.completed",
                ])
            #expect(events.map { $0["sequence_number"]?.integer } == Array(0..<events.count))
            #expect(reply.body.contains("event: response.created\n"))
            let whole = try await client.send(.post, "/v1/responses", Self.body("hi")).json
            let last = events.last?["response"]
            #expect(last?["status"]?.string == "completed")
            #expect(last?["usage"] == whole["usage"])
            #expect(
                last?["output"]?.elements?.first?["content"] == whole["output"]?.elements?.first?["content"])
        }
    }

    @Test("a function is called, whole and streamed, and its result goes back in")
    func tool() async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            let said = "say look_up\n{\"word\": \"heron\"}"
            let whole = try await client.send(.post, "/v1/responses", Self.body(said, "," + Self.tools)).json
            let call = whole["output"]?.elements?.first
            #expect(call?["type"]?.string == "function_call")
            #expect(call?["name"]?.string == "look_up")
            #expect(call?["arguments"]?.string == "{\"word\": \"heron\"}")
            let events = try await client.send(
                .post, "/v1/responses", Self.body(said, #","stream":true,\#(Self.tools)"#)
            ).chunks
            let deltas = events.filter { $0["type"]?.string == "response.function_call_arguments.delta" }
            #expect(deltas.compactMap { $0["delta"]?.string }.joined() == "{\"word\": \"heron\"}")
            #expect(
                events.first { $0["type"]?.string == "response.function_call_arguments.done" }?["arguments"]?.string
                    == "{\"word\": \"heron\"}")
            let back = try await client.send(
                .post, "/v1/responses",
                #"""
                {"input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]},
                 {"type":"function_call","call_id":"call_1","name":"look_up","arguments":"{}"},
                 {"type":"function_call_output","call_id":"call_1","output":"a bird"}]}
                """#)
            #expect(back.status == 200, "\(back.body)")
            let tokenizer = try FakeCluster.tokenizer(.glm4Chat)
            #expect(
                await cluster.requests.last.map { tokenizer.decode($0.prompt) } == "\nhilook_up\n{}\na bird")
        }
    }

    @Test("log-probabilities stand beside the text, the same whole and streamed, and calls have none")
    func logprobs() async throws {
        try await withGateway(try FakeCluster()) { client in
            let wish = #","include":["message.output_text.logprobs"],"top_logprobs":2"#
            let whole = try await client.send(.post, "/v1/responses", Self.body("hi", wish)).json
            let part = whole["output"]?.elements?.first?["content"]?.elements?.first
            let entries = try #require(part?["logprobs"]?.elements)
            #expect(entries.compactMap { $0["token"]?.string } == ["\n", "h", "i"])
            for entry in entries {
                #expect(entry["logprob"]?.double == -0.5 && entry["bytes"]?.elements?.count == 1)
                #expect(entry["top_logprobs"]?.elements?.compactMap { $0["logprob"]?.double } == [-0.5, -1.5])
            }
            #expect(whole["top_logprobs"]?.integer == 2)
            let events = try await client.send(
                .post, "/v1/responses", Self.body("hi", wish + #","stream":true"#)
            ).chunks
            let deltas = events.filter { $0["type"]?.string == "response.output_text.delta" }
            #expect(deltas.flatMap { $0["logprobs"]?.elements ?? [] } == entries)
            for event in events where event["type"]?.string == "response.output_text.done" {
                #expect(event["logprobs"]?.elements == entries)
            }
            let last = events.last?["response"]?["output"]?.elements?.first?["content"]?.elements?.first
            #expect(last?["logprobs"]?.elements == entries)

            let said = "say so:¶look_up\n{}"
            let mixed = try await client.send(.post, "/v1/responses", Self.body(said, wish + "," + Self.tools)).json
            let output = try #require(mixed["output"]?.elements)
            #expect(output.map { $0["type"]?.string } == ["message", "function_call"])
            let spoken = output.first?["content"]?.elements?.first?["logprobs"]?.elements
            #expect(spoken?.compactMap { $0["token"]?.string }.joined() == "so:")

            let none = try await client.send(.post, "/v1/responses", Self.body("hi")).json
            #expect(none["output"]?.elements?.first?["content"]?.elements?.first?["logprobs"]?.elements == [])
        }
    }

    @Test("an answer that is cut is incomplete, one that breaks has failed")
    func ends() async throws {
        try await withGateway(try FakeCluster()) { client in
            let cut = try await client.send(.post, "/v1/responses", Self.body("hello", #","max_output_tokens":3"#)).json
            #expect(cut["status"]?.string == "incomplete")
            #expect(cut["incomplete_details"]?["reason"]?.string == "max_output_tokens")
            let failed = try await client.send(.post, "/v1/responses", Self.body("fail", #","stream":true"#)).chunks
            #expect(failed.last?["type"]?.string == "response.failed")
            #expect(failed.last?["response"]?["error"]?["message"]?.string == "worker ada is lost; send it again")
        }
    }
}
