/// Answers of GLM-4-0414: as GLM-4-9B-Chat's, and calls may also follow text or other calls in the same turn, each on a
/// line of its own.
///
///     \nLet me see.\nget_weather\n{"city": "Beijing"}\nget_time\n{}
///
/// So an object of arguments ends where its braces close, and the blanks around calls are nobody's text.
public struct GLM0414AnswerReader: AnswerReader {
    private enum Place { case line, text, object, message }

    private let tools: OfferedTools
    private var place = Place.line
    /// The line that could become a call.
    private var held = ""
    /// Whether the turn has shown neither text nor a call: the first newline ends its empty metadata.
    private var isFresh = true
    /// Whether nothing but blanks came since a call.
    private var followsCall = false
    /// Blanks that belong to the text only if more text follows.
    private var blanks = TrailingBlanks()
    private var object = JSONObjectEnd()
    private var begun: [AnswerPart] = []

    init(tools: OfferedTools, opening: AssistantOpening) {
        self.tools = tools
        switch opening {
        case .turn: break
        case .text:
            place = .text
            isFresh = false
        case .call(let name):
            place = tools.builtIns.contains(name) ? .message : .object
            isFresh = false
            begun = [.call(name)]
        }
    }

    /// More text of the same turn.
    public mutating func next(_ text: String) -> [AnswerPart] {
        var parts = begun
        begun = []
        var rest = text[...]
        while !rest.isEmpty {
            switch place {
            case .line: decide(&rest, &parts)
            case .text: line(&rest, &parts)
            case .object:
                let end = object.end(in: rest.utf8)
                say(.arguments(String(rest[..<(end ?? rest.endIndex)])), &parts)
                rest = end.map { rest[$0...] } ?? ""
                if end != nil {
                    startLine()
                    followsCall = true
                }
            case .message:
                say(.arguments(blanks.next(String(rest))), &parts)
                rest = ""
            }
        }
        return parts
    }

    /// The model opened another turn.
    public mutating func turn() -> [AnswerPart] {
        let parts = finish()
        isFresh = true
        followsCall = false
        startLine()
        return parts
    }

    /// What was held back: a line that never ended is text.
    public mutating func finish() -> [AnswerPart] {
        var parts = begun
        begun = []
        if place == .line || place == .text { say(.text(withoutBlanks(blanks.take() + held)), &parts) }
        held = ""
        return parts
    }

    /// Looks at a line from its beginning, as far as it is there.
    private mutating func decide(_ rest: inout Substring, _ parts: inout [AnswerPart]) {
        held += rest
        rest = ""
        if isFresh {
            if let newline = held.utf8.firstIndex(of: UInt8(ascii: "\n")),
                OfferedTools.trimmed(held[..<newline]).isEmpty
            {
                // Empty metadata: the newline ends it and is no part of the content.
                rest = held[held.utf8.index(after: newline)...]
                held = ""
                isFresh = false
                return
            }
            if held.utf8.allSatisfy(OfferedTools.isBlank) { return }
        }
        switch tools.head(of: held) {
        case .undecided: return
        case .none:
            rest = held[...]
            place = .text
        case .call(let name, let body):
            _ = blanks.take()
            parts.append(.call(name))
            place = tools.builtIns.contains(name) ? .message : .object
            object = JSONObjectEnd()
            rest = body[...]
        }
        held = ""
        isFresh = false
    }

    /// Gives out the rest of a line; the next one begins with a decision.
    private mutating func line(_ rest: inout Substring, _ parts: inout [AnswerPart]) {
        guard !tools.isEmpty else {
            say(.text(String(rest)), &parts)
            rest = ""
            return
        }
        let end = rest.utf8.firstIndex(of: UInt8(ascii: "\n")).map { rest.utf8.index(after: $0) }
        let line = withoutBlanks(String(rest[..<(end ?? rest.endIndex)]))
        if !line.isEmpty {
            followsCall = false
            say(.text(blanks.next(line)), &parts)
        }
        rest = end.map { rest[$0...] } ?? ""
        if end != nil { place = .line }
    }

    /// The text, but behind a call without the blanks that it begins with.
    private func withoutBlanks(_ text: String) -> String {
        guard followsCall else { return text }
        return text.utf8.firstIndex { !OfferedTools.isBlank($0) }.map { String(text[$0...]) } ?? ""
    }

    private mutating func startLine() {
        place = .line
        held = ""
        _ = blanks.take()
    }

    private func say(_ part: AnswerPart, _ parts: inout [AnswerPart]) {
        switch part {
        case .text(""), .arguments(""): return
        default: parts.append(part)
        }
    }
}

/// Finds where an object ends whose text comes in pieces: the brace that closes it, not one inside a string.
struct JSONObjectEnd: Sendable {
    private var depth = 0
    private var isString = false
    private var isEscaped = false

    /// The place behind the closing brace, or nil when the object goes on.
    mutating func end(in text: Substring.UTF8View) -> Substring.Index? {
        for place in text.indices {
            let byte = text[place]
            if isString {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isString = false
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): isString = true
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                if depth <= 0 { return text.index(after: place) }
            default: break
            }
        }
        return nil
    }
}
