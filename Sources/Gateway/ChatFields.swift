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

    /// The tools, and which of them the model is to call.
    static func tools(_ fields: Fields) throws -> ToolWishes {
        if let old = try fields.array("functions"), !old.isEmpty {
            throw APIError.unsupported("functions", "functions: not supported; send them as tools")
        }
        let definitions = try fields.array("tools") ?? []
        for (index, tool) in definitions.enumerated() { try check(tool, at: "tools[\(index)]") }
        return try ToolWishes(
            definitions, choice: try choice(fields), parallel: try fields.bool("parallel_tool_calls") ?? true)
    }

    /// A tool is an object; a function has a name, and its parameters are an object.
    private static func check(_ tool: JSONValue, at path: String) throws(APIError) {
        guard tool.members != nil else {
            throw .field("tools", "\(path): expected an object, found \(tool.kindName)", code: "invalid_type")
        }
        if let type = tool["type"], !type.isNull, type.string == nil {
            throw .field("tools", "\(path).type: expected a string, found \(type.kindName)", code: "invalid_type")
        }
        // A tool that the model knows by its type alone has no function.
        guard tool["type"]?.string ?? "function" == "function" || tool["function"] != nil else { return }
        try ToolWishes.check(function: tool["function"] ?? tool, at: "\(path).function", parameters: "parameters")
    }

    private static func choice(_ fields: Fields) throws -> ToolWishes.Choice {
        guard let value = fields.value("tool_choice") else { return .auto }
        switch value.string {
        case "auto": return .auto
        case "none": return .none
        case "required": return .required
        case .some(let other):
            throw APIError.field(
                "tool_choice", "tool_choice: expected auto, none, required or a function, found \(other)")
        case nil: break
        }
        guard let choice = try fields.object("tool_choice") else { return .auto }
        guard try choice.string("type") ?? "function" == "function" else {
            throw APIError.unsupported(
                "tool_choice", "tool_choice: of objects only those of type function are supported")
        }
        guard let name = try choice.object("function")?.string("name") else {
            throw APIError.field("tool_choice", "tool_choice.function.name: missing; expected a name", code: "missing")
        }
        return .named(name)
    }
}

extension ServedModel {
    /// A conversation as tokens.
    func chatPrompt(
        _ messages: [ChatMessage], tools: [JSONValue], opening: AssistantOpening = .turn
    ) throws -> [TokenID] {
        do {
            return try tokenizer.encodeChat(messages, tools: tools, opening: opening)
        } catch let problem as Problem {
            throw APIError(problem, param: tools.isEmpty ? "messages" : "tools")
        }
    }

    /// A text to be continued as tokens, behind what the model's texts begin with.
    func textPrompt(_ text: String) -> [TokenID] { tokenizer.encodePrompt(text) }
}
