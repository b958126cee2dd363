public import Core

/// What an answer says, piece by piece.
public enum AnswerPart: Hashable, Sendable {
    /// Text for whoever asked.
    case text(String)
    /// A call of the function with this name begins.
    case call(String)
    /// More of the arguments of the call that began last.
    case arguments(String)
}

/// Tells text from calls of functions in what a model writes.
///
/// The parts add up to the same whatever the pieces in which the text comes; what could still become a call is held back.
public protocol AnswerReader: Sendable {
    /// More text of the same turn.
    mutating func next(_ text: String) -> [AnswerPart]
    /// The model opened another turn of its own: the token `<|assistant|>`.
    mutating func turn() -> [AnswerPart]
    /// What was held back, at the end.
    mutating func finish() -> [AnswerPart]
}

/// For templates without calls: everything is text.
struct PlainAnswerReader: AnswerReader {
    mutating func next(_ text: String) -> [AnswerPart] { text.isEmpty ? [] : [.text(text)] }
    mutating func turn() -> [AnswerPart] { [] }
    mutating func finish() -> [AnswerPart] { [] }
}

extension ChatTemplate {
    /// A reader of the answer to a prompt that showed these tools and ended in this opening.
    public func reader(tools: [JSONValue] = [], opening: AssistantOpening = .turn) -> any AnswerReader {
        switch self {
        case .glm4Chat: GLM4AnswerReader(tools: OfferedTools(tools), opening: opening)
        case .glm40414: GLM0414AnswerReader(tools: OfferedTools(tools), opening: opening)
        case .chatml, .plain: PlainAnswerReader()
        }
    }
}
