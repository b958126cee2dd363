import Core
import Gateway
import Testing
import Tokenization

@Suite("Anthropic's messages")
struct MessagesTests {
    private static let tools = #""tools":[{"name":"look_up","description":"d","input_schema":{"type":"object"}}]"#

    private static func body(_ said: String, _ more: String = "") -> String {
        #"{"max_tokens":100,"messages":[{"role":"user","content":\#(JSONValue.string(said).text())}]\#(more)}"#
    }

    @Test("a message is answered in blocks, with the cache counted apart")
    func whole() async throws {
        try await withGateway(try FakeCluster()) { client in
            let json = try await client.send(.post, "/v1/messages", Self.body("hello", #","system":"be kind""#)).json
            #expect(json["type"]?.string == "message")
            #expect(json["role"]?.string == "assistant")
            #expect(json["model"]?.string == "echo")
            #expect(json["content"]?.elements?.first?["type"]?.string == "text")
            #expect(json["content"]?.elements?.first?["text"]?.string == "hello")
            #expect(json["stop_reason"]?.string == "end_turn")
            #expect(json["usage"]?["input_tokens"]?.integer == 17)
            #expect(json["usage"]?["cache_read_input_tokens"]?.integer == 2)
            #expect(json["usage"]?["output_tokens"]?.integer == 7)
        }
    }

    @Test("a streamed message has Anthropic's events in their order")
    func streamed() async throws {
        try await withGateway(try FakeCluster()) { client in
            let reply = try await client.send(.post, "/v1/messages", Self.body("hi", #","stream":true"#))
            let events = try reply.chunks
            let names = reply.body.split(separator: "\n").filter { $0.hasPrefix("event: ") }.map { $0.dropFirst(7) }
            #expect(names.map(String.init) == events.compactMap { $0["type"]?.string })
            #expect(
                names == [
                    "message_start", "ping", "content_block_start", "content_block_delta", "content_block_delta",
                    "content_block_stop", "message_delta", "message_stop",
                ])
            #expect(events.compactMap { $0["delta"]?["text"]?.string }.joined() == "hi")
            #expect(events.first?["message"]?["usage"]?["input_tokens"]?.integer == 7)
            #expect(events.dropLast().last?["delta"]?["stop_reason"]?.string == "end_turn")
            #expect(events.dropLast().last?["usage"]?["output_tokens"]?.integer == 4)
            #expect(!reply.body.contains("[DONE]"))
        }
    }

    @Test("a tool is used, whole and streamed")
    func tool() async throws {
        try await withGateway(try FakeCluster()) { client in
            let said = "say \nWait.¶look_up\n{\"word\": \"heron\"}"
            let whole = try await client.send(.post, "/v1/messages", Self.body(said, "," + Self.tools)).json
            let blocks = whole["content"]?.elements ?? []
            #expect(blocks.map { $0["type"]?.string } == ["text", "tool_use"])
            #expect(blocks.last?["name"]?.string == "look_up")
            #expect(blocks.last?["input"]?["word"]?.string == "heron")
            #expect(blocks.last?["id"]?.string?.hasPrefix("toolu_") == true)
            #expect(whole["stop_reason"]?.string == "tool_use")
            let events = try await client.send(
                .post, "/v1/messages", Self.body(said, #","stream":true,\#(Self.tools)"#)
            ).chunks
            let starts = events.filter { $0["type"]?.string == "content_block_start" }
            #expect(starts.map { $0["index"]?.integer } == [0, 1])
            #expect(starts.last?["content_block"]?["name"]?.string == "look_up")
            #expect(
                events.compactMap { $0["delta"]?["partial_json"]?.string }.joined() == "{\"word\": \"heron\"}")
            #expect(events.filter { $0["type"]?.string == "content_block_stop" }.count == 2)
        }
    }

    @Test("a conversation with a used tool, its result and a begun answer becomes the templates' prompt")
    func conversation() async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            let reply = try await client.send(
                .post, "/v1/messages",
                #"""
                {"max_tokens":9,"system":[{"type":"text","text":"S"}],"messages":[
                 {"role":"user","content":[{"type":"text","text":"hi"}]},
                 {"role":"assistant","content":[{"type":"text","text":"Wait."},
                  {"type":"tool_use","id":"toolu_1","name":"look_up","input":{"word":"heron"}}]},
                 {"role":"user","content":[
                  {"type":"tool_result","tool_use_id":"toolu_1","content":[{"type":"text","text":"a bird"}]},
                  {"type":"text","text":"and?"}]},
                 {"role":"assistant","content":"So"}]}
                """#)
            #expect(reply.status == 200, "\(reply.body)")
            let tokenizer = try FakeCluster.tokenizer(.glm4Chat)
            let prompt = try #require(await cluster.requests.first?.prompt)
            #expect(
                tokenizer.decode(prompt)
                    == "\nS\nhi\nWait.look_up\n{\"word\": \"heron\"}\na bird\nand?\nSo")
        }
    }

    @Test("a stop sequence is named, a limit is a reason of its own")
    func ends() async throws {
        try await withGateway(try FakeCluster()) { client in
            let stopped = try await client.send(
                .post, "/v1/messages", Self.body("hello", #","stop_sequences":["x","lo","l"]"#)
            ).json
            #expect(stopped["content"]?.elements?.first?["text"]?.string == "he")
            #expect(stopped["stop_reason"]?.string == "stop_sequence")
            #expect(stopped["stop_sequence"]?.string == "l")
            let cut = try await client.send(
                .post, "/v1/messages", #"{"max_tokens":3,"messages":[{"role":"user","content":"hello"}]}"#
            ).json
            #expect(cut["stop_reason"]?.string == "max_tokens")
            #expect(cut["stop_sequence"]?.isNull == true)
        }
    }

    @Test("tokens are counted without an answer")
    func count() async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            let reply = try await client.send(
                .post, "/v1/messages/count_tokens", #"{"messages":[{"role":"user","content":"hello"}]}"#)
            #expect(try reply.json["input_tokens"]?.integer == 10)
            #expect(await cluster.requests.isEmpty)
        }
    }

    @Test("errors have Anthropic's form")
    func errors() async throws {
        try await withGateway(try FakeCluster()) { client in
            let wrongs = [
                ("{", 400, "invalid_request_error"), (#"{"messages":[]}"#, 400, "invalid_request_error"),
                (#"{"max_tokens":1,"messages":[{"role":"user"}]}"#, 400, "invalid_request_error"),
                (#"{"max_tokens":1,"messages":[{"role":"king","content":"x"}]}"#, 400, "invalid_request_error"),
                (
                    #"{"max_tokens":1,"messages":[{"role":"user","content":[{"type":"image"}]}]}"#, 400,
                    "invalid_request_error"
                ),
                (
                    #"{"max_tokens":1,"model":"claude","messages":[{"role":"user","content":"x"}]}"#, 404,
                    "not_found_error"
                ),
                (Self.body("x", #","tool_choice":{"type":"any"}"#), 400, "invalid_request_error"),
                (
                    Self.body("x", #","tools":[{"type":"web_search_20250305","name":"w"}]"#), 400,
                    "invalid_request_error"
                ),
                (Self.body("fail"), 500, "api_error"),
            ]
            for (body, status, type) in wrongs {
                let reply = try await client.send(.post, "/v1/messages", body)
                #expect(reply.status == status, "\(body)")
                #expect(try reply.json["type"]?.string == "error", "\(body)")
                #expect(try reply.json["error"]?["type"]?.string == type, "\(body)")
                #expect(try reply.json["error"]?["message"]?.string?.isEmpty == false)
            }
            let streamed = try await client.send(.post, "/v1/messages", Self.body("fail", #","stream":true"#))
            #expect(streamed.body.contains("event: error\n"))
            #expect(try streamed.chunks.last?["error"]?["type"]?.string == "api_error")
        }
    }
}
