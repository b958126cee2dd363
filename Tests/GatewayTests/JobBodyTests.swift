import Core
import Gateway
import Testing
import Tokenization

@Suite("what jobs are made of")
struct JobBodyTests {
    /// What the one job's prompt says.
    private func said(_ cluster: FakeCluster) async throws -> String {
        let tokenizer = try FakeCluster.tokenizer(.glm4Chat)
        return tokenizer.decode(try #require(await cluster.requests.last).prompt)
    }

    private func form(_ parts: [(name: String, file: String?, text: String)]) -> (String, [(String, String)]) {
        var body = ""
        for part in parts {
            let file = part.file.map { "; filename=\"\($0)\"" } ?? ""
            body += "--b7\r\ncontent-disposition: form-data; name=\"\(part.name)\"\(file)\r\n\r\n\(part.text)\r\n"
        }
        return (body + "--b7--\r\n", [("content-type", "multipart/form-data; boundary=b7")])
    }

    @Test(
        "the body of every route is a job, bare where it says what it is, or beside its route",
        arguments: [
            (#"{"messages":[{"role":"user","content":"hé"}]}"#, "\nhé"),
            (#"{"prompt":"hé"}"#, "hé"),
            (#"{"input":"hé"}"#, "\nhé"),
            (#"{"url":"/v1/chat/completions","body":{"messages":[{"role":"user","content":"hé"}]}}"#, "\nhé"),
            (#"{"url":"/v1/completions","body":{"prompt":"hé"}}"#, "hé"),
            (#"{"url":"/v1/responses","body":{"input":[{"role":"user","content":"hé"}]}}"#, "\nhé"),
            (#"{"url":"/v1/messages","body":{"max_tokens":9,"messages":[{"role":"user","content":"hé"}]}}"#, "\nhé"),
            (#"{"url":"/v1/embeddings","body":{"input":"hé","priority":3}}"#, "hé"),
        ])
    func bodies(body: String, prompt: String) async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            let made = try await client.send(.post, "/v1/jobs", body)
            #expect(made.status == 202, "\(made.body)")
            #expect(try await said(cluster) == prompt)
            let events = try await client.send(.get, "/v1/jobs/job-1/events").chunks
            let isEmbedding = body.contains("embeddings")
            #expect(events.contains { $0["type"]?.string == (isEmbedding ? "embedding" : "token") })
            #expect(events.last?["finish_reason"]?.string == "stop")
            let request = try #require(await cluster.requests.last)
            #expect(!request.endsWithClient && (request.options.embedding == .mean) == isEmbedding)
            #expect(request.options.maxTokens == (body.contains("max_tokens") ? 9 : nil))
            #expect(
                try await client.send(.get, "/v1/jobs/job-1").json["priority"]?.integer == (isEmbedding ? 3 : 0))
        }
    }

    @Test(
        "a form brings a document, which stands before what is asked about it",
        arguments: [
            (#"{"messages":[{"role":"system","content":"S"},{"role":"user","content":"who?"}]}"#, "\nS\nIT\n\nwho?"),
            (#"{"messages":[{"role":"user","content":[{"type":"text","text":"who?"}]}]}"#, "\nIT\n\nwho?"),
            (#"{"input":"who?"}"#, "\nIT\n\nwho?"),
            (#"{"input":[{"role":"user","content":[{"type":"input_text","text":"who?"}]}]}"#, "\nIT\n\nwho?"),
            (#"{"prompt":"who?"}"#, "ITwho?"),
            (#"{"url":"/v1/completions","body":{}}"#, "IT"),
            (#"{"url":"/v1/embeddings","body":{}}"#, "IT"),
            (
                #"{"url":"/v1/messages","body":{"max_tokens":5,"messages":[{"role":"user","content":"who?"}]}}"#,
                "\nIT\n\nwho?"
            ),
        ])
    func document(request: String, prompt: String) async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            let (body, headers) = form([("request", nil, request), ("file", "case.txt", "IT")])
            let made = try await client.send(.post, "/v1/jobs", body, headers: headers)
            #expect(made.status == 202, "\(made.body)")
            #expect(try await said(cluster) == prompt)
        }
    }

    @Test("an uploaded file stands in the bodies of all routes")
    func files() async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            let (upload, headers) = form([("purpose", nil, "user_data"), ("file", "a.txt", "IT")])
            let id = try #require(
                try await client.send(.post, "/v1/files", upload, headers: headers).json["id"]?.string)
            for (path, body, prompt) in [
                (
                    "/v1/chat/completions",
                    #"{"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"ID"}}]}]}"#, "\nIT"
                ),
                (
                    "/v1/responses",
                    #"{"input":[{"role":"user","content":[{"type":"input_file","file_id":"ID"}]}]}"#, "\nIT"
                ),
                (
                    "/v1/messages",
                    #"{"max_tokens":9,"messages":[{"role":"user","content":[{"type":"document","source":{"type":"file","file_id":"ID"}},{"type":"text","text":"?"}]}]}"#,
                    "\nIT?"
                ),
                ("/v1/completions", #"{"prompt":{"file_id":"ID"}}"#, "IT"),
                ("/v1/embeddings", #"{"input":[{"file_id":"ID"}]}"#, "IT"),
                ("/v1/jobs", #"{"prompt":{"file_id":"ID"}}"#, "IT"),
            ] {
                let reply = try await client.send(.post, path, body.replacing("ID", with: id))
                #expect((200...202).contains(reply.status), "\(path) \(reply.body)")
                #expect(try await said(cluster) == prompt, "\(path)")
                let none = try await client.send(.post, path, body.replacing("ID", with: "file-none"))
                #expect(none.status == 404, "\(path) \(none.body)")
            }
        }
    }

    @Test(
        "a job that cannot be is refused with its field",
        arguments: [
            (#"{"url":"/v1/nothing","body":{}}"#, "url"), (#"{"url":"/v1/completions"}"#, "body"),
            (#"{"url":7,"body":{}}"#, "url"), (#"{"input":7}"#, "input"),
            (#"{"prompt":"a","priority":101}"#, "priority"),
            (#"{"url":"/v1/embeddings","body":{"input":["a","b"]}}"#, "input"),
            (#"{"url":"/v1/messages","body":{"messages":[]}}"#, "max_tokens"),
        ])
    func refused(body: String, param: String) async throws {
        try await withGateway(try FakeCluster()) { client in
            let reply = try await client.send(.post, "/v1/jobs", body)
            #expect(reply.status == 400)
            #expect(try reply.json["error"]?["param"]?.string == param, "\(reply.body)")
        }
    }

    @Test("a form without a request, or with a document for nobody, is refused with its field")
    func wrongForms() async throws {
        try await withGateway(try FakeCluster()) { client in
            for (parts, param) in [
                ([("file", "a.txt", "IT")], "request"),
                (
                    [("request", nil, #"{"messages":[{"role":"system","content":"S"}]}"#), ("file", "a", "IT")],
                    "messages"
                ),
                ([("request", nil, #"{"prompt":[1,2]}"#), ("file", "a", "IT")], "prompt"),
                ([("request", nil, #"{"prompt":"a"}"#), ("file", "a", "\0")], nil),
            ] as [([(String, String?, String)], String?)] {
                let (body, headers) = form(parts.map { (name: $0.0, file: $0.1, text: $0.2) })
                let reply = try await client.send(.post, "/v1/jobs", body, headers: headers)
                #expect(reply.status == (param == nil ? 202 : 400), "\(reply.body)")
                #expect(try reply.json["error"]?["param"]?.string == param, "\(reply.body)")
            }
        }
    }
}
