import Core
import Gateway
import Testing
import Tokenization

@Suite("function calling")
struct ToolTests {
    private static let tools = #""tools":[{"type":"function","function":{"name":"look_up","parameters":{}}}]"#

    private static func body(_ said: String, _ more: String = "") -> String {
        let text = JSONValue.string(said).text()
        return #"{"messages":[{"role":"user","content":\#(text)}],\#(tools)\#(more)}"#
    }

    @Test("a call is answered as a call, whole and streamed, and waits for its result")
    func call() async throws {
        try await withGateway(try FakeCluster()) { client in
            let said = "say look_up\n{\"word\": \"héron\"}"
            let whole = try await client.send(.post, "/v1/chat/completions", Self.body(said))
            let choice = try whole.json["choices"]?.elements?.first
            #expect(choice?["finish_reason"]?.string == "tool_calls")
            #expect(choice?["message"]?["content"]?.isNull == true)
            let call = choice?["message"]?["tool_calls"]?.elements?.first
            #expect(call?["type"]?.string == "function")
            #expect(call?["id"]?.string?.hasPrefix("call_") == true)
            #expect(call?["function"]?["name"]?.string == "look_up")
            #expect(call?["function"]?["arguments"]?.string == "{\"word\": \"héron\"}")
            let streamed = try await client.send(.post, "/v1/chat/completions", Self.body(said, #","stream":true"#))
            let deltas = try streamed.chunks.compactMap { $0["choices"]?.elements?.first?["delta"] }
            let calls = deltas.compactMap { $0["tool_calls"]?.elements?.first }
            #expect(calls.first?["function"]?["name"]?.string == "look_up")
            #expect(calls.dropFirst().allSatisfy { $0["id"] == nil && $0["index"]?.integer == 0 })
            #expect(calls.count > 5)
            #expect(
                calls.compactMap { $0["function"]?["arguments"]?.string }.joined() == "{\"word\": \"héron\"}")
            #expect(deltas.compactMap { $0["content"]?.string }.joined() == "")
            #expect(try streamed.chunks.last?["choices"]?.elements?.first?["finish_reason"]?.string == "tool_calls")
        }
    }

    @Test("text may come before calls, calls may be several, and one is enough for those who want one")
    func several() async throws {
        try await withGateway(try FakeCluster()) { client in
            let said = "say \nWait.¶look_up\n{\"a\": 1}¶look_up\n{}"
            let message = try await client.send(.post, "/v1/chat/completions", Self.body(said))
                .json["choices"]?.elements?.first?["message"]
            #expect(message?["content"]?.string == "Wait.")
            let calls = message?["tool_calls"]?.elements ?? []
            #expect(calls.map { $0["function"]?["arguments"]?.string } == ["{\"a\": 1}", "{}"])
            #expect(Set(calls.compactMap { $0["id"]?.string }).count == 2)
            let streamed = try await client.send(.post, "/v1/chat/completions", Self.body(said, #","stream":true"#))
            let pieces = try streamed.chunks.compactMap {
                $0["choices"]?.elements?.first?["delta"]?["tool_calls"]?.elements?.first
            }
            #expect(Set(pieces.compactMap { $0["index"]?.integer }) == [0, 1])
            let single = try await client.send(
                .post, "/v1/chat/completions", Self.body(said, #","parallel_tool_calls":false"#))
            let kept = try single.json["choices"]?.elements?.first?["message"]
            #expect(kept?["tool_calls"]?.elements?.count == 1)
            #expect(kept?["content"]?.string == "Wait.")
        }
    }

    @Test("what only looks like a call is text")
    func text() async throws {
        try await withGateway(try FakeCluster()) { client in
            for said in ["look_up", "look_up\nis a function", "look\n{}"] {
                let reply = try await client.send(.post, "/v1/chat/completions", Self.body("say " + said))
                let choice = try reply.json["choices"]?.elements?.first
                #expect(choice?["message"]?["content"]?.string == said)
                #expect(choice?["finish_reason"]?.string == "stop")
                #expect(choice?["message"]?["tool_calls"] == nil)
            }
        }
    }

    @Test(
        "a call that must be made is begun in the prompt",
        arguments: [#""required""#, #"{"type":"function","function":{"name":"look_up"}}"#])
    func forced(choice: String) async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            let reply = try await client.send(
                .post, "/v1/chat/completions", Self.body("say {\"a\": 1}", #","tool_choice":\#(choice)"#))
            let call = try reply.json["choices"]?.elements?.first?["message"]?["tool_calls"]?.elements?.first
            #expect(call?["function"]?["name"]?.string == "look_up")
            #expect(call?["function"]?["arguments"]?.string == "{\"a\": 1}")
            let tokenizer = try FakeCluster.tokenizer(.glm4Chat)
            let prompt = try #require(await cluster.requests.first?.prompt)
            #expect(tokenizer.decode(prompt).hasSuffix("{\"a\": 1}look_up\n"))
        }
    }

    @Test("an answer that is cut inside a call says that it is cut")
    func cut() async throws {
        try await withGateway(try FakeCluster()) { client in
            let reply = try await client.send(
                .post, "/v1/chat/completions", Self.body("say look_up\n{\"word\": 1}", #","max_tokens":12"#))
            let choice = try reply.json["choices"]?.elements?.first
            #expect(choice?["finish_reason"]?.string == "length")
            #expect(
                choice?["message"]?["tool_calls"]?.elements?.first?["function"]?["arguments"]?.string == "{\"wo")
        }
    }

    @Test(
        "calls and their results go back into the prompt, for both generations of templates",
        arguments: [ChatTemplate.glm4Chat, .glm40414])
    func history(template: ChatTemplate) async throws {
        let cluster = try FakeCluster(template: template)
        try await withGateway(cluster) { client in
            let reply = try await client.send(
                .post, "/v1/chat/completions",
                #"""
                {"messages":[{"role":"user","content":"hi"},
                 {"role":"assistant","content":null,"tool_calls":[
                  {"id":"call_1","type":"function","function":{"name":"look_up","arguments":"{}"}}]},
                 {"role":"tool","tool_call_id":"call_1","content":"a bird"}],\#(Self.tools)}
                """#)
            #expect(reply.status == 200)
            let tokenizer = try FakeCluster.tokenizer(template)
            let prompt = try #require(await cluster.requests.first?.prompt)
            #expect(tokenizer.decode(prompt).hasSuffix("\nhilook_up\n{}\na bird"))
        }
    }

    @Test("the last message may be the beginning of the answer")
    func continued() async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            let reply = try await client.send(
                .post, "/v1/chat/completions",
                #"""
                {"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"Well, "}],
                 "continue_final_message":true}
                """#)
            #expect(reply.status == 200)
            let tokenizer = try FakeCluster.tokenizer(.glm4Chat)
            let prompt = try #require(await cluster.requests.first?.prompt)
            #expect(tokenizer.decode(prompt).hasSuffix("\nhi\nWell, "))
        }
    }
}
