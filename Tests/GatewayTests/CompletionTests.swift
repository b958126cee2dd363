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
            #expect(
                logprobs?["tokens"]?.elements?.compactMap(\.string) == [
                    "\n", "h", "\u{FFFD}", "\u{FFFD}", "!", "<|user|>",
                ])
            #expect(logprobs?["token_logprobs"]?.elements?.compactMap(\.double) == Array(repeating: -0.5, count: 6))
            #expect(logprobs?["text_offset"]?.elements?.compactMap(\.integer) == [0, 1, 2, 2, 3, 4])
            #expect(logprobs?["top_logprobs"]?.elements?[1]["A"]?.double == -1.5)
            let streamed = try await client.send(
                .post, "/v1/completions", #"{"prompt":"hé!","logprobs":2,"stream":true}"#)
            let offsets = try streamed.chunks.compactMap {
                $0["choices"]?.elements?.first?["logprobs"]?["text_offset"]?.elements?.first?.integer
            }
            #expect(offsets == [0, 1, 2, 2, 3, 4])
        }
    }

    @Test("an echo gives the prompt back, scored from its second token on, whole and streamed")
    func echo() async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            let fields = #""prompt":[104,195,169,33],"echo":true,"logprobs":1,"max_tokens":2"#
            let whole = try await client.send(.post, "/v1/completions", "{\(fields)}")
            let choice = try whole.json["choices"]?.elements?.first
            #expect(choice?["text"]?.string == "hé!\nh")
            let logprobs = choice?["logprobs"]
            #expect(
                logprobs?["tokens"]?.elements?.compactMap(\.string)
                    == ["h", "\u{FFFD}", "\u{FFFD}", "!", "\n", "h"])
            #expect(logprobs?["token_logprobs"]?.elements?.map(\.double) == [nil, -1, -1, -1, -0.5, -0.5])
            #expect(logprobs?["top_logprobs"]?.elements?.first?.isNull == true)
            #expect(logprobs?["top_logprobs"]?.elements?[3]["@"]?.double == -0.25)
            #expect(logprobs?["top_logprobs"]?.elements?[3]["!"]?.double == -1)
            #expect(logprobs?["text_offset"]?.elements?.compactMap(\.integer) == [0, 1, 1, 2, 3, 4])
            let streamed = try await client.send(.post, "/v1/completions", "{\(fields),\"stream\":true}")
            let pieces = try streamed.chunks.compactMap { $0["choices"]?.elements?.first }
            #expect(pieces.compactMap { $0["text"]?.string }.joined() == "hé!\nh")
            for column in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
                let parts = pieces.flatMap { $0["logprobs"]?[column]?.elements ?? [] }
                #expect(parts == logprobs?[column]?.elements, "\(column)")
            }
        }
    }

    @Test("an echo may be all there is: of the text, or of its scores")
    func onlyEcho() async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            for logprobs in ["null", "0"] {
                for isStream in [false, true] {
                    let reply = try await client.send(
                        .post, "/v1/completions",
                        #"{"prompt":"ab","echo":true,"max_tokens":0,"logprobs":\#(logprobs),"stream":\#(isStream)}"#)
                    let choices = try (isStream ? reply.chunks : [reply.json]).compactMap {
                        $0["choices"]?.elements?.first
                    }
                    #expect(choices.compactMap { $0["text"]?.string }.joined() == "ab")
                    #expect(choices.last?["finish_reason"]?.string == "length")
                    let tokens = choices.flatMap { $0["logprobs"]?["tokens"]?.elements ?? [] }
                    #expect(tokens.count == (logprobs == "null" ? 0 : 4))
                }
            }
            let single = try await client.send(
                .post, "/v1/completions", #"{"prompt":[104],"echo":true,"logprobs":1,"max_tokens":1,"stream":true}"#)
            #expect(try single.chunks.compactMap { $0["choices"]?.elements?.first?["text"]?.string }.joined() == "h\n")
        }
    }

    @Test("several prompts, each with n answers, are choices in order; each copy draws from a seed of its own")
    func choices() async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            let fields = #""prompt":["a",[98,99]],"n":2,"seed":7"#
            let whole = try await client.send(.post, "/v1/completions", "{\(fields)}")
            let choices = try #require(try whole.json["choices"]?.elements)
            #expect(choices.map { $0["index"]?.integer } == [0, 1, 2, 3])
            #expect(choices.map { $0["text"]?.string } == ["\na", "\na", "\nbc", "\nbc"])
            // [gMASK] <sop> a, and two tokens; each prompt counts once.
            #expect(try whole.json["usage"]?["prompt_tokens"]?.integer == 5)
            #expect(try whole.json["usage"]?["completion_tokens"]?.integer == 14)
            #expect(await cluster.requests.map(\.options.sampling.seed).sorted() == [7, 7, 8, 8])
            let streamed = try await client.send(
                .post, "/v1/completions", "{\(fields),\"stream\":true,\"stream_options\":{\"include_usage\":true}}")
            var texts = ["", "", "", ""]
            for choice in try streamed.chunks.compactMap({ $0["choices"]?.elements?.first }) {
                texts[choice["index"]?.integer ?? 0] += choice["text"]?.string ?? ""
            }
            #expect(texts == ["\na", "\na", "\nbc", "\nbc"])
            #expect(try streamed.chunks.last?["usage"]?["prompt_tokens"]?.integer == 5)
            #expect(streamed.events.last == "[DONE]")
        }
    }

    @Test("copies of a long prompt wait until it has been read once")
    func sharing() async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            let long = String(repeating: "x", count: 200)
            let reply = try await client.send(.post, "/v1/completions", #"{"prompt":"\#(long)","n":3,"max_tokens":1}"#)
            #expect(try reply.json["choices"]?.elements?.count == 3)
            #expect(await cluster.requests.count == 3)
        }
    }
}
