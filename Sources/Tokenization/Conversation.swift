public import Core

/// Messages and the tools that go with them, as a file or a request gives them.
public struct Conversation: Hashable, Sendable {
    /// The messages, oldest first.
    public var messages: [ChatMessage]
    /// Tool definitions, each as it was sent.
    public var tools: [JSONValue]

    /// A conversation.
    public init(messages: [ChatMessage], tools: [JSONValue] = []) {
        self.messages = messages
        self.tools = tools
    }

    /// Reads an array of messages, or an object with `messages` and perhaps `tools`.
    public init(_ json: JSONValue) throws {
        let list = json.elements ?? json["messages"]?.elements
        guard let list else {
            throw Problem.invalid("messages: expected an array of messages, or an object with messages and tools")
        }
        messages = try list.enumerated().map { try ChatMessage(json: $1, place: "messages[\($0)]") }
        switch json["tools"] {
        case nil, .null: tools = []
        case .array(let list): tools = list
        default: throw Problem.invalid("tools: expected an array")
        }
    }

    /// Reads JSON text.
    public init(json text: String) throws {
        try self.init(JSONValue(parsing: text, source: "messages"))
    }
}
