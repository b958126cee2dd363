import Core
import Tokenization

/// The tools of a request, and what its choice makes of them: the same for every API that has tools.
struct ToolWishes: Sendable {
    /// Which tools the model is to call.
    enum Choice: Equatable, Sendable {
        /// None, or those it likes.
        case auto
        /// None at all.
        case none
        /// At least one.
        case required
        /// This one.
        case named(String)
    }

    /// The tools that the prompt shows, in OpenAI's form; none when none is to be called.
    let shown: [JSONValue]
    /// How the assistant's turn begins: a call that must be made is begun for the model, as the template lays it out.
    let opening: AssistantOpening
    /// At most so many calls are passed on.
    let callLimit: Int
    /// Whether the model must call one of several, the name included.
    let choosesCall: Bool
    /// Whether calls may follow a call.
    let repeats: Bool

    /// What `choice` makes of tools that were checked.
    init(_ tools: [JSONValue], choice: Choice, parallel: Bool) throws(APIError) {
        callLimit = parallel ? Int.max : 1
        // Who names a function wants it called, once.
        if case .named = choice { repeats = false } else { repeats = parallel }
        choosesCall = choice == .required && Self.names(tools).count > 1
        switch choice {
        case .auto:
            shown = tools
            opening = .turn
        case .none:
            shown = []
            opening = .turn
        case .required:
            let names = Self.names(tools)
            guard let name = names.first else {
                throw .field("tool_choice", "tool_choice: a call is required, but there are no tools")
            }
            shown = tools
            opening = names.count == 1 ? .call(name) : .turn
        case .named(let name):
            guard Self.names(tools).contains(name) else {
                throw .field("tool_choice", "tool_choice: there is no tool called \(name)")
            }
            shown = tools
            opening = .call(name)
        }
    }

    /// The names by which the tools are called.
    private static func names(_ tools: [JSONValue]) -> [String] {
        tools.compactMap { ($0["function"] ?? $0)["name"]?.string ?? $0["type"]?.string }
    }

    /// A function has a name that fits on a line, and its parameters, called `parameters`, are an object.
    static func check(function: JSONValue, at path: String, parameters: String) throws(APIError) {
        guard function.members != nil else {
            throw .field("tools", "\(path): expected an object, found \(function.kindName)", code: "invalid_type")
        }
        guard let name = function["name"] else {
            throw .field("tools", "\(path).name: missing; expected the function's name", code: "missing")
        }
        guard let text = name.string else {
            throw .field("tools", "\(path).name: expected a string, found \(name.kindName)", code: "invalid_type")
        }
        guard !text.isEmpty, text.utf8.count <= 256, !text.utf8.contains(where: { $0 <= 0x20 }) else {
            throw .field("tools", "\(path).name: expected a name of at most 256 bytes without spaces")
        }
        if let description = function["description"], !description.isNull, description.string == nil {
            throw .field(
                "tools", "\(path).description: expected a string, found \(description.kindName)", code: "invalid_type")
        }
        if let schema = function[parameters], !schema.isNull, schema.members == nil {
            throw .field(
                "tools", "\(path).\(parameters): expected an object, found \(schema.kindName)", code: "invalid_type")
        }
    }
}
