import Core

/// How a conversation becomes one prompt.
public enum ChatTemplate: String, Sendable, CaseIterable {
    /// GLM-4-9B-Chat and its kin: an introduction before the tools, messages in the order given.
    case glm4Chat = "glm-4-9b-chat"
    /// GLM-4-0414: no introduction, system messages first.
    case glm40414 = "glm-4-0414"
    /// ChatML as SmolLM2 uses it.
    case chatml
    /// The contents, one after the other, behind `[gMASK]<sop>`: no roles, no turn for the assistant.
    case plain

    /// The template that `--template name` asks for.
    public init(name: String) throws {
        guard let template = ChatTemplate(rawValue: name) else {
            let names = ChatTemplate.allCases.map(\.rawValue).joined(separator: ", ")
            throw Problem.invalid("there is no chat template '\(name)'; choose one of \(names)")
        }
        self = template
    }

    /// Whether tools can be shown to the model, and called.
    public var hasTools: Bool { self == .glm4Chat || self == .glm40414 }

    /// The prompt in parts, up to where the assistant goes on.
    func parts(
        _ messages: [ChatMessage], tools: [JSONValue], opening: AssistantOpening = .turn
    ) throws -> [ChatPart] {
        guard tools.isEmpty || hasTools else {
            throw Problem.invalid("the chat template \(rawValue) has no tools; send the request without tools")
        }
        switch self {
        case .glm4Chat:
            return [.special("[gMASK]"), .special("<sop>")] + (try Self.introduction(to: tools))
                + (try messages.flatMap(Self.turns)) + Self.begin(opening)
        case .glm40414:
            let turns = try messages.map { ($0, try Self.turns(of: $0)) }
            let system = turns.filter { Self.isSystem($0.0) }
            let rest = turns.filter { !Self.isSystem($0.0) }
            return [.special("[gMASK]"), .special("<sop>")] + (try Self.list(of: tools))
                + (system + rest).flatMap(\.1) + Self.begin(opening)
        case .chatml: return try Self.chatML(messages) + [.text(opening.text)]
        case .plain:
            let text = messages.compactMap(\.content).joined() + opening.text
            return [.optional("[gMASK]"), .optional("<sop>"), .text(text)]
        }
    }

    private static func isSystem(_ message: ChatMessage) -> Bool {
        message.role == "system" || message.role == "developer"
    }

    // MARK: GLM

    /// The beginning of the turn that the model is to finish.
    private static func begin(_ opening: AssistantOpening) -> [ChatPart] {
        switch opening {
        case .turn: [.special("<|assistant|>")]
        case .text(let text): [.special("<|assistant|>"), .text("\n"), .text(text)]
        case .call(let name): [.special("<|assistant|>"), .text(name + "\n")]
        }
    }

    /// A message in GLM's form: one turn, or one for each call. The line of metadata and the content are encoded
    /// apart, so a content that begins with a newline never melts into the header's.
    private static func turns(of message: ChatMessage) throws -> [ChatPart] {
        func turn(_ role: String, _ metadata: String, _ content: String) -> [ChatPart] {
            [.special(role), .text(metadata + "\n"), .text(content)]
        }
        let content = message.content ?? ""
        switch message.role {
        case "system", "developer": return turn("<|system|>", "", content)
        case "user": return turn("<|user|>", "", content)
        case "tool", "function", "observation": return turn("<|observation|>", message.metadata, content)
        case "assistant":
            let calls = message.toolCalls.flatMap { turn("<|assistant|>", $0.name, $0.arguments) }
            // An assistant may speak and then call, in that order.
            let speaks = !content.isEmpty || calls.isEmpty
            return (speaks ? turn("<|assistant|>", message.metadata, content) : []) + calls
        default:
            throw Problem.invalid(
                "role '\(message.role)' is unknown; use system, user, assistant or tool")
        }
    }

    /// The first system message of GLM-4-9B-Chat when there are tools.
    private static func introduction(to tools: [JSONValue]) throws -> [ChatPart] {
        guard !tools.isEmpty else { return [] }
        var text = ToolTexts.introduction + "\n\n# 可用工具"
        for tool in tools {
            if let kind = tool["type"]?.string, let builtIn = ToolTexts.builtIn[kind] {
                text += "\n\n## \(kind)\n\n" + builtIn
            } else {
                text += "\n\n" + (try section(of: tool))
            }
        }
        return [.special("<|system|>"), .text("\n"), .text(text)]
    }

    /// The first system message of GLM-4-0414 when there are tools.
    private static func list(of tools: [JSONValue]) throws -> [ChatPart] {
        guard !tools.isEmpty else { return [] }
        var text = "# 可用工具\n"
        for tool in tools { text += "\n" + (try section(of: tool)) }
        return [.special("<|system|>"), .text("\n"), .text(text)]
    }

    private static func section(of tool: JSONValue) throws -> String {
        let function = tool["function"] ?? tool
        guard let name = function["name"]?.string else {
            throw Problem.invalid(
                "a tool has no function.name; expected {\"type\":\"function\",\"function\":{\"name\":...}}")
        }
        return "## \(name)\n\n" + function.text(.pythonIndented) + "\n" + ToolTexts.callNote
    }

    // MARK: ChatML

    /// What SmolLM2-Instruct's template says when the conversation brings no system message of its own.
    private static let chatMLSystem = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"

    private static func chatML(_ messages: [ChatMessage]) throws -> [ChatPart] {
        var parts: [ChatPart] = []
        func turn(_ role: String, _ content: String) {
            parts += [
                .special("<|im_start|>"), .text(role + "\n" + content), .special("<|im_end|>"), .text("\n"),
            ]
        }
        if messages.first.map(isSystem) != true { turn("system", chatMLSystem) }
        for message in messages {
            guard message.toolCalls.isEmpty else {
                throw Problem.invalid("the chat template chatml has no tool calls; send the conversation without them")
            }
            switch message.role {
            case "system", "developer": turn("system", message.content ?? "")
            case "user", "assistant", "tool": turn(message.role, message.content ?? "")
            default:
                throw Problem.invalid("role '\(message.role)' is unknown; use system, user, assistant or tool")
            }
        }
        return parts + [.special("<|im_start|>"), .text("assistant\n")]
    }
}

/// How far the assistant's turn is written already when the model takes over.
public enum AssistantOpening: Hashable, Sendable {
    /// Only the role: the model decides whether it speaks or calls.
    case turn
    /// Text of the assistant's, which the model continues.
    case text(String)
    /// The head of a call of this function: all the model can write is the arguments.
    case call(String)

    /// The text, where there is one.
    var text: String { if case .text(let text) = self { text } else { "" } }
}

/// A part of a prompt: a special token, or text that is encoded by itself and never trusted.
enum ChatPart: Hashable, Sendable {
    /// A special token, by name.
    case special(String)
    /// The same, left out where the vocabulary has none.
    case optional(String)
    /// Text.
    case text(String)
}
