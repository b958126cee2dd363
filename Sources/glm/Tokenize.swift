import ArgumentParser
import Checkpoint
import Core
import FoundationEssentials
import Glibc
import Tokenization

/// `glm tokenize`: text to token ids and back, without a model's weights.
struct Tokenize: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenize", abstract: "Turn text or conversations into token ids, and ids into text.")

    @Option(help: "A folder with tokenizer files, or a GGUF file.")
    var model: String

    @Option(help: "The text.")
    var text: String?

    @Option(help: "A file with the text.")
    var file: String?

    @Flag(
        help: """
            Read one JSON object a line from standard input, {"text":...}, {"tokens":[...]} or \
            {"messages":[...],"tools":[...]}, and answer each with one line.
            """)
    var jsonl = false

    @Option(
        help: "The chat template for messages: glm-4-9b-chat, glm-4-0414, chatml or plain; the model's unless given.")
    var template: String?

    @Flag(help: "Names of special tokens in the text become those tokens.")
    var trusted = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        guard [text != nil, file != nil, jsonl].count(where: { $0 }) == 1 else {
            throw ValidationError("give exactly one of --text, --file and --jsonl")
        }
    }

    func run() async throws {
        let template = try template.map { try ChatTemplate(name: $0) }
        let tokenizer = try Tokenizer(path: model)
        if jsonl {
            try answerLines(tokenizer, template)
            return
        }
        let tokens = tokenizer.encode(try text ?? contents(), trusted: trusted)
        if json {
            print(answer(tokens, tokenizer.decode(tokens)))
        } else {
            print(tokens.map(String.init).joined(separator: " "))
        }
    }

    private func contents() throws -> String {
        let path = file ?? ""
        guard let contents = FileManager.default.contents(atPath: path) else {
            throw Problem.notFound("can't read \(path); check the path")
        }
        guard let text = String(validating: contents, as: UTF8.self) else {
            throw Problem.invalid("\(path) is not UTF-8; convert it first")
        }
        return text
    }

    private func answerLines(_ tokenizer: Tokenizer, _ template: ChatTemplate?) throws {
        var number = 0
        while let line = readLine() {
            number += 1
            guard line.utf8.contains(where: { $0 > 0x20 }) else { continue }
            do {
                let request = try JSONValue(parsing: line, source: "the object")
                print(try answer(request, tokenizer, template))
            } catch let problem as Problem {
                throw Problem(problem.kind, "standard input line \(number): \(problem.message)")
            }
        }
    }

    private func answer(_ request: JSONValue, _ tokenizer: Tokenizer, _ template: ChatTemplate?) throws -> String {
        if let text = request["text"] {
            guard let text = text.string else { throw Problem.invalid("text: expected a string") }
            let tokens = tokenizer.encode(text, trusted: trusted)
            return answer(tokens, tokenizer.decode(tokens))
        }
        if let list = request["tokens"] {
            let tokens = try (list.elements ?? [.null]).map { element in
                guard let token = element.integer.flatMap(TokenID.init(exactly:)) else {
                    throw Problem.invalid("tokens: expected an array of token ids")
                }
                return token
            }
            return answer(tokens, tokenizer.decode(tokens))
        }
        guard request["messages"] != nil else {
            throw Problem.invalid("expected an object with text, tokens or messages")
        }
        let conversation = try Conversation(request)
        let tokens = try tokenizer.encodeChat(conversation.messages, tools: conversation.tools, template: template)
        return answer(
            tokens, try tokenizer.renderChat(conversation.messages, tools: conversation.tools, template: template))
    }

    private func answer(_ tokens: [TokenID], _ text: String) -> String {
        JSONValue.object([
            JSONValue.Member("tokens", .array(tokens.map { .integer($0) })), JSONValue.Member("text", .string(text)),
        ]).text()
    }
}
