import Core
import Gateway
import Testing
import Tokenization

@Suite("files and batches")
struct BatchTests {
    private func form(_ fields: [(String, String?, String)]) -> (body: String, headers: [(String, String)]) {
        var body = ""
        for (name, file, text) in fields {
            let disposition = "form-data; name=\"\(name)\"" + (file.map { "; filename=\"\($0)\"" } ?? "")
            body += "--x1\r\ncontent-disposition: \(disposition)\r\n\r\n\(text)\r\n"
        }
        return (body + "--x1--\r\n", [("content-type", "multipart/form-data; boundary=x1")])
    }

    private func upload(_ client: Client, _ text: String, purpose: String = "batch") async throws -> Reply {
        let (body, headers) = form([("purpose", nil, purpose), ("file", "a.jsonl", text)])
        return try await client.send(.post, "/v1/files", body, headers: headers)
    }

    private func line(_ id: String, _ said: String, url: String = "/v1/chat/completions") -> String {
        #"{"custom_id":"\#(id)","method":"POST","url":"\#(url)","body":{"messages":[{"role":"user","content":"\#(said)"}]}}"#
    }

    private func make(_ client: Client, _ file: String?) async throws -> Reply {
        try await client.send(
            .post, "/v1/batches",
            #"{"input_file_id":"\#(file ?? "")","endpoint":"/v1/chat/completions","completion_window":"24h","metadata":{"a":"b"}}"#
        )
    }

    private func end(_ client: Client, _ id: String) async throws -> JSONValue {
        for _ in 0..<500 {
            let batch = try await client.send(.get, "/v1/batches/\(id)").json
            if !["in_progress", "cancelling"].contains(batch["status"]?.string ?? "") { return batch }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw Problem.failed("the batch \(id) does not end")
    }

    @Test("a file is uploaded, listed, read byte for byte and deleted")
    func files() async throws {
        try await withGateway(try FakeCluster()) { client in
            // What looks like a boundary, line ends and all.
            let text = "caf\u{e9}\r\n--x\r\n\r\n--x1 within a line\n"
            let made = try await upload(client, text, purpose: "user_data")
            #expect(made.status == 200, "\(made.body)")
            let id = try #require(try made.json["id"]?.string)
            #expect(try made.json["bytes"]?.integer == text.utf8.count && made.json["filename"]?.string == "a.jsonl")
            #expect(try await client.send(.get, "/v1/files/\(id)/content").body == text)
            #expect(try await client.send(.get, "/v1/files").json["data"]?.elements?.count == 1)
            #expect(try await client.send(.get, "/v1/files?purpose=batch").json["data"]?.elements?.isEmpty == true)
            #expect(try await client.send(.delete, "/v1/files/\(id)").json["deleted"]?.bool == true)
            #expect(try await client.send(.get, "/v1/files/\(id)").status == 404)
        }
    }

    @Test(
        "a form that is torn or lacks a field is refused with the field",
        arguments: [
            ("", "form"), ("--x1", "torn"), ("--x1\r\ncontent-disposition: form-data\r\n\r\n--x1--", "torn"),
            ("--x1\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--x1--\r\n", "file"),
            ("--x1\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\nx\r\n--x1--\r\n", "purpose"),
        ])
    func torn(body: String, word: String) async throws {
        try await withGateway(try FakeCluster()) { client in
            let headers = word == "form" ? [] : [("content-type", "multipart/form-data; boundary=x1")]
            let reply = try await client.send(.post, "/v1/files", body, headers: headers)
            #expect(reply.status == 400 && reply.body.contains(word), "\(reply.body)")
        }
    }

    @Test("a batch answers every line once, good and bad, in files")
    func batch() async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            var lines = (0..<40).map { line("r\($0)", "hello \($0)") }
            lines.append(line("bad", "fail"))
            let file = try await upload(client, lines.joined(separator: "\n") + "\n").json["id"]?.string
            let made = try await make(client, file)
            #expect(made.status == 200, "\(made.body)")
            let end = try await end(client, try #require(try made.json["id"]?.string))
            #expect(end["status"]?.string == "completed" && end["metadata"]?["a"]?.string == "b")
            #expect(
                end["request_counts"]?["completed"]?.integer == 40 && end["request_counts"]?["failed"]?.integer == 1)
            let output = try await client.send(.get, "/v1/files/\(end["output_file_id"]?.string ?? "")/content").body
            let results = try output.split(separator: "\n").map {
                try JSONValue(parsing: String($0), source: "a result")
            }
            #expect(results.map { $0["custom_id"]?.string } == (0..<40).map { "r\($0)" })
            for (index, result) in results.enumerated() {
                let answer = result["response"]?["body"]?["choices"]?.elements?.first?["message"]?["content"]?.string
                #expect(answer == "hello \(index)" && result["response"]?["status_code"]?.integer == 200)
            }
            let errors = try await client.send(.get, "/v1/files/\(end["error_file_id"]?.string ?? "")/content").body
            #expect(errors.contains("bad") && errors.contains("worker ada is lost"))
            let names = Set(await cluster.requests.map(\.requestID))
            #expect(names == Set((0..<41).map { "\(end["id"]?.string ?? "")/\($0)" }))
            #expect(await cluster.requests.count == 41)
            #expect(await cluster.kept.keys.allSatisfy { $0.kind != "line" })
            let list = try await client.send(.get, "/v1/batches").json
            #expect(list["data"]?.elements?.count == 1)
        }
    }

    @Test(
        "every route's requests can be a batch's",
        arguments: [
            ("/v1/completions", #"{"prompt":"hi"}"#, "hi"), ("/v1/responses", #"{"input":"hi"}"#, "hi"),
            ("/v1/messages", #"{"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#, "hi"),
            ("/v1/embeddings", #"{"input":["a","b"],"normalize":false}"#, "[3.0,4.0]"),
        ])
    func routes(url: String, body: String, words: String) async throws {
        try await withGateway(try FakeCluster()) { client in
            let text = #"{"custom_id":"a","method":"POST","url":"\#(url)","body":\#(body)}"#
            let file = try #require(try await upload(client, text).json["id"]?.string)
            let made = try await client.send(
                .post, "/v1/batches", #"{"input_file_id":"\#(file)","endpoint":"\#(url)"}"#)
            #expect(made.status == 200, "\(made.body)")
            let end = try await end(client, try #require(try made.json["id"]?.string))
            #expect(end["request_counts"]?["completed"]?.integer == 1)
            let answer = try await client.send(.get, "/v1/files/\(end["output_file_id"]?.string ?? "")/content").body
            let result = try JSONValue(parsing: answer, source: "the result")["response"]?["body"]
            let direct = try await client.send(.post, url, body).json
            #expect(result?["object"] == direct["object"] && result?["type"] == direct["type"])
            #expect(answer.contains(words), "\(answer)")
        }
    }

    @Test("another gateway goes on with a batch, and asks for nothing twice")
    func handedOver() async throws {
        let cluster = try FakeCluster()
        let id = try await withGateway(cluster) { client in
            let lines = (0..<20).map { line("r\($0)", $0 == 3 ? "slow" : "hi") }
            let file = try await upload(client, lines.joined(separator: "\n")).json["id"]?.string
            let made = try await make(client, file)
            return try #require(try made.json["id"]?.string)
        }
        try await withGateway(cluster) { client in
            let end = try await end(client, id)
            #expect(end["request_counts"]?["completed"]?.integer == 20)
            #expect(await cluster.requests.count == 20)
        }
    }

    @Test("a batch is cancelled, its jobs with it")
    func cancelled() async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            let file = try await upload(client, line("a", "hang") + "\n" + line("b", "hi")).json["id"]?.string
            let id = try #require(try await make(client, file).json["id"]?.string)
            #expect(await eventually { await cluster.requests.count == 2 })
            #expect(try await client.send(.post, "/v1/batches/\(id)/cancel").status == 200)
            let end = try await end(client, id)
            #expect(end["status"]?.string == "cancelled")
            #expect(await cluster.cancelled.count == 1)
        }
    }

    @Test("a file that is wrong fails the batch with its lines, a wrong wish is refused with its field")
    func wrong() async throws {
        try await withGateway(try FakeCluster()) { client in
            let text = [line("a", "x"), line("a", "x"), "{", line("b", "x", url: "/v1/embeddings"), "{}"].joined(
                separator: "\n")
            let file = try await upload(client, text).json["id"]?.string
            let made = try await make(client, file).json
            #expect(made["status"]?.string == "failed")
            #expect(made["errors"]?["data"]?.elements?.compactMap { $0["line"]?.integer } == [2, 3, 4, 5])
            let other = try await upload(client, "x", purpose: "user_data").json["id"]?.string
            #expect(try await make(client, other).status == 400)
            #expect(try await make(client, "file-none").status == 404)
            for body in [
                "{}", #"{"input_file_id":"f","endpoint":"/v1/nothing"}"#,
                #"{"input_file_id":"f","endpoint":"/v1/completions","completion_window":"soon"}"#,
            ] { #expect(try await client.send(.post, "/v1/batches", body).status == 400, "\(body)") }
        }
    }

    @Test("an uploaded document stands in a message")
    func document() async throws {
        let cluster = try FakeCluster()
        try await withGateway(cluster) { client in
            let id = try await upload(client, "the whole case", purpose: "user_data").json["id"]?.string ?? ""
            let body =
                #"{"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"\#(id)"}},{"type":"text","text":"?"}]}]}"#
            let made = try await client.send(.post, "/v1/jobs", body)
            #expect(made.status == 202, "\(made.body)")
            let job = try await client.send(.get, "/v1/jobs/job-1/events")
            #expect(try job.chunks.compactMap { $0["text"]?.string }.joined().contains("the whole case"))
            let none = body.replacing(id, with: "file-none")
            #expect(try await client.send(.post, "/v1/jobs", none).status == 404)
        }
    }
}
