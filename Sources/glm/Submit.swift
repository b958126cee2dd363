import ArgumentParser
import Core
import Tokenization

/// `glm submit`: one question to the cluster, as a job; its answer streams to standard output.
struct Submit: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "submit", abstract: "Ask the cluster something and print the answer.",
        discussion: """
            The text is the argument, a file (--file) or standard input (-); with both, the file stands before what is asked about it. \
            Ctrl-C cancels the job.
            """)

    @Argument(help: "What to ask; - reads it from standard input.")
    var text: String?

    @Option(help: "Read what to ask from a file.")
    var file: String?

    @Option(help: "Send the requests in a file in OpenAI's batch form (JSONL), and print their results.")
    var batch: String?

    @Flag(help: "Print the job's name and leave; see `glm jobs wait`.")
    var detach = false

    @Flag(help: "Continue the text as it is, without the chat's template.")
    var raw = false

    @Option(help: "What the assistant is told before.")
    var system: String?

    @OptionGroup var sampling: AnswerOptions

    @Flag(help: "Print one JSON object at the end.")
    var json = false

    @OptionGroup var gateway: GatewayOptions

    func run() async throws {
        let client = try gateway.client()
        if let batch {
            guard text == nil, file == nil else {
                throw ValidationError("give --batch alone, without a text or --file")
            }
            return try await BatchSubmission(client: client, path: batch).run(detach: detach, json: json)
        }
        let body = try requestBody(settings: try gateway.settings())
        if detach {
            let job = try await client.submit(body)
            Terminal.write((json ? JSONValue.object([.init("id", .string(job))]).text() : job) + "\n")
            return
        }
        let isChat = !raw
        let writesText = !json
        let outcome = try await Interrupt.cancelling {
            try await Self.outcome(client, body, writesText: writesText, isChat: isChat)
        }
        switch outcome {
        case .answer(let answer): if json { Terminal.write(answer.text() + "\n") }
        case .cancelled(let job): throw Problem(.cancelled, "\(job) was cancelled")
        }
    }

    private enum Outcome: Sendable {
        case answer(JSONValue)
        case cancelled(String)
    }

    /// Makes a job and waits for its end; a cancelled task cancels the job.
    ///
    /// Making and cancelling are tasks of their own, which Ctrl-C does not tear: no job is left that nobody knows of.
    private static func outcome(
        _ client: GatewayClient, _ body: JSONValue, writesText: Bool, isChat: Bool
    ) async throws -> Outcome {
        let job = try await Task { try await client.submit(body) }.value
        do {
            var follower = JobFollower(client: client, job: job, writesText: writesText, isChat: isChat)
            return .answer(try await follower.follow())
        } catch {
            guard Task.isCancelled else { throw error }
            try await Task { try await client.cancel(job) }.value
            return .cancelled(job)
        }
    }

    private func requestBody(settings: Settings) throws -> JSONValue {
        let prompt = try promptText()
        var members: [JSONValue.Member] = []
        if raw {
            guard system == nil else { throw ValidationError("--system needs a chat; leave --raw out") }
            members.append(.init("prompt", .string(prompt)))
        } else {
            let turns = [("system", system ?? settings.string("system")), ("user", prompt)]
            members.append(
                .init("messages", .array(turns.compactMap { role, text in text.map { chatTurn(role, $0) } })))
        }
        return .object(members + (try sampling.members(settings)))
    }

    private func promptText() throws -> String {
        switch (text, file) {
        case (nil, nil): throw ValidationError("give the text to ask, --file FILE, or - for standard input")
        case ("-", "-"): throw ValidationError("standard input is read once: give - or --file -")
        case (let text?, let path?):
            let question = text == "-" ? try contents(of: nil) : text
            return try contents(of: path == "-" ? nil : path) + "\n\n" + question
        case (nil, let path?): return try contents(of: path == "-" ? nil : path)
        case ("-", nil): return try contents(of: nil)
        case (let text?, nil): return text
        }
    }

    /// The text in a file, or in standard input when the path is nil.
    private func contents(of path: String?) throws -> String {
        let name = path ?? "standard input"
        let bytes = try FileBytes.read(path, remedy: "give the text itself, or --file FILE")
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Problem.invalid("\(name) is not UTF-8 text; convert it first")
        }
        guard !text.isEmpty else { throw Problem.invalid("\(name) is empty; expected some text to ask") }
        return text
    }
}

/// How an answer is generated, as flags.
struct AnswerOptions: ParsableArguments {
    @Option(name: .customLong("max-tokens"), help: "Generate at most so many tokens.")
    var maxTokens: Int?

    @Option(help: "0 takes the most likely token; 1 unless given.")
    var temperature: Double?

    @Option(name: .customLong("top-p"), help: "Keep the fewest tokens whose probabilities sum to this.")
    var topP: Double?

    @Option(name: .customLong("top-k"), help: "Keep so many tokens; 0 keeps all.")
    var topK: Int?

    @Option(help: "The same seed draws the same tokens.")
    var seed: Int?

    @Option(help: "exact, or sparse: attend to chosen pages only; exact unless given.")
    var attention: String?

    @Option(help: "End the answer before this text; may be given several times.")
    var stop: [String] = []

    @Option(
        parsing: .unconditional,
        help: "-100 to 100: where not everybody can be served, the lowest goes first; 0 unless given.")
    var priority: Int?

    @OptionGroup var drawing: DrawingFlags

    /// The fields of a request; what is neither a flag nor configured is left to the gateway.
    func members(_ settings: Settings) throws -> [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        func add(_ name: String, _ value: JSONValue?) {
            if let value { members.append(.init(name, value)) }
        }
        add("max_tokens", (try maxTokens ?? settings.int("max-tokens")).map { .integer($0) })
        func addNumber(_ name: String, flag: String, _ given: Double?) throws {
            guard let number = try given ?? settings.double(flag) else { return }
            guard number.isFinite else { throw Problem.invalid("--\(flag) \(number): give a number, like 0.7") }
            add(name, .number("\(number)"))
        }
        try addNumber("temperature", flag: "temperature", temperature)
        try addNumber("top_p", flag: "top-p", topP)
        add("top_k", (try topK ?? settings.int("top-k")).map { .integer($0) })
        add("seed", (try seed ?? settings.int("seed")).map { .integer($0) })
        add("priority", (try priority ?? settings.int("priority")).map { .integer($0) })
        add(
            "attention",
            try (attention ?? settings.string("attention")).map { .string(try AttentionMode(flag: $0).rawValue) })
        let stops = stop.isEmpty ? settings.string("stop").map { [$0] } ?? [] : stop
        if !stops.isEmpty { add("stop", .array(stops.map { .string($0) })) }
        return members + (try drawing.members())
    }
}

/// A message of a chat's request.
func chatTurn(_ role: String, _ text: String) -> JSONValue {
    .object([.init("role", .string(role)), .init("content", .string(text))])
}
