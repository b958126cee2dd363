import Core

/// The names that make a line the head of a call, and how a call looks: `NAME`, a newline, an object in JSON.
struct OfferedTools: Sendable {
    /// What a text begins with.
    enum Head: Equatable {
        /// A call of `name`; its arguments begin with `body`.
        case call(name: String, body: String)
        /// More text is needed to tell.
        case undecided
        /// No call.
        case none
    }

    /// Functions: their arguments are an object.
    let functions: [String]
    /// Tools of the model's own (`python`): what they are sent is any text.
    let builtIns: [String]

    /// The names in tool definitions, in OpenAI's form or as bare functions.
    init(_ tools: [JSONValue]) {
        var functions: [String] = []
        var builtIns: [String] = []
        for tool in tools {
            if let kind = tool["type"]?.string, ToolTexts.builtIn[kind] != nil {
                builtIns.append(kind)
            } else if let name = (tool["function"] ?? tool)["name"]?.string {
                functions.append(name)
            }
        }
        self.functions = functions
        self.builtIns = builtIns
    }

    var isEmpty: Bool { functions.isEmpty && builtIns.isEmpty }

    /// Whether the first line of `text` is the name of a tool and, for a function, an object begins behind it.
    ///
    /// A name alone is no call: a sentence may be one word long.
    func head(of text: String) -> Head {
        guard !isEmpty else { return .none }
        guard let newline = text.utf8.firstIndex(of: UInt8(ascii: "\n")) else {
            let begun = Array(text.utf8.drop(while: Self.isBlank))
            let couldBe = (functions + builtIns).contains { name in
                name.utf8.starts(with: begun)
                    || (begun.starts(with: name.utf8) && begun.dropFirst(name.utf8.count).allSatisfy(Self.isBlank))
            }
            return couldBe ? .undecided : .none
        }
        let line = Self.trimmed(text[..<newline])
        let rest = text[text.utf8.index(after: newline)...]
        func isNamed(_ name: String) -> Bool { name.utf8.elementsEqual(line.utf8) }
        if let name = builtIns.first(where: isNamed) { return .call(name: name, body: String(rest)) }
        guard let name = functions.first(where: isNamed) else { return .none }
        guard let first = rest.utf8.firstIndex(where: { !Self.isBlank($0) }) else { return .undecided }
        return rest.utf8[first] == UInt8(ascii: "{") ? .call(name: name, body: String(rest[first...])) : .none
    }

    /// Spaces and ends of lines, as JSON has them.
    static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 }

    /// `text` without the blanks around it.
    static func trimmed(_ text: Substring) -> Substring {
        guard let first = text.utf8.firstIndex(where: { !isBlank($0) }),
            let last = text.utf8.lastIndex(where: { !isBlank($0) })
        else { return "" }
        return text[first...last]
    }
}

/// Text that goes out but for the blanks at its end, which wait for what follows them.
struct TrailingBlanks: Sendable {
    private var held = ""

    /// What can go out of the blanks held back and `text`.
    mutating func next(_ text: String) -> String {
        held += text
        let end = held.utf8.lastIndex { !OfferedTools.isBlank($0) }.map { held.utf8.index(after: $0) }
        let certain = String(held[..<(end ?? held.startIndex)])
        held = String(held[(end ?? held.startIndex)...])
        return certain
    }

    /// The blanks; they are held no more.
    mutating func take() -> String {
        defer { held = "" }
        return held
    }
}
