/// Answers of GLM-4-9B-Chat: a turn is a line of metadata and content, and the metadata of a call is the function's name.
///
///     \nIt is warm.                                  text
///     get_weather\n{"city": "Beijing"}               a call
///     \nWait.<|assistant|>f\n{}<|assistant|>g\n{}    text, then two calls
///
/// All that follows a call's head is its arguments, up to the next turn or the end.
public struct GLM4AnswerReader: AnswerReader {
    private enum Place { case head, text, arguments }

    private let tools: OfferedTools
    private var place = Place.head
    private var held = ""
    private var blanks = TrailingBlanks()
    private var begun: [AnswerPart] = []

    init(tools: OfferedTools, opening: AssistantOpening) {
        self.tools = tools
        switch opening {
        case .turn: break
        case .text: place = .text
        case .call(let name):
            place = .arguments
            begun = [.call(name)]
        }
    }

    /// More text of the same turn.
    public mutating func next(_ text: String) -> [AnswerPart] {
        let parts = begun
        begun = []
        guard !text.isEmpty else { return parts }
        switch place {
        case .text: return parts + [.text(text)]
        case .arguments: return parts + arguments(text)
        case .head:
            held += text
            return parts + decide()
        }
    }

    /// The model opened another turn.
    public mutating func turn() -> [AnswerPart] {
        let parts = finish()
        place = .head
        return parts
    }

    /// What was held back: a first line that never ended is text.
    public mutating func finish() -> [AnswerPart] {
        let parts = begun + (held.isEmpty ? [] : [.text(held)])
        begun = []
        held = ""
        _ = blanks.take()
        return parts
    }

    /// Looks at the beginning of a turn, as far as it is there.
    private mutating func decide() -> [AnswerPart] {
        if let newline = held.utf8.firstIndex(of: UInt8(ascii: "\n")), OfferedTools.trimmed(held[..<newline]).isEmpty {
            // Empty metadata: the newline ends it and is no part of the content.
            return text(String(held[held.utf8.index(after: newline)...]))
        }
        if held.utf8.allSatisfy(OfferedTools.isBlank) { return [] }
        switch tools.head(of: held) {
        case .undecided: return []
        case .none: return text(held)
        case .call(let name, let body):
            held = ""
            place = .arguments
            return [.call(name)] + arguments(body)
        }
    }

    private mutating func text(_ text: String) -> [AnswerPart] {
        held = ""
        place = .text
        return text.isEmpty ? [] : [.text(text)]
    }

    private mutating func arguments(_ text: String) -> [AnswerPart] {
        let certain = blanks.next(text)
        return certain.isEmpty ? [] : [.arguments(certain)]
    }
}
