public import Core

/// One message of a conversation, in the roles of the OpenAI interface and of GLM.
public struct ChatMessage: Hashable, Sendable {
    /// A function that the assistant called.
    public struct ToolCall: Hashable, Sendable {
        /// The call's name, which the tool's answer repeats.
        public var id: String
        /// The function.
        public var name: String
        /// Its arguments as the assistant wrote them, JSON as a rule.
        public var arguments: String

        /// A call.
        public init(id: String, name: String, arguments: String) {
            self.id = id
            self.name = name
            self.arguments = arguments
        }
    }

    /// `system`, `user`, `assistant` or `tool`; `developer` is taken as system, `observation` as tool.
    public var role: String
    /// The text; nil when the assistant only called tools.
    public var content: String?
    /// The functions that the assistant called.
    public var toolCalls: [ToolCall]
    /// What stands behind the role in GLM's templates (`<|assistant|>metadata`).
    public var metadata: String
    /// The participant's name; no template uses it.
    public var name: String?
    /// The call that a tool's answer belongs to; no template uses it.
    public var toolCallID: String?

    /// A message.
    public init(
        role: String, content: String?, toolCalls: [ToolCall] = [], metadata: String = "", name: String? = nil,
        toolCallID: String? = nil
    ) {
        self.role = role
        self.content = content
        self.toolCalls = toolCalls
        self.metadata = metadata
        self.name = name
        self.toolCallID = toolCallID
    }

    /// Reads a message as OpenAI's `messages` holds it; a problem begins with `place` (say, `messages[2]`).
    ///
    /// Content may be a string, null, or a list of parts of type `text`; arguments may be a string or an object.
    public init(json: JSONValue, place: String) throws {
        guard case .object = json else { throw Problem.invalid("\(place): expected an object") }
        guard let role = json["role"]?.string else { throw Problem.invalid("\(place).role: expected a string") }
        self.init(
            role: role, content: try Self.content(json["content"], place: "\(place).content"),
            toolCalls: try Self.toolCalls(json["tool_calls"], place: "\(place).tool_calls"),
            metadata: try Self.optionalString(json["metadata"], place: "\(place).metadata") ?? "",
            name: try Self.optionalString(json["name"], place: "\(place).name"),
            toolCallID: try Self.optionalString(json["tool_call_id"], place: "\(place).tool_call_id"))
        guard content != nil || !toolCalls.isEmpty || role == "assistant" else {
            throw Problem.invalid("\(place).content: a \(role) message needs text")
        }
    }

    private static func optionalString(_ json: JSONValue?, place: String) throws -> String? {
        switch json {
        case nil, .null: return nil
        case .string(let text): return text
        default: throw Problem.invalid("\(place): expected a string")
        }
    }

    private static func content(_ json: JSONValue?, place: String) throws -> String? {
        guard case .array(let parts) = json else {
            switch json {
            case nil, .null: return nil
            case .string(let text): return text
            default: throw Problem.invalid("\(place): expected a string or a list of text parts")
            }
        }
        var text = ""
        for (index, part) in parts.enumerated() {
            guard part["type"]?.string == "text", let piece = part["text"]?.string else {
                throw Problem.invalid(
                    "\(place)[\(index)]: expected a part {\"type\":\"text\",\"text\":...}; other kinds are not supported"
                )
            }
            text += piece
        }
        return text
    }

    private static func toolCalls(_ json: JSONValue?, place: String) throws -> [ToolCall] {
        switch json {
        case nil, .null: return []
        case .array(let calls):
            return try calls.enumerated().map { index, call in
                guard let function = call["function"], let name = function["name"]?.string else {
                    throw Problem.invalid("\(place)[\(index)].function.name: expected a string")
                }
                let arguments =
                    switch function["arguments"] {
                    case nil, .null: "{}"
                    case .string(let text): text
                    case .some(let value): value.text(.python)
                    }
                let id = try optionalString(call["id"], place: "\(place)[\(index)].id")
                return ToolCall(id: id ?? "", name: name, arguments: arguments)
            }
        default: throw Problem.invalid("\(place): expected a list")
        }
    }
}
