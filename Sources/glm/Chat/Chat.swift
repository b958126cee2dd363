import ArgumentParser
import Core

/// `glm chat`: a conversation in the terminal.
struct Chat: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chat", abstract: "Talk with the model.",
        discussion:
            "Ctrl-C ends an answer, Ctrl-D the conversation; /help shows what else there is. Lines may also come from a pipe."
    )

    @Option(help: "What the assistant is told before.")
    var system: String?

    @Flag(help: "Print each answer as a line of JSON, with its usage.")
    var json = false

    @OptionGroup var sampling: AnswerOptions

    @OptionGroup var gateway: GatewayOptions

    func run() async throws {
        let client = try gateway.client()
        let settings = try gateway.settings()
        let options = try sampling.members(settings)
        // Says at once when there is nobody to talk to.
        let models = try await client.json(.GET, "/v1/models")
        if Terminal.asksInput {
            let name = models["data"]?.elements?.first?["id"]?.string ?? "the model"
            Terminal.note("\(name) listens; /help shows the commands, Ctrl-C ends an answer, Ctrl-D the conversation")
        }
        var conversation = Talk(system: system ?? settings.string("system"))
        var editor = LineEditor(history: ChatHistory())
        while let line = try Terminal.asksInput && Terminal.showsOutput ? editor.read() : readLine() {
            guard line.contains(where: { !$0.isWhitespace }) else { continue }
            do {
                if let command = try ChatCommand(line) {
                    guard try Self.obey(command, &conversation) else { break }
                    continue
                }
                conversation.ask(line.hasPrefix("//") ? String(line.dropFirst()) : line)
                try await Self.answer(client, options, &conversation, asJSON: json)
            } catch let problem as Problem where Terminal.asksInput {
                // The conversation goes on after a problem; the question may be asked again.
                Terminal.note("error: \(problem.message)")
            }
        }
    }

    /// Does what a command says; false when the conversation is over.
    private static func obey(_ command: ChatCommand, _ conversation: inout Talk) throws -> Bool {
        switch command {
        case .help: Terminal.note(ChatCommand.helpText)
        case .clear: conversation.clear()
        case .quit: return false
        case .file(let path):
            let size = try conversation.attach(path)
            Terminal.note("\(path), \(Terminal.bytes(size)), goes with the next question")
        case .save(let path):
            try conversation.save(to: path)
            Terminal.note("saved to \(path)")
        case .system(let text): conversation = Talk(system: text)
        }
        return true
    }

    /// Asks the conversation's last question and adds what came of the answer.
    private static func answer(
        _ client: GatewayClient, _ options: [JSONValue.Member], _ conversation: inout Talk, asJSON: Bool
    ) async throws {
        let turns = conversation.turns
        let answer = Transcript(isShown: !asJSON)
        do {
            try await Interrupt.cancelling { try await Self.ask(client, turns, options, into: answer) }
        } catch is CancellationError {
            Terminal.note("\n(ended)")
        } catch {
            if await !answer.text.isEmpty, !asJSON { Terminal.write("\n") }
            conversation.takeBack()
            throw error
        }
        let text = await answer.text
        conversation.answer(text)
        guard asJSON else { return }
        Terminal.write(
            JSONValue.object([
                .init("role", .string("assistant")), .init("content", .string(text)),
                .init("finish_reason", await answer.finish ?? .null), .init("usage", await answer.usage ?? .null),
            ]).text() + "\n")
    }

    /// Asks for one answer; the gateway ends the job when this task, and so the connection, ends.
    private static func ask(
        _ client: GatewayClient, _ history: [JSONValue], _ options: [JSONValue.Member], into answer: Transcript
    ) async throws {
        let body = JSONValue.object(
            [
                .init("messages", .array(history)), .init("stream", .bool(true)),
                .init("stream_options", .object([.init("include_usage", .bool(true))])),
            ] + options)
        var isComplete = false
        try await client.events(.POST, "/v1/chat/completions", body: body) { comment in
            await answer.read(comment)
        } react: { data in
            guard data != "[DONE]" else {
                isComplete = true
                return false
            }
            let chunk = try client.parse(data)
            if let error = chunk["error"] { throw client.problem(error) }
            await answer.take(chunk)
            return true
        }
        try Task.checkCancellation()
        guard isComplete else { throw Problem.failed("the answer ended before it was complete; ask again") }
        if answer.isShown { Terminal.write("\n") }
    }

    /// What was said so far, also when the answer was cut short, and how far the question has been read.
    private actor Transcript {
        /// Whether it is written as it comes.
        let isShown: Bool
        private(set) var text = ""
        private(set) var finish: JSONValue?
        private(set) var usage: JSONValue?
        private var progress = ProgressLine("reading:", unit: "tokens")

        init(isShown: Bool) { self.isShown = isShown }

        /// A chunk of the stream.
        func take(_ chunk: JSONValue) {
            if let used = chunk["usage"], !used.isNull { usage = used }
            guard let choice = chunk["choices"]?.elements?.first else { return }
            if let reason = choice["finish_reason"], !reason.isNull { finish = reason }
            guard let piece = choice["delta"]?["content"]?.string, !piece.isEmpty else { return }
            progress.clear()
            text += piece
            if isShown { Terminal.write(piece) }
        }

        /// A stream's comment: `prefill 512/8192, 300 tokens/s, 25 s left`.
        func read(_ comment: String) {
            let words = comment.split { " /,".contains($0) }
            guard words.count >= 3, words[0] == "prefill", let done = Int(words[1]), let all = Int(words[2]) else {
                return
            }
            let rate = words.count > 3 ? Double(words[3]) : nil
            progress.show(done, of: all, rate: rate, secondsLeft: words.count > 5 ? Double(words[5]) : nil)
        }
    }
}
