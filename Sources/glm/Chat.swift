import ArgumentParser
import Core
import Tokenization

/// `glm chat`: a conversation in the terminal.
struct Chat: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chat", abstract: "Talk with the model.",
        discussion: "Ctrl-C ends an answer, Ctrl-D the conversation. Lines may also come from a pipe.")

    @Option(help: "What the assistant is told before.")
    var system: String?

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
            Terminal.note("\(name) listens; Ctrl-C ends an answer, Ctrl-D the conversation")
        }
        var history: [JSONValue] = []
        if let system = system ?? settings.string("system") { history.append(chatTurn("system", system)) }
        while let line = nextLine() {
            guard line.contains(where: { !$0.isWhitespace }) else { continue }
            history.append(chatTurn("user", line))
            let turns = history
            let answer = Transcript()
            do {
                try await Interrupt.cancelling { try await Self.ask(client, turns, options, into: answer) }
            } catch is CancellationError {
                Terminal.note("\n(ended)")
            } catch let problem as Problem where Terminal.asksInput {
                // The conversation goes on after a problem; the question may be asked again.
                if await !answer.text.isEmpty { Terminal.write("\n") }
                Terminal.note("error: \(problem.message)")
                history.removeLast()
                continue
            }
            history.append(chatTurn("assistant", await answer.text))
        }
        if Terminal.asksInput { Terminal.write("\n") }
    }

    private func nextLine() -> String? {
        if Terminal.asksInput { Terminal.write("> ") }
        return readLine()
    }

    /// Asks for one answer; the gateway ends the job when this task, and so the connection, ends.
    private static func ask(
        _ client: GatewayClient, _ history: [JSONValue], _ options: [JSONValue.Member], into answer: Transcript
    ) async throws {
        let body = JSONValue.object(
            [.init("messages", .array(history)), .init("stream", .bool(true))] + options)
        var isComplete = false
        try await client.events(.POST, "/v1/chat/completions", body: body) { data in
            guard data != "[DONE]" else {
                isComplete = true
                return false
            }
            let chunk = try client.parse(data)
            if let error = chunk["error"] { throw client.problem(error) }
            if let text = chunk["choices"]?.elements?.first?["delta"]?["content"]?.string {
                await answer.add(text)
                Terminal.write(text)
            }
            return true
        }
        try Task.checkCancellation()
        guard isComplete else { throw Problem.failed("the answer ended before it was complete; ask again") }
        Terminal.write("\n")
    }

    /// What was said so far, also when the answer was cut short.
    private actor Transcript {
        private(set) var text = ""
        func add(_ piece: String) { text += piece }
    }
}
