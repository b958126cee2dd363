import Core
import Tokenization

/// The conversation in Anthropic's form: a system text beside the messages, contents of blocks.
enum MessagesInput {
    /// The conversation in the roles of the templates.
    static func messages(_ fields: Fields) throws -> [ChatMessage] {
        guard let elements = try fields.array("messages") else {
            throw APIError.field("messages", "messages: missing; expected an array of messages", code: "missing")
        }
        guard !elements.isEmpty else {
            throw APIError.field("messages", "messages: expected at least one message, found none")
        }
        let system = try fields.value("system").map { try text($0, at: "system") } ?? ""
        var messages = system.isEmpty ? [] : [ChatMessage(role: "system", content: system)]
        for (index, element) in elements.enumerated() {
            let path = "messages[\(index)]"
            let message = try Fields(element, at: path)
            guard let content = message.value("content") else {
                throw APIError.field(path, "\(path).content: missing; expected text or blocks", code: "missing")
            }
            switch try message.string("role") {
            case "user": messages += try user(content, at: path)
            case "assistant": messages.append(try assistant(content, at: path))
            case let role:
                throw APIError.field(
                    "\(path).role", "\(path).role: expected user or assistant, found \(role ?? "nothing")")
            }
        }
        return messages
    }

    /// What the user says, and the results of tools, in the order of the blocks.
    private static func user(_ content: JSONValue, at path: String) throws -> [ChatMessage] {
        if let text = content.string { return [ChatMessage(role: "user", content: text)] }
        var messages: [ChatMessage] = []
        var said: String?
        for (place, block) in try blocks(content, at: path) {
            switch try block.string("type") {
            case "text": said = (said ?? "") + (try string("text", of: block))
            case "tool_result":
                if let text = said { messages.append(ChatMessage(role: "user", content: text)) }
                said = nil
                messages.append(
                    ChatMessage(
                        role: "tool",
                        content: try block.value("content").map { try text($0, at: "\(place).content") } ?? "",
                        toolCallID: try string("tool_use_id", of: block)))
            case let type: throw unsupported(type, at: place)
            }
        }
        if let said { messages.append(ChatMessage(role: "user", content: said)) }
        guard !messages.isEmpty else { throw APIError.field(path, "\(path).content: expected at least one block") }
        return messages
    }

    /// What the assistant said, and the tools that it called.
    private static func assistant(_ content: JSONValue, at path: String) throws -> ChatMessage {
        if let text = content.string { return ChatMessage(role: "assistant", content: text) }
        var message = ChatMessage(role: "assistant", content: nil)
        for (place, block) in try blocks(content, at: path) {
            switch try block.string("type") {
            case "text": message.content = (message.content ?? "") + (try string("text", of: block))
            case "tool_use":
                let input = block.value("input") ?? .object([])
                guard input.members != nil else { throw block.wrong("input", "an object", input) }
                message.toolCalls.append(
                    ChatMessage.ToolCall(
                        id: try string("id", of: block), name: try string("name", of: block),
                        arguments: input.text(.python)))
            // What a model thought aloud is no part of the conversation.
            case "thinking", "redacted_thinking": continue
            case let type: throw unsupported(type, at: place)
            }
        }
        return message
    }

    private static func blocks(_ content: JSONValue, at path: String) throws -> [(String, Fields)] {
        guard let elements = content.elements else {
            throw APIError.field(
                "\(path).content", "\(path).content: expected text or an array of blocks, found \(content.kindName)",
                code: "invalid_type")
        }
        return try elements.enumerated().map { index, element in
            ("\(path).content[\(index)]", try Fields(element, at: "\(path).content[\(index)]"))
        }
    }

    /// A text, or blocks of text.
    private static func text(_ value: JSONValue, at path: String) throws -> String {
        if let text = value.string { return text }
        guard let elements = value.elements else {
            throw APIError.field(
                path, "\(path): expected text or an array of text blocks, found \(value.kindName)", code: "invalid_type"
            )
        }
        return try elements.enumerated().map { index, element in
            let block = try Fields(element, at: "\(path)[\(index)]")
            let type = try block.string("type")
            guard type == "text" else { throw unsupported(type, at: "\(path)[\(index)]") }
            return try string("text", of: block)
        }.joined(separator: "\n")
    }

    private static func string(_ key: String, of block: Fields) throws -> String {
        guard let text = try block.string(key) else {
            throw APIError.field(block.name(key), "\(block.name(key)): missing; expected a string", code: "missing")
        }
        return text
    }

    private static func unsupported(_ type: String?, at path: String) -> APIError {
        .unsupported(
            path, "\(path): blocks of type \(type ?? "(none)") are not supported; text, tool_use and tool_result are")
    }
}
