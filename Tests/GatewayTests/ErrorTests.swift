import Core
import Gateway
import Testing
import Tokenization

@Suite("errors")
struct ErrorTests {
    /// What a wrong request must be told.
    struct Wrong: Sendable, CustomTestStringConvertible {
        var path = "/v1/chat/completions"
        var body: String
        var status = 400
        var param: String?
        var code: String?

        var testDescription: String { body.count > 60 ? body.prefix(60) + "..." : body }
    }

    private static let hi = #""messages":[{"role":"user","content":"hi"}]"#

    private static let wrongs: [Wrong] = [
        Wrong(body: "", code: "invalid_json"),
        Wrong(body: "{", code: "invalid_json"),
        Wrong(body: "{\(hi)} trailing", code: "invalid_json"),
        Wrong(body: String(repeating: "[", count: 100_000), code: "invalid_json"),
        Wrong(body: "\"\u{01}\"", code: "invalid_json"),
        Wrong(body: "[]", param: "", code: "invalid_type"),
        Wrong(body: "{}", param: "messages", code: "missing"),
        Wrong(body: #"{"messages":[]}"#, param: "messages", code: "invalid_value"),
        Wrong(body: #"{"messages":"hi"}"#, param: "messages", code: "invalid_type"),
        Wrong(body: #"{"messages":["hi"]}"#, param: "messages[0]", code: "invalid_value"),
        Wrong(body: #"{"messages":[{"role":"king","content":"hi"}]}"#, param: "messages", code: "invalid_value"),
        Wrong(
            body: #"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]}"#,
            param: "messages[0]", code: "invalid_value"),
        Wrong(body: #"{\#(hi),"temperature":"hot"}"#, param: "temperature", code: "invalid_type"),
        Wrong(body: #"{\#(hi),"temperature":2.5}"#, param: "temperature", code: "invalid_value"),
        Wrong(body: #"{\#(hi),"temperature":1e999}"#, param: "temperature", code: "invalid_value"),
        Wrong(body: #"{\#(hi),"top_p":0}"#, param: "top_p", code: "invalid_value"),
        Wrong(body: #"{\#(hi),"top_k":1.5}"#, param: "top_k", code: "invalid_type"),
        Wrong(body: #"{\#(hi),"max_tokens":0}"#, param: "max_tokens", code: "invalid_value"),
        Wrong(body: #"{\#(hi),"max_tokens":99999999999999999999}"#, param: "max_tokens", code: "invalid_type"),
        Wrong(body: #"{\#(hi),"seed":"x"}"#, param: "seed", code: "invalid_type"),
        Wrong(body: #"{\#(hi),"stop":5}"#, param: "stop", code: "invalid_type"),
        Wrong(body: #"{\#(hi),"stop":["a",null]}"#, param: "stop", code: "invalid_type"),
        Wrong(
            body: #"{\#(hi),"stop":[\#(Array(repeating: "\"x\"", count: 17).joined(separator: ","))]}"#, param: "stop",
            code: "invalid_value"),
        Wrong(body: #"{\#(hi),"attention":"dense"}"#, param: "attention", code: "invalid_value"),
        Wrong(body: #"{\#(hi),"attention":1}"#, param: "attention", code: "invalid_type"),
        Wrong(body: #"{\#(hi),"priority":-101}"#, param: "priority", code: "invalid_value"),
        Wrong(body: #"{\#(hi),"priority":"high"}"#, param: "priority", code: "invalid_type"),
        Wrong(path: "/v1/embeddings", body: #"{"input":"a","priority":0.5}"#, param: "priority", code: "invalid_type"),
        Wrong(
            path: "/v1/responses", body: #"{"input":"x","include":["a",7]}"#, param: "include", code: "invalid_type"),
        Wrong(
            path: "/v1/responses", body: #"{"input":"x","top_logprobs":21}"#, param: "top_logprobs",
            code: "invalid_value"),
        Wrong(body: #"{\#(hi),"n":0}"#, param: "n", code: "invalid_value"),
        Wrong(body: #"{\#(hi),"min_p":1.5}"#, param: "min_p", code: "invalid_value"),
        Wrong(body: #"{\#(hi),"repetition_penalty":0}"#, param: "repetition_penalty", code: "invalid_value"),
        Wrong(body: #"{\#(hi),"presence_penalty":"x"}"#, param: "presence_penalty", code: "invalid_type"),
        Wrong(body: #"{\#(hi),"frequency_penalty":3}"#, param: "frequency_penalty", code: "invalid_value"),
        Wrong(body: #"{\#(hi),"logit_bias":[1]}"#, param: "logit_bias", code: "invalid_type"),
        Wrong(body: #"{\#(hi),"logit_bias":{"x":1}}"#, param: "logit_bias", code: "invalid_value"),
        Wrong(body: #"{\#(hi),"logit_bias":{"99999":1}}"#, param: "logit_bias", code: "invalid_value"),
        Wrong(body: #"{\#(hi),"logit_bias":{"9":101}}"#, param: "logit_bias", code: "invalid_value"),
        Wrong(body: #"{\#(hi),"stop_token_ids":[-1]}"#, param: "stop_token_ids", code: "invalid_value"),
        Wrong(body: #"{\#(hi),"stop_token_ids":["x"]}"#, param: "stop_token_ids", code: "invalid_type"),
        Wrong(body: #"{\#(hi),"min_tokens":5,"max_tokens":4}"#, param: "min_tokens", code: "invalid_value"),
        Wrong(body: #"{\#(hi),"tool_choice":"sometimes"}"#, param: "tool_choice", code: "invalid_value"),
        Wrong(body: #"{\#(hi),"tool_choice":"required"}"#, param: "tool_choice", code: "invalid_value"),
        Wrong(
            body: #"{\#(hi),"tool_choice":{"type":"function","function":{"name":"f"}}}"#, param: "tool_choice",
            code: "invalid_value"),
        Wrong(
            body: #"{\#(hi),"tools":[{"type":"function","function":{"name":"a b"}}]}"#, param: "tools",
            code: "invalid_value"),
        Wrong(
            body: #"{\#(hi),"tools":[{"type":"other","function":{"name":"a b"}}]}"#, param: "tools",
            code: "invalid_value"),
        Wrong(body: #"{\#(hi),"functions":[{"name":"f"}]}"#, param: "functions", code: "unsupported_value"),
        Wrong(
            body: #"{\#(hi),"continue_final_message":true}"#, param: "continue_final_message", code: "invalid_value"),
        Wrong(body: #"{\#(hi),"top_logprobs":2}"#, param: "top_logprobs", code: "invalid_value"),
        Wrong(body: #"{\#(hi),"logprobs":true,"top_logprobs":21}"#, param: "top_logprobs", code: "invalid_value"),
        Wrong(body: #"{\#(hi),"stream":"yes"}"#, param: "stream", code: "invalid_type"),
        Wrong(
            body: #"{\#(hi),"stream_options":{"include_usage":1}}"#, param: "stream_options.include_usage",
            code: "invalid_type"),
        Wrong(
            body: #"{\#(hi),"response_format":{"type":"yaml"}}"#, param: "response_format",
            code: "unsupported_value"),
        Wrong(body: #"{\#(hi),"tools":["x"]}"#, param: "tools", code: "invalid_type"),
        Wrong(body: #"{\#(hi),"tools":[{}]}"#, param: "tools", code: "missing"),
        Wrong(body: #"{\#(hi),"model":"gpt-4"}"#, status: 404, param: "model", code: "model_not_found"),
        Wrong(
            body: #"{"messages":[{"role":"user","content":"\#(String(repeating: "x", count: 5000))"}]}"#,
            param: "messages", code: "context_length_exceeded"),
        Wrong(path: "/v1/completions", body: "{}", param: "prompt", code: "missing"),
        Wrong(path: "/v1/completions", body: #"{"prompt":[1,2,9999]}"#, param: "prompt", code: "invalid_value"),
        Wrong(path: "/v1/completions", body: #"{"prompt":[1,-2]}"#, param: "prompt", code: "invalid_value"),
        Wrong(path: "/v1/completions", body: #"{"prompt":[]}"#, param: "prompt", code: "invalid_value"),
        Wrong(path: "/v1/completions", body: #"{"prompt":[[1],true]}"#, param: "prompt", code: "invalid_type"),
        Wrong(path: "/v1/completions", body: #"{"prompt":["a",[]]}"#, param: "prompt[1]", code: "invalid_value"),
        Wrong(
            path: "/v1/completions", body: #"{"prompt":"a","max_tokens":0}"#, param: "max_tokens", code: "invalid_value"
        ),
        Wrong(
            path: "/v1/completions", body: #"{"prompt":"a","best_of":2}"#, param: "best_of", code: "unsupported_value"),
        Wrong(path: "/v1/embeddings", body: "{}", param: "input", code: "missing"),
        Wrong(path: "/v1/embeddings", body: #"{"input":[]}"#, param: "input", code: "invalid_value"),
        Wrong(path: "/v1/embeddings", body: #"{"input":5}"#, param: "input", code: "invalid_type"),
        Wrong(
            path: "/v1/embeddings", body: #"{"input":"a","dimensions":8}"#, param: "dimensions",
            code: "unsupported_value"),
        Wrong(path: "/v1/embeddings", body: #"{"input":"a","pooling":"max"}"#, param: "pooling", code: "invalid_value"),
        Wrong(path: "/tokenize", body: "{}", param: "prompt", code: "missing"),
        Wrong(path: "/tokenize", body: #"{"prompt":1}"#, param: "prompt", code: "invalid_type"),
        Wrong(path: "/detokenize", body: #"{"tokens":[1,"x"]}"#, param: "tokens", code: "invalid_type"),
        Wrong(path: "/v1/responses", body: "{}", param: "input", code: "missing"),
        Wrong(
            path: "/v1/responses", body: #"{"input":[{"type":"image"}]}"#, param: "input[0].type",
            code: "unsupported_value"),
        Wrong(
            path: "/v1/responses", body: #"{"input":"x","previous_response_id":"r"}"#, param: "previous_response_id",
            code: "unsupported_value"),
        Wrong(
            path: "/v1/responses", body: #"{"input":"x","max_output_tokens":"9"}"#, param: "max_output_tokens",
            code: "invalid_type"),
        Wrong(path: "/v1/jobs", body: #"{"prompt":["a","b"]}"#, param: "prompt", code: "unsupported_value"),
        Wrong(path: "/v1/jobs", body: #"{"prompt":"a","n":2}"#, param: "n", code: "unsupported_value"),
        Wrong(path: "/v1/models", body: "{}", status: 405, code: "method_not_allowed"),
        Wrong(
            path: "/v1/completions", body: #"{"prompt":"a","logprobs":true}"#, param: "logprobs", code: "invalid_type"),
        Wrong(path: "/v1/jobs", body: "{}", param: "messages", code: "missing"),
        Wrong(path: "/v1/jobs", body: #"{"messages":5}"#, param: "messages", code: "invalid_type"),
        Wrong(path: "/v1/nothing", body: "{}", status: 404, code: "unknown_url"),
    ]

    @Test("a wrong request gets OpenAI's error object with the field, and the gateway serves on")
    func wrong() async throws {
        try await withGateway(try FakeCluster()) { client in
            for wrong in Self.wrongs {
                let reply = try await client.send(.post, wrong.path, wrong.body)
                let error = try reply.json["error"]
                let place = Comment(rawValue: "\(wrong.path) \(wrong.testDescription): \(reply.body)")
                #expect(reply.status == wrong.status, place)
                #expect(error?["type"]?.string == "invalid_request_error", place)
                #expect(error?["param"]?.string == wrong.param, place)
                #expect(error?["code"]?.string == wrong.code, place)
                #expect(error?["message"]?.string?.isEmpty == false, place)
            }
            #expect(try await client.send(.get, "/health").status == 200)
        }
    }

    @Test("a body over the limit is refused with 413")
    func bodies() async throws {
        try await withGateway(try FakeCluster(), bodyLimit: 1000) { client in
            let long = try await client.send(
                .post, "/v1/completions", #"{"prompt":"\#(String(repeating: "x", count: 2000))"}"#)
            #expect(long.status == 413)
            #expect(try long.json["error"]?["code"]?.string == "body_too_long")
        }
    }

    @Test("while the model loads, everything that needs it answers 503 and says when to try again")
    func loading() async throws {
        try await withGateway(try FakeCluster(isLoading: true)) { client in
            for path in ["/health", "/ready", "/v1/models", "/v1/models/echo"] {
                let reply = try await client.send(.get, path)
                #expect(reply.status == 503)
                #expect(reply.headers["retry-after"] == "2")
                #expect(try reply.json["error"]?["type"]?.string == "service_unavailable_error")
            }
            let chat = try await client.send(.post, "/v1/chat/completions", "{\(Self.hi)}")
            #expect(chat.status == 503)
            #expect(try chat.json["error"]?["message"]?.string?.contains("43%") == true)
            #expect(try await client.send(.get, "/v1/status").json["state"]?.string == "loading")
        }
    }

    @Test("a job that fails gives its problem: as the answer, or as the stream's last event without an end mark")
    func failure() async throws {
        try await withGateway(try FakeCluster()) { client in
            let fail = #""messages":[{"role":"user","content":"fail"}]"#
            let whole = try await client.send(.post, "/v1/chat/completions", "{\(fail)}")
            #expect(whole.status == 500)
            #expect(try whole.json["error"]?["message"]?.string == "worker ada is lost; send it again")
            let streamed = try await client.send(.post, "/v1/chat/completions", #"{\#(fail),"stream":true}"#)
            #expect(streamed.status == 200)
            #expect(try streamed.chunks.last?["error"]?["type"]?.string == "server_error")
            #expect(!streamed.body.contains("[DONE]"))
        }
    }
}
