import Core
import Tokenization

/// The fields of a chat that become its prompt.
enum ChatFields {
    /// The conversation.
    static func messages(_ fields: Fields) throws -> [ChatMessage] {
        guard let elements = try fields.array("messages") else {
            throw APIError.field("messages", "messages: missing; expected an array of messages", code: "missing")
        }
        guard !elements.isEmpty else {
            throw APIError.field("messages", "messages: expected at least one message, found none")
        }
        return try elements.enumerated().map { index, element in
            do {
                return try ChatMessage(json: element, place: "messages[\(index)]")
            } catch let problem as Problem {
                throw APIError(problem, param: "messages[\(index)]")
            }
        }
    }

    /// The tools that the prompt shows to the model; none when the choice is that none be called.
    static func tools(_ fields: Fields) throws -> [JSONValue] {
        let tools = try fields.array("tools") ?? []
        for (index, tool) in tools.enumerated() where tool.members == nil {
            throw APIError.field(
                "tools", "tools[\(index)]: expected an object, found \(tool.kindName)", code: "invalid_type")
        }
        guard let choice = fields.value("tool_choice") else { return tools }
        switch choice.string {
        case "auto": return tools
        case "none": return []
        default:
            throw APIError.unsupported(
                "tool_choice", "tool_choice: only auto and none are supported, found \(choice.kindName)")
        }
    }
}

extension ServedModel {
    /// Whether answers begin with the newline that ends their message's (empty) metadata.
    var answersBeginWithNewline: Bool { tokenizer.template == .glm4Chat || tokenizer.template == .glm40414 }

    /// A conversation as tokens.
    func chatPrompt(_ messages: [ChatMessage], tools: [JSONValue]) throws -> [TokenID] {
        do {
            return try tokenizer.encodeChat(messages, tools: tools)
        } catch let problem as Problem {
            throw APIError(problem, param: tools.isEmpty ? "messages" : "tools")
        }
    }

    /// A text to be continued as tokens, behind what the model's texts begin with.
    func textPrompt(_ text: String) -> [TokenID] { tokenizer.encodePrompt(text) }
}
