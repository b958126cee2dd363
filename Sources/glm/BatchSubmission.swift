import Core
import Tokenization

/// `glm submit --batch`: a file of requests goes up, its results come back.
struct BatchSubmission: Sendable {
    let client: GatewayClient
    /// The file, or - for standard input.
    let path: String

    /// Sends the file; then prints the batch's name, or waits for its end and prints the results, a line each. Ctrl-C cancels it.
    func run(detach: Bool, json: Bool) async throws {
        let bytes = try FileBytes.read(path == "-" ? nil : path, remedy: "give a file with --batch FILE")
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Problem.invalid("\(path) is not UTF-8 text; expected JSONL")
        }
        let endpoint = try Self.endpoint(of: text, path: path)
        let name = path.split(separator: "/").last.map(String.init) ?? "batch.jsonl"
        let file = try await client.upload(text, name: name, purpose: "batch")
        let made = try await client.json(
            .POST, "/v1/batches",
            body: .object([
                .init("input_file_id", .string(file)), .init("endpoint", .string(endpoint)),
                .init("completion_window", .string("24h")),
            ]))
        guard let id = made["id"]?.string else { throw client.notOurs }
        if detach {
            return Terminal.write((json ? made.text() : id) + "\n")
        }
        let end = try await Interrupt.cancelling { () async throws -> JSONValue? in
            do {
                return try await wait(for: id)
            } catch {
                guard Task.isCancelled else { throw error }
                _ = try await Task { try await client.json(.POST, "/v1/batches/\(id)/cancel") }.value
                return nil
            }
        }
        guard let end else { throw Problem(.cancelled, "\(id) was cancelled") }
        try await show(end, id: id, json: json)
    }

    private func wait(for id: String) async throws -> JSONValue {
        var progress = ProgressLine("answering:", unit: "requests")
        defer { progress.clear() }
        while true {
            let batch = try await client.json(.GET, "/v1/batches/\(id)")
            let counts = batch["request_counts"]
            let done = (counts?["completed"]?.integer ?? 0) + (counts?["failed"]?.integer ?? 0)
            guard ["in_progress", "cancelling"].contains(batch["status"]?.string ?? "") else { return batch }
            progress.show(done, of: counts?["total"]?.integer ?? 0, rate: nil, secondsLeft: nil)
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    private func show(_ batch: JSONValue, id: String, json: Bool) async throws {
        if let faults = batch["errors"]?["data"]?.elements, let first = faults.first {
            let more = faults.count > 1 ? ", and \(faults.count - 1) more" : ""
            throw Problem.invalid(
                "\(path) line \(first["line"]?.integer ?? 0): \(first["message"]?.string ?? "wrong")\(more)")
        }
        if json {
            Terminal.write(batch.text() + "\n")
        } else {
            for key in ["output_file_id", "error_file_id"] {
                if let file = batch[key]?.string { Terminal.write(try await client.content(of: file)) }
            }
        }
        let failed = batch["request_counts"]?["failed"]?.integer ?? 0
        let status = batch["status"]?.string ?? "?"
        guard status == "completed", failed == 0 else {
            throw Problem.failed("\(id) ended as \(status); \(failed) requests failed")
        }
    }

    /// The endpoint that the first request names.
    private static func endpoint(of text: String, path: String) throws -> String {
        guard let first = text.split(whereSeparator: \.isNewline).first else {
            throw Problem.invalid("\(path) is empty; expected a request a line")
        }
        let line = try JSONValue(parsing: String(first), source: "\(path) line 1")
        guard let url = line["url"]?.string else {
            throw Problem.invalid("\(path) line 1: expected a request with url, custom_id, method and body")
        }
        return url
    }
}
