import Core
import FoundationEssentials
import Gateway
import Testing
import Tokenization

@Suite("tokens and vectors")
struct TokenTests {
    @Test("texts and chats are shown as tokens, and tokens as text")
    func tokens() async throws {
        try await withGateway(try FakeCluster()) { client in
            func tokens(_ body: String) async throws -> [Int] {
                try await client.send(.post, "/tokenize", body).json["tokens"]?.elements?.compactMap(\.integer) ?? []
            }
            #expect(try await tokens(#"{"prompt":"ab"}"#) == [258, 260, 97, 98])
            #expect(try await tokens(#"{"prompt":"ab","add_special_tokens":false}"#) == [97, 98])
            #expect(try await tokens(#"{"content":"ab"}"#) == [97, 98])
            #expect(try await tokens(#"{"content":"ab","add_special":true}"#) == [258, 260, 97, 98])
            #expect(
                try await tokens(#"{"messages":[{"role":"user","content":"a"}]}"#) == [258, 260, 263, 10, 97, 264])
            let json = try await client.send(.post, "/tokenize", #"{"prompt":"ab","return_token_strs":true}"#).json
            #expect(json["count"]?.integer == 4)
            #expect(json["max_model_len"]?.integer == 4096)
            #expect(json["token_strs"]?.elements?.compactMap(\.string) == ["[gMASK]", "<sop>", "a", "b"])
            let text = try await client.send(.post, "/detokenize", #"{"tokens":[258,97.0,195,169]}"#).json
            #expect(text["prompt"]?.string == "aé" && text["content"]?.string == "aé")
            let info = try await client.send(.get, "/tokenizer_info").json
            #expect(info["eos_token"]?.string == "<|endoftext|>" && info["model_max_length"]?.integer == 4096)
        }
    }

    @Test("texts become vectors of length one, the mean or the last token's, as numbers or base64")
    func embeddings() async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            let mean = try await client.send(.post, "/v1/embeddings", #"{"input":["a",[98,99]]}"#).json
            let data = mean["data"]?.elements ?? []
            #expect(data.map { $0["index"]?.integer } == [0, 1])
            #expect(
                data.first?["embedding"]?.elements?.compactMap(\.double) == [Double(Float(0.6)), Double(Float(0.8))])
            #expect(mean["pooling"]?.string == "mean")
            #expect(mean["usage"]?["prompt_tokens"]?.integer == 5)
            let last = try await client.send(
                .post, "/v1/embeddings",
                #"{"input":"a","pooling":"last","normalize":false,"encoding_format":"base64"}"#
            ).json
            #expect(last["pooling"]?.string == "last")
            let bytes = Data(base64Encoded: last["data"]?.elements?.first?["embedding"]?.string ?? "")
            #expect(bytes.map { [UInt8]($0) } == [0, 0, 0, 0, 0, 0, 0, 0x40])
            #expect(await cluster.requests.map(\.options.embedding) == [.mean, .mean, .last])
        }
    }

    @Test("sampling fields beyond OpenAI's reach the cluster")
    func sampling() async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            _ = try await client.send(
                .post, "/v1/completions",
                #"""
                {"prompt":"a","min_p":0.25,"repetition_penalty":1.5,"presence_penalty":-1,"frequency_penalty":2,
                 "logit_bias":{"97":-100,"98":2.5},"min_tokens":3.0,"ignore_eos":true,"stop_token_ids":[99],"max_tokens":4}
                """#)
            let options = try #require(await cluster.requests.first?.options)
            #expect(options.sampling.minP == 0.25 && options.sampling.repetitionPenalty == 1.5)
            #expect(options.sampling.presencePenalty == -1 && options.sampling.frequencyPenalty == 2)
            #expect(options.sampling.logitBias == [97: -100, 98: 2.5])
            #expect(options.minTokens == 3 && options.ignoresEndOfSequence && options.stopTokenIDs == [99])
        }
    }
}
