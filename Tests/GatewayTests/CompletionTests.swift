import Core
import Gateway
import Testing
import Tokenization

@Suite("text completions")
struct CompletionTests {
    @Test("a text is continued in OpenAI's shape, behind what the model's texts begin with")
    func text() async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            let reply = try await client.send(.post, "/v1/completions", #"{"model":"echo","prompt":"abc"}"#)
            let json = try reply.json
            #expect(reply.status == 200)
            #expect(json["object"]?.string == "text_completion")
            #expect(json["id"]?.string == "cmpl-job-1")
            #expect(json["choices"]?.elements?.first?["text"]?.string == "\nabc")
            #expect(json["choices"]?.elements?.first?["finish_reason"]?.string == "stop")
            #expect(json["usage"]?["prompt_tokens"]?.integer == 5)
            #expect(await cluster.requests.first?.options.maxTokens == 16)
        }
    }

    @Test("a prompt may be tokens, and the stream says the same as the whole")
    func tokens() async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            let reply = try await client.send(
                .post, "/v1/completions", #"{"prompt":[104,105],"stream":true,"max_tokens":100}"#)
            let chunks = try reply.chunks
            #expect(chunks.compactMap { $0["choices"]?.elements?.first?["text"]?.string }.joined() == "\nhi")
            #expect(chunks.last?["choices"]?.elements?.first?["finish_reason"]?.string == "stop")
            #expect(chunks.allSatisfy { $0["usage"] == nil })
            #expect(reply.events.last == "[DONE]")
            #expect(await cluster.requests.first?.prompt == [104, 105])
            for one in [#"["hi"]"#, "[[104,105]]"] {
                #expect(try await client.send(.post, "/v1/completions", #"{"prompt":\#(one)}"#).status == 200)
            }
        }
    }

    @Test("log-probabilities come as columns, with offsets in the text")
    func logprobs() async throws {
        try await withGateway(try FakeCluster()) { client in
            let reply = try await client.send(.post, "/v1/completions", #"{"prompt":"hé!","logprobs":2}"#)
            let logprobs = try reply.json["choices"]?.elements?.first?["logprobs"]
            #expect(logprobs?["tokens"]?.elements?.compactMap(\.string) == ["\n", "h", "\u{FFFD}", "\u{FFFD}", "!"])
            #expect(logprobs?["token_logprobs"]?.elements?.compactMap(\.double) == [-0.5, -0.5, -0.5, -0.5, -0.5])
            #expect(logprobs?["text_offset"]?.elements?.compactMap(\.integer) == [0, 1, 2, 2, 3])
            #expect(logprobs?["top_logprobs"]?.elements?[1]["A"]?.double == -1.5)
            let streamed = try await client.send(
                .post, "/v1/completions", #"{"prompt":"hé!","logprobs":2,"stream":true}"#)
            let offsets = try streamed.chunks.compactMap {
                $0["choices"]?.elements?.first?["logprobs"]?["text_offset"]?.elements?.first?.integer
            }
            #expect(offsets == [0, 1, 2, 2, 3])
        }
    }
}
