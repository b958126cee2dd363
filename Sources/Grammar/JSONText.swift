import Core

/// How the parts of a JSON text are written.
///
/// Between tokens stands nothing, one space, or one line break and its indentation: enough for every usual layout, and no way to go on with white space
/// forever.
enum JSONText {
    /// What may stand between tokens.
    static let space = Pattern.anyOf([
        .bytes(ByteSet(UInt8(ascii: " "))),
        .all([.bytes(ByteSet(UInt8(ascii: "\n"))), .repeated(.bytes(blank), least: 0, most: 16)]),
    ]).optional
    static let comma = Pattern.all([.text(","), space])
    static let colon = Pattern.all([.text(":"), space])
    private static let blank: ByteSet = {
        var set = ByteSet(UInt8(ascii: " "))
        set.insert(UInt8(ascii: "\t"))
        return set
    }()

    /// What a string holds as it is: everything but quotes, backslashes and control characters.
    static let plain = ScalarSet([0x20...0x21, 0x23...0x5B, 0x5D...0x10FFFF])
    /// The characters that have an escape of two characters, with its second.
    private static let shortEscapes: [(UInt32, Character)] = [
        (0x22, "\""), (0x5C, "\\"), (0x2F, "/"), (0x08, "b"), (0x0C, "f"), (0x0A, "n"), (0x0D, "r"), (0x09, "t"),
    ]

    /// One scalar of a set, inside a string: as it is where that is possible, else escaped.
    static func scalar(_ set: ScalarSet) -> Pattern {
        var ways = [set.intersection(plain).utf8]
        for (scalar, escape) in shortEscapes where set.contains(scalar) && !plain.contains(scalar) {
            ways.append(.text("\\\(escape)"))
        }
        for range in set.intersection(ScalarSet([0...0x1F])).ranges {
            for scalar in range where !shortEscapes.contains(where: { $0.0 == scalar }) {
                ways.append(.text("\\u00" + (scalar < 16 ? "0" : "") + String(scalar, radix: 16)))
            }
        }
        return .anyOf(ways)
    }

    private static func hex(_ digits: String) -> Pattern { ScalarSet(of: digits).utf8 }

    /// One character of a string in any spelling; halves of surrogate pairs stand in pairs only.
    static let anyCharacter: Pattern = {
        let digit = hex("0123456789abcdefABCDEF")
        let pair = Pattern.all([
            hex("dD"), hex("89abAB"), digit, digit, .text("\\u"), hex("dD"), hex("cdefCDEF"), digit, digit,
        ])
        let basic = Pattern.anyOf([
            .all([hex("0123456789abcefABCEF"), digit, digit, digit]), .all([hex("dD"), hex("01234567"), digit, digit]),
        ])
        return .anyOf([
            plain.utf8,
            .all([
                .text("\\"),
                .anyOf([hex(String(shortEscapes.map(\.1))), .all([.text("u"), .anyOf([basic, pair])])]),
            ]),
        ])
    }()

    /// One character of a string whose length counts, spelled in the shortest way.
    static let countedCharacter = Pattern.anyOf([plain.utf8, .all([.text("\\"), hex(String(shortEscapes.map(\.1)))])])

    /// A text in quotes.
    static func quoted(_ text: Pattern) -> Pattern { .all([.text("\""), text, .text("\"")]) }

    /// A string, exactly.
    static func string(_ text: String) -> Pattern { .text(JSONValue.string(text).text()) }

    /// Members or elements between brackets.
    static func bracketed(_ open: String, _ inner: Pattern, _ close: String) -> Pattern {
        .all([.text(open), space, inner, space, .text(close)])
    }

    /// One value, exactly, with free white space.
    static func value(_ value: JSONValue) -> Pattern {
        switch value {
        case .array(let elements):
            bracketed(
                "[", .list(elements.map { .init(pattern: self.value($0), isRequired: true) }, separator: comma), "]")
        case .object(let members):
            bracketed(
                "{",
                .list(
                    members.map {
                        .init(pattern: .all([string($0.key), colon, self.value($0.value)]), isRequired: true)
                    }, separator: comma), "}")
        default: .text(value.text())
        }
    }

    /// A key that is none of `names`, without escapes, so that it cannot be one of them in another spelling.
    static func key(except names: [String]) -> Pattern {
        let spelled = names.map { Array($0.unicodeScalars.map(\.value)) }.filter { $0.allSatisfy(plain.contains) }
        return quoted(other(than: spelled[...]))
    }

    private static func other(than names: ArraySlice<[UInt32]>) -> Pattern {
        let rest = Pattern.repeated(plain.utf8, least: 0, most: nil)
        guard !names.isEmpty else { return rest }
        var byFirst: [UInt32: [[UInt32]]] = [:]
        for name in names where !name.isEmpty { byFirst[name[0], default: []].append(Array(name.dropFirst())) }
        var ways: [Pattern] = names.contains([]) ? [] : [.empty]
        let firsts = ScalarSet(byFirst.keys.map { $0...$0 })
        ways.append(.all([plain.subtracting(firsts).utf8, rest]))
        for (first, tails) in byFirst.sorted(by: { $0.key < $1.key }) {
            ways.append(.all([ScalarSet([first...first]).utf8, other(than: tails[...])]))
        }
        return .anyOf(ways)
    }
}

/// The rules for JSON of which nothing is known, added to a grammar when they are first wanted.
struct JSONRules {
    private var stringRule: Int?
    private var objectRule: Int?
    private var valueRule: Int?

    mutating func string(_ rules: inout RuleSet) -> Pattern {
        if let stringRule { return .rule(stringRule) }
        let rule = rules.add("a string")
        stringRule = rule
        rules.bodies[rule] = JSONText.quoted(.repeated(JSONText.anyCharacter, least: 0, most: nil))
        rules.kept.insert(rule)
        return .rule(rule)
    }

    mutating func value(_ rules: inout RuleSet) -> Pattern {
        if let valueRule { return .rule(valueRule) }
        let rule = rules.add("a value")
        valueRule = rule
        rules.kept.insert(rule)
        let elements = Pattern.Item(pattern: .rule(rule), repeats: true)
        rules.bodies[rule] = .anyOf([
            object(&rules), JSONText.bracketed("[", .list([elements], separator: JSONText.comma), "]"), string(&rules),
            NumberRange.anyNumber, .text("true"), .text("false"), .text("null"),
        ])
        return .rule(rule)
    }

    mutating func object(_ rules: inout RuleSet) -> Pattern {
        if let objectRule { return .rule(objectRule) }
        let rule = rules.add("an object")
        objectRule = rule
        rules.kept.insert(rule)
        let member = Pattern.all([string(&rules), JSONText.colon, value(&rules)])
        rules.bodies[rule] = JSONText.bracketed(
            "{", .list([.init(pattern: member, repeats: true)], separator: JSONText.comma), "}")
        return .rule(rule)
    }
}
