import Core

/// What a regular expression accepts, over scalars: how they are written (as they are, or inside a JSON string) is decided later.
indirect enum TextPattern: Sendable {
    case set(ScalarSet)
    case sequence([TextPattern])
    case choice([TextPattern])
    case repeated(TextPattern, least: Int, most: Int?)

    /// Over bytes, with `written` saying how one scalar of a set is spelled.
    func pattern(_ written: (ScalarSet) -> Pattern) -> Pattern {
        switch self {
        case .set(let set): written(set)
        case .sequence(let parts): .all(parts.map { $0.pattern(written) })
        case .choice(let parts): .anyOf(parts.map { $0.pattern(written) })
        case .repeated(let part, let least, let most): .repeated(part.pattern(written), least: least, most: most)
        }
    }
}

/// Reads regular expressions: what JavaScript, Python and JSON Schema have in common, without what no automaton can do.
///
/// The whole text matches, with or without `^` and `$`. Laziness changes nothing about what is accepted.
struct RegexReader {
    private var cursor: TextCursor

    private init(_ text: String, source: String) { cursor = TextCursor(text, source: source) }

    /// Reads an expression; problems name `source` and the place.
    static func read(_ text: String, source: String) throws -> TextPattern {
        var reader = RegexReader(text, source: source)
        let (pattern, _) = try reader.alternatives(atStart: true, depth: 0)
        guard reader.cursor.isAtEnd else { throw reader.cursor.problem("expected the end, found an unmatched )") }
        return pattern
    }

    /// - Returns: the pattern, and whether one of the alternatives ends in `$`.
    private mutating func alternatives(atStart: Bool, depth: Int) throws -> (TextPattern, Bool) {
        guard depth < TextCursor.depthLimit else { throw cursor.problem("groups nest too deep") }
        var parts: [TextPattern] = []
        var hasEnd = false
        repeat {
            let (part, ends) = try sequence(atStart: atStart, depth: depth)
            parts.append(part)
            hasEnd = hasEnd || ends
        } while cursor.take("|")
        return (parts.count == 1 ? parts[0] : .choice(parts), hasEnd)
    }

    private mutating func sequence(atStart: Bool, depth: Int) throws -> (TextPattern, Bool) {
        var parts: [TextPattern] = []
        var hasEnd = false
        while let scalar = cursor.peek, scalar != "|", scalar != ")" {
            if scalar == "^" {
                guard atStart, parts.isEmpty else { throw cursor.problem("^ can only stand at the beginning") }
                cursor.skip(1)
                continue
            }
            if scalar == "$" {
                cursor.skip(1)
                hasEnd = true
                continue
            }
            guard !hasEnd else { throw cursor.problem("$ can only stand at the end") }
            let (atom, ends) = try atom(atStart: atStart && parts.isEmpty, depth: depth)
            hasEnd = ends
            parts.append(try quantified(atom))
        }
        return (parts.count == 1 ? parts[0] : .sequence(parts), hasEnd)
    }

    private mutating func quantified(_ atom: TextPattern) throws -> TextPattern {
        let least: Int
        let most: Int?
        switch cursor.peek {
        case "*": (least, most) = (0, nil)
        case "+": (least, most) = (1, nil)
        case "?": (least, most) = (0, 1)
        case "{" where isRepetition:
            cursor.skip(1)
            let (low, high) = try cursor.bounds(leastMayBeMissing: false)
            return try lazy(.repeated(atom, least: low, most: high))
        default: return atom
        }
        cursor.skip(1)
        return try lazy(.repeated(atom, least: least, most: most))
    }

    /// A brace that begins no repetition is a character.
    private var isRepetition: Bool {
        var ahead = 1
        var digits = 0
        while let scalar = cursor.peek(ahead), (0x30...0x39).contains(scalar.value) {
            ahead += 1
            digits += 1
        }
        return digits > 0 && (cursor.peek(ahead) == "}" || cursor.peek(ahead) == ",")
    }

    private mutating func lazy(_ pattern: TextPattern) throws -> TextPattern {
        if cursor.take("?") { return pattern }
        if cursor.peek == "+" || cursor.peek == "*" {
            throw cursor.problem("a quantifier follows a quantifier; possessive ones are not supported")
        }
        return pattern
    }

    private mutating func atom(atStart: Bool, depth: Int) throws -> (TextPattern, Bool) {
        guard let scalar = cursor.next() else { throw cursor.problem("expected a character") }
        switch scalar {
        case ".": return (.set(ScalarSet(of: "\n\r\u{2028}\u{2029}").inverted), false)
        case "[": return (.set(try characterClass()), false)
        case "\\": return (.set(try escape()), false)
        case "*", "+", "?": throw cursor.problem("\(scalar) has nothing to repeat")
        case "(":
            try groupHead()
            let (inner, ends) = try alternatives(atStart: atStart, depth: depth + 1)
            guard cursor.take(")") else { throw cursor.problem("expected ) at the end of a group") }
            return (inner, ends)
        default: return (.set(ScalarSet(scalar)), false)
        }
    }

    private mutating func groupHead() throws {
        guard cursor.take("?") else { return }
        if cursor.take(":") { return }
        if cursor.peek == "=" || cursor.peek == "!" || cursor.take("<=") || cursor.take("<!") {
            throw cursor.problem("lookahead and lookbehind are not supported")
        }
        guard cursor.take("<") || cursor.take("P<") else {
            throw cursor.problem("flags and this kind of group are not supported")
        }
        while let scalar = cursor.next(), scalar != ">" {}
    }

    private static let digits = ScalarSet([0x30...0x39])
    private static let word = ScalarSet([0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x5F...0x5F])
    private static let space = ScalarSet(of: " \t\n\r\u{B}\u{C}\u{A0}\u{2028}\u{2029}\u{FEFF}")

    /// What an escape stands for, behind its backslash.
    private mutating func escape() throws -> ScalarSet {
        guard let scalar = cursor.next() else { throw cursor.problem("expected a character behind \\") }
        switch scalar {
        case "d": return Self.digits
        case "D": return Self.digits.inverted
        case "w": return Self.word
        case "W": return Self.word.inverted
        case "s": return Self.space
        case "S": return Self.space.inverted
        case "n": return ScalarSet("\n")
        case "r": return ScalarSet("\r")
        case "t": return ScalarSet("\t")
        case "f": return ScalarSet("\u{C}")
        case "v": return ScalarSet("\u{B}")
        case "0": return ScalarSet("\0")
        case "x": return try named(cursor.hexadecimal(2))
        case "u":
            guard cursor.take("{") else { return try named(cursor.hexadecimal(4)) }
            var value: UInt32 = 0
            while cursor.peek != "}" {
                value = value << 4 | (try cursor.hexadecimal(1))
                guard value <= 0x10FFFF else { throw cursor.problem("there is no such character") }
            }
            cursor.skip(1)
            return try named(value)
        case "U": return try named(cursor.hexadecimal(8))
        case "b", "B", "A", "Z", "z": throw cursor.problem("\\\(scalar) is not supported")
        case "p", "P": throw cursor.problem("\\\(scalar) is not supported; write the characters as ranges")
        case "k", "1"..."9": throw cursor.problem("references to groups are not supported")
        case "a"..."z", "A"..."Z": throw cursor.problem("\\\(scalar) is not known")
        default: return ScalarSet(scalar)
        }
    }

    private func named(_ value: UInt32) throws -> ScalarSet {
        guard let scalar = Unicode.Scalar(value) else { throw cursor.problem("there is no such character") }
        return ScalarSet(scalar)
    }

    /// A class, behind its opening bracket.
    private mutating func characterClass() throws -> ScalarSet {
        let isInverted = cursor.take("^")
        var ranges: [ClosedRange<UInt32>] = []
        while true {
            guard let scalar = cursor.next() else { throw cursor.problem("expected ] at the end of a class") }
            if scalar == "]" { break }
            let first = scalar == "\\" ? try classEscape() : ScalarSet(scalar)
            guard cursor.peek == "-", let after = cursor.peek(1), after != "]", let low = first.only else {
                ranges += first.ranges
                continue
            }
            cursor.skip(2)
            let last = after == "\\" ? try classEscape() : ScalarSet(after)
            guard let high = last.only, low <= high else { throw cursor.problem("a range in a class is backwards") }
            ranges.append(low...high)
        }
        let set = ScalarSet(ranges)
        let result = isInverted ? set.inverted : set
        guard !result.isEmpty else { throw cursor.problem("a class has no characters") }
        return result
    }

    private mutating func classEscape() throws -> ScalarSet {
        if cursor.take("b") { return ScalarSet("\u{8}") }
        return try escape()
    }
}

extension ScalarSet {
    /// The scalar, when there is just one.
    var only: UInt32? {
        guard ranges.count == 1, ranges[0].count == 1 else { return nil }
        return ranges[0].lowerBound
    }
}
