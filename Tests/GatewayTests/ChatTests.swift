import Core
import Gateway
import Testing
import Tokenization

@Suite("chat completions")
struct ChatTests {
    private static let hello = #"{"model":"echo","messages":[{"role":"user","content":"hello"}]}"#

    @Test("a chat is answered in OpenAI's shape, without the newline that GLM begins with")
    func whole() async throws {
        try await withGateway(try FakeCluster()) { client in
            let reply = try await client.send(.post, "/v1/chat/completions", Self.hello)
            let json = try reply.json
            #expect(reply.status == 200)
            #expect(reply.headers["content-type"] == "application/json")
            #expect(json["object"]?.string == "chat.completion")
            #expect(json["id"]?.string == "chatcmpl-job-1")
            #expect(json["model"]?.string == "echo")
            let choice = json["choices"]?.elements?.first
            #expect(choice?["index"]?.integer == 0)
            #expect(choice?["message"]?["role"]?.string == "assistant")
            #expect(choice?["message"]?["content"]?.string == "hello")
            #expect(choice?["finish_reason"]?.string == "stop")
            #expect(choice?["logprobs"]?.isNull == true)
            // [gMASK] <sop> <|user|> \n h e l l o <|assistant|>
            #expect(json["usage"]?["prompt_tokens"]?.integer == 10)
            #expect(json["usage"]?["completion_tokens"]?.integer == 7)
            #expect(json["usage"]?["total_tokens"]?.integer == 17)
            #expect(json["usage"]?["prompt_tokens_details"]?["cached_tokens"]?.integer == 2)
            #expect(json["timings"]?["prompt_n"]?.integer == 8)
            #expect(json["timings"]?["prompt_per_second"]?.double == 400)
            #expect(json["timings"]?["predicted_ms"]?.double == 50)
        }
    }

    @Test("a streamed chat begins with the role, ends with the reason, the usage and the mark, and says the same")
    func streamed() async throws {
        try await withGateway(try FakeCluster()) { client in
            let reply = try await client.send(
                .post, "/v1/chat/completions",
                #"{"messages":[{"role":"user","content":"héllo"}],"stream":true,"stream_options":{"include_usage":true}}"#
            )
            #expect(reply.status == 200)
            #expect(reply.headers["content-type"] == "text/event-stream; charset=utf-8")
            #expect(reply.events.last == "[DONE]")
            let chunks = try reply.chunks
            #expect(chunks.allSatisfy { $0["object"]?.string == "chat.completion.chunk" })
            #expect(chunks.first?["choices"]?.elements?.first?["delta"]?["role"]?.string == "assistant")
            let contents = chunks.compactMap { $0["choices"]?.elements?.first?["delta"]?["content"]?.string }
            #expect(contents == ["", "h", "é", "l", "l", "o"])
            let last = chunks.dropLast().last
            #expect(last?["choices"]?.elements?.first?["finish_reason"]?.string == "stop")
            #expect(last?["timings"]?["predicted_n"]?.integer == 8)
            #expect(chunks.dropLast().allSatisfy { $0["usage"]?.isNull == true })
            #expect(chunks.last?["choices"]?.elements?.isEmpty == true)
            #expect(chunks.last?["usage"]?["completion_tokens"]?.integer == 8)
            #expect(reply.body.contains(": prefill 11/11\n\n"))
        }
    }

    @Test("sparse attention is asked for by name, and every answer that used it says so")
    func attention() async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            let hi = #""messages":[{"role":"user","content":"hi"}]"#
            for route in ["/v1/chat/completions", "/v1/completions", "/v1/jobs"] {
                let text = route == "/v1/completions" ? #""prompt":"hi""# : hi
                let sparse = try await client.send(.post, route, #"{\#(text),"attention":"sparse"}"#)
                #expect(try sparse.json["attention"]?.string == "sparse")
                #expect(await cluster.requests.last?.options.attention == .sparse)
                let exact = try await client.send(.post, route, #"{\#(text),"attention":"exact"}"#)
                #expect(try exact.json["attention"] == nil)
                #expect(await cluster.requests.last?.options.attention == .exact)
            }
            let stream = try await client.send(
                .post, "/v1/chat/completions", #"{\#(hi),"attention":"sparse","stream":true}"#)
            #expect(try stream.chunks.allSatisfy { $0["attention"]?.string == "sparse" })
            #expect(try await client.send(.get, "/v1/jobs/job-1").json["attention"]?.string == "sparse")
            #expect(try await client.send(.get, "/v1/jobs/job-2").json["attention"] == nil)
        }
    }

    @Test("sampling fields reach the cluster with OpenAI's names and defaults")
    func sampling() async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            _ = try await client.send(.post, "/v1/chat/completions", Self.hello)
            _ = try await client.send(
                .post, "/v1/chat/completions",
                #"""
                {"messages":[{"role":"user","content":[{"type":"text","text":"he"},{"type":"text","text":"llo"}]}],
                 "temperature":0.5,"top_p":0.25,"top_k":7,"seed":-1,"stop":"l","max_completion_tokens":9,"max_tokens":3,
                 "n":1,"presence_penalty":0,"whatever":{"is":"ignored"},"user":null}
                """#)
            let requests = await cluster.requests
            #expect(requests.count == 2)
            let plain = try #require(requests.first).options
            #expect(plain.sampling.temperature == 1 && plain.sampling.topP == 1 && plain.sampling.topK == 0)
            #expect(plain.sampling.logprobs == nil && plain.maxTokens == nil && plain.stop.isEmpty)
            let set = try #require(requests.last)
            #expect(set.options.sampling == SamplingOptions(temperature: 0.5, topP: 0.25, topK: 7, seed: .max))
            #expect(set.options.maxTokens == 9 && set.options.stop == ["l"] && set.endsWithClient)
            #expect(set.prompt == requests.first?.prompt)
        }
    }

    @Test("a stop string ends the answer before it, max_tokens ends it with reason length")
    func ends() async throws {
        try await withGateway(try FakeCluster()) { client in
            let stopped = try await client.send(
                .post, "/v1/chat/completions",
                #"{"messages":[{"role":"user","content":"hello"}],"stop":["lo","xyz"]}"#)
            let choice = try stopped.json["choices"]?.elements?.first
            #expect(choice?["message"]?["content"]?.string == "hel")
            #expect(choice?["finish_reason"]?.string == "stop")
            let cut = try await client.send(
                .post, "/v1/chat/completions",
                #"{"messages":[{"role":"user","content":"hello"}],"stop":["lo"],"max_tokens":5,"stream":true}"#)
            let chunks = try cut.chunks
            let text = chunks.compactMap { $0["choices"]?.elements?.first?["delta"]?["content"]?.string }.joined()
            #expect(text == "hell")
            #expect(chunks.last?["choices"]?.elements?.first?["finish_reason"]?.string == "length")
        }
    }

    @Test("log-probabilities come with every token of the content, whole and streamed")
    func logprobs() async throws {
        try await withGateway(try FakeCluster()) { client in
            let fields = #""messages":[{"role":"user","content":"hé"}],"logprobs":true,"top_logprobs":2"#
            let whole = try await client.send(.post, "/v1/chat/completions", "{\(fields)}")
            let content = try #require(try whole.json["choices"]?.elements?.first?["logprobs"]?["content"]?.elements)
            #expect(content.count == 4)
            #expect(content[1]["token"]?.string == "h")
            #expect(content[1]["logprob"]?.double == -0.5)
            #expect(content[2]["bytes"]?.elements == [.integer(0xC3)])
            #expect(content[1]["top_logprobs"]?.elements?.count == 2)
            #expect(content[1]["top_logprobs"]?.elements?.last?["token"]?.string == "A")
            let streamed = try await client.send(.post, "/v1/chat/completions", "{\(fields),\"stream\":true}")
            let pieces = try streamed.chunks.compactMap {
                $0["choices"]?.elements?.first?["logprobs"]?["content"]?.elements?.first
            }
            #expect(pieces == content)
        }
    }

    @Test("tools are put into the prompt, unless the choice is none")
    func tools() async throws {
        let cluster = try FakeCluster()
        let tokenizer = try FakeCluster.tokenizer(.glm4Chat)
        try await withGateway(cluster) { client in
            let fields =
                #""messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"look_up"}}]"#
            _ = try await client.send(.post, "/v1/chat/completions", "{\(fields)}")
            _ = try await client.send(.post, "/v1/chat/completions", #"{\#(fields),"tool_choice":"none"}"#)
            let prompts = await cluster.requests.map { tokenizer.decode($0.prompt) }
            #expect(prompts.first?.contains("## look_up") == true)
            #expect(prompts.last == "\nhi")
        }
    }

    @Test("a chat of 300 kB is taken and tokenized")
    func long() async throws {
        let cluster = try FakeCluster(contextLength: 1 << 20)
        try await withGateway(cluster) { client in
            let text = String(repeating: "word ", count: 60_000)
            let reply = try await client.send(
                .post, "/v1/chat/completions",
                #"{"messages":[{"role":"user","content":"\#(text)"}],"max_tokens":1}"#)
            #expect(reply.status == 200)
            #expect(await cluster.requests.first?.prompt.count == 300_005)
        }
    }
}
