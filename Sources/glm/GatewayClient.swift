import ArgumentParser
import Core
import Tokenization

/// What every command that talks to a gateway takes.
struct GatewayOptions: ParsableArguments {
    @Option(help: "The gateway's address; http://127.0.0.1:8080 unless given.")
    var gateway: String?

    @Option(name: .customLong("api-key"), help: "A file that holds the API key, where the gateway wants one.")
    var apiKey: String?

    @Option(help: "A configuration file; ./glm.toml or ~/.config/glm/glm.toml unless given.")
    var config: String?

    /// The configuration, read anew.
    func settings() throws -> Settings { try Settings.load(config: config) }

    /// The API key, or nil when none is configured.
    private func key() throws -> String? {
        guard let path = try apiKey ?? settings().string("api-key") else { return nil }
        let bytes = try FileBytes.read(path, remedy: "give a file that holds an API key with --api-key FILE")
        let text = String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace)
        guard text.count == 1, text[0].utf8.allSatisfy({ (33..<127).contains($0) }) else {
            throw Problem.invalid("\(path) holds no API key; expected one word, as glm keys create prints it")
        }
        return String(text[0])
    }

    /// The gateway that is meant.
    func client() throws -> GatewayClient {
        GatewayClient(
            http: try HTTPClient(
                url: try gateway ?? settings().string("gateway") ?? "http://127.0.0.1:8080", key: try key()))
    }
}

/// A gateway as the commands see it: JSON in and out, problems instead of status codes.
struct GatewayClient: Sendable {
    let http: HTTPClient

    /// The answer to a request, or the problem that the gateway reports.
    func json(_ method: HTTPClient.Method, _ path: String, body: JSONValue? = nil) async throws -> JSONValue {
        let answer = try await http.send(method, path, body: body?.text())
        guard (200..<300).contains(answer.status) else { throw problem(answer) }
        return try parse(answer.body)
    }

    /// Calls `react` with the data of every event of an answer until it returns false or the stream ends.
    /// A job's events follow the one with the id `after`; below 0 they begin with the first.
    func events(
        _ method: HTTPClient.Method, _ path: String, body: JSONValue? = nil, after: Int = -1,
        comment: (String) async -> Void = { _ in }, react: (String) async throws -> Bool
    ) async throws {
        if let refusal = try await http.events(
            method, path, body: body?.text(), after: after, comment: comment, react: react)
        {
            throw problem(refusal)
        }
    }

    /// Makes a job of another route's body; returns its name.
    func submit(_ body: JSONValue) async throws -> String {
        guard let id = try await json(.POST, "/v1/jobs", body: body)["id"]?.string else { throw notOurs }
        return id
    }

    /// Uploads a file; returns its id.
    func upload(_ text: String, name: String, purpose: String) async throws -> String {
        // A boundary that stands nowhere in the text.
        var boundary = "glm"
        while text.contains("--" + boundary) { boundary += String(UInt32.random(in: 0...UInt32.max), radix: 36) }
        let plain = name.filter { $0 != "\"" && $0.isASCII && !$0.isNewline }
        let form =
            "--\(boundary)\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\n\(purpose)\r\n"
            + "--\(boundary)\r\ncontent-disposition: form-data; name=\"file\"; filename=\"\(plain)\"\r\n\r\n"
            + text + "\r\n--\(boundary)--\r\n"
        let answer = try await http.send(
            .POST, "/v1/files", body: form, headers: [("content-type", "multipart/form-data; boundary=\(boundary)")])
        guard (200..<300).contains(answer.status) else { throw problem(answer) }
        guard let id = try parse(answer.body)["id"]?.string else { throw notOurs }
        return id
    }

    /// The content of a file.
    func content(of file: String) async throws -> String {
        let answer = try await http.send(.GET, "/v1/files/\(file)/content")
        guard (200..<300).contains(answer.status) else { throw problem(answer) }
        return answer.body
    }

    /// Ends a job.
    func cancel(_ job: String) async throws { _ = try await json(.DELETE, "/v1/jobs/\(job)") }

    /// A JSON value that the gateway sent.
    func parse(_ text: String) throws -> JSONValue {
        do {
            return try JSONValue(parsing: text, source: "the answer")
        } catch {
            throw notOurs
        }
    }

    /// The problem in an OpenAI error object.
    func problem(_ error: JSONValue?, status: Int? = nil) -> Problem {
        let kind: Problem.Kind =
            switch (status ?? 0, error?["type"]?.string) {
            case (404, _): .notFound
            case (403, _), (_, "permission_error"): .refused
            case (503, _), (_, "service_unavailable_error"): .unavailable
            case (429, _), (_, "rate_limit_error"): .busy
            case (499, _), (_, "cancelled_error"): .cancelled
            case (500..., _), (_, "server_error"): .failed
            default: .invalid
            }
        return Problem(kind, error?["message"]?.string ?? "the gateway reports an error without words")
    }

    private func problem(_ answer: HTTPClient.Answer) -> Problem {
        guard let error = (try? parse(answer.body))?["error"] else {
            return .failed("\(http.url) answered with status \(answer.status); is a glm gateway listening there?")
        }
        return problem(error, status: answer.status)
    }

    /// The problem of an answer that makes no sense.
    var notOurs: Problem {
        .failed("\(http.url) gave an answer that is none of a glm gateway; is something else listening there?")
    }
}

/// Follows one job's events: shows the text as it comes, and collects the whole.
struct JobFollower {
    private let client: GatewayClient
    private let job: String
    /// Whether text is written to standard output as it comes.
    private let writesText: Bool
    /// Whether the newline that a chat's answer begins with is left out.
    private var skipsNewline: Bool
    private var progress: ProgressLine
    private var text = ""
    private var tokens: [JSONValue] = []
    private var end: JSONValue?

    init(
        client: GatewayClient, job: String, writesText: Bool, isChat: Bool, label: String = "reading the prompt:"
    ) {
        self.client = client
        self.job = job
        self.writesText = writesText
        skipsNewline = isChat
        progress = ProgressLine(label, unit: "tokens")
    }

    /// Waits for the end; returns the whole answer for programs.
    mutating func follow() async throws -> JSONValue {
        defer {
            progress.clear()
            // Whatever comes next, an error's line say, begins on a line of its own.
            if writesText, !text.isEmpty, !text.hasSuffix("\n") { Terminal.write("\n") }
        }
        let client = client
        // A job outlives a gateway or a coordinator that is started again, and so does the wait for it.
        var heard = ContinuousClock.now
        while end == nil, !Task.isCancelled {
            do {
                try await client.events(.GET, "/v1/jobs/\(job)/events", after: tokens.count - 1) { data in
                    heard = .now
                    return try take(data)
                }
                break
            } catch let problem as Problem where problem.kind == .unavailable && heard + .seconds(60) > .now {
                try await Task.sleep(for: .milliseconds(500))
            }
        }
        guard let end else {
            try Task.checkCancellation()
            throw Problem.failed("the events of \(job) ended before it did; see `glm jobs show \(job)`")
        }
        return .object([
            .init("id", .string(job)), .init("text", .string(text)), .init("tokens", .array(tokens)),
            .init("finish_reason", end["finish_reason"] ?? .null), .init("usage", end["usage"] ?? .null),
            .init("timings", end["timings"] ?? .null),
        ])
    }

    /// Takes one event; false after the last.
    private mutating func take(_ data: String) throws -> Bool {
        let event = try client.parse(data)
        switch event["type"]?.string {
        case "prefill":
            if let done = event["tokens"]?.integer, let all = event["of"]?.integer {
                progress.show(
                    done, of: all, rate: event["tokens_per_second"]?.double,
                    secondsLeft: event["seconds_left"]?.double)
            }
            return true
        case "token":
            if let token = event["token"] { tokens.append(token) }
            say(event["text"]?.string ?? "")
            return true
        case "finished":
            say(event["text"]?.string ?? "")
            guard event["finish_reason"]?.string != FinishReason.cancelled.rawValue else {
                throw Problem(.cancelled, "\(job) was cancelled")
            }
            end = event
            return false
        case "failed": throw client.problem(event["error"])
        default: return true
        }
    }

    private mutating func say(_ piece: String) {
        guard !piece.isEmpty else { return }
        let piece = skipsNewline && piece.hasPrefix("\n") ? String(piece.dropFirst()) : piece
        skipsNewline = false
        text += piece
        progress.clear()
        if writesText { Terminal.write(piece) }
    }
}
