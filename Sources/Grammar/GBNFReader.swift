import Core

/// Reads GBNF, the notation of llama.cpp's grammars: rules `name ::= ...` over literals, character classes, groups and repetitions.
///
/// A rule ends where the next one begins, so it may go over several lines anywhere.
struct GBNFReader {
    private var cursor: TextCursor
    private var rules = RuleSet()
    private var numbers: [String: Int] = [:]
    private var defined: Set<Int> = []

    /// Reads a grammar whose answer is the rule `root`.
    static func read(_ text: String, source: String) throws -> RuleSet {
        var reader = GBNFReader(cursor: TextCursor(text, source: source))
        try reader.read()
        return reader.rules
    }

    private init(cursor: TextCursor) { self.cursor = cursor }

    private mutating func read() throws {
        skipSpace()
        while !cursor.isAtEnd {
            let name = name()
            guard !name.isEmpty else { throw cursor.problem("expected the name of a rule") }
            skipSpace()
            guard cursor.take("::=") else { throw cursor.problem("expected ::= behind the rule's name \(name)") }
            skipSpace()
            let rule = number(of: name)
            guard defined.insert(rule).inserted else { throw cursor.problem("the rule \(name) is there twice") }
            rules.bodies[rule] = try alternatives(depth: 0)
            guard cursor.isAtEnd || isAtRule else { throw cursor.problem("expected a rule, found something else") }
        }
        for (name, rule) in numbers.sorted(by: { $0.value < $1.value }) where !defined.contains(rule) {
            throw Problem.invalid("\(cursor.source): the rule \(name) is used but not there")
        }
        guard let root = numbers["root"] else {
            throw Problem.invalid("\(cursor.source): there is no rule root, which says what the answer is")
        }
        rules.root = root
    }

    private mutating func number(of name: String) -> Int {
        if let known = numbers[name] { return known }
        let new = rules.add(name)
        numbers[name] = new
        return new
    }

    private mutating func skipSpace() {
        while let scalar = cursor.peek {
            if scalar == "#" {
                while let inner = cursor.peek, inner != "\n" { cursor.skip(1) }
            } else if scalar == " " || scalar == "\t" || scalar == "\n" || scalar == "\r" {
                cursor.skip(1)
            } else {
                return
            }
        }
    }

    private static func isOfName(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "a"..."z", "A"..."Z", "0"..."9", "-", "_": true
        default: false
        }
    }

    private mutating func name() -> String {
        var name = ""
        while let scalar = cursor.peek, Self.isOfName(scalar) {
            name.unicodeScalars.append(scalar)
            cursor.skip(1)
        }
        return name
    }

    /// Whether a rule's name and `::=` come next.
    private var isAtRule: Bool {
        var ahead = cursor
        while let scalar = ahead.peek, Self.isOfName(scalar) { ahead.skip(1) }
        guard ahead.at > cursor.at else { return false }
        while let scalar = ahead.peek, scalar == " " || scalar == "\t" || scalar == "\n" || scalar == "\r" {
            ahead.skip(1)
        }
        return ahead.take("::=")
    }

    private mutating func alternatives(depth: Int) throws -> Pattern {
        guard depth < TextCursor.depthLimit else { throw cursor.problem("groups nest too deep") }
        var parts: [Pattern] = []
        repeat {
            skipSpace()
            parts.append(try sequence(depth: depth))
        } while cursor.take("|")
        return .anyOf(parts)
    }

    private mutating func sequence(depth: Int) throws -> Pattern {
        var parts: [Pattern] = []
        while let scalar = cursor.peek, scalar != "|", scalar != ")", !isAtRule {
            let part = try atom(scalar, depth: depth)
            skipSpace()
            parts.append(try quantified(part))
        }
        return .all(parts)
    }

    private mutating func quantified(_ part: Pattern) throws -> Pattern {
        var result = part
        while let scalar = cursor.peek {
            switch scalar {
            case "*": result = .repeated(result, least: 0, most: nil)
            case "+": result = .repeated(result, least: 1, most: nil)
            case "?": result = result.optional
            case "{":
                cursor.skip(1)
                let (least, most) = try cursor.bounds(leastMayBeMissing: true)
                result = .repeated(result, least: least, most: most)
                skipSpace()
                continue
            default: return result
            }
            cursor.skip(1)
            skipSpace()
        }
        return result
    }

    private mutating func atom(_ scalar: Unicode.Scalar, depth: Int) throws -> Pattern {
        switch scalar {
        case "\"": return try literal()
        case "[": return try characterClass().utf8
        case ".":
            cursor.skip(1)
            return ScalarSet.all.utf8
        case "(":
            cursor.skip(1)
            let inner = try alternatives(depth: depth + 1)
            guard cursor.take(")") else { throw cursor.problem("expected ) at the end of a group") }
            return inner
        case _ where Self.isOfName(scalar): return .rule(number(of: name()))
        case "<": throw cursor.problem("tokens between < and > are not supported; write their text")
        default: throw cursor.problem("expected a literal, a class, a group or a rule's name, found \(scalar)")
        }
    }

    private mutating func literal() throws -> Pattern {
        cursor.skip(1)
        var text = ""
        while let scalar = cursor.next() {
            if scalar == "\"" { return .text(text) }
            text.unicodeScalars.append(scalar == "\\" ? try escape() : scalar)
        }
        throw cursor.problem("expected \" at the end of a literal")
    }

    private mutating func escape() throws -> Unicode.Scalar {
        guard let scalar = cursor.next() else { throw cursor.problem("expected a character behind \\") }
        let value: UInt32
        switch scalar {
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        case "\\", "\"", "[", "]", "-", "^": return scalar
        case "x": value = try cursor.hexadecimal(2)
        case "u": value = try cursor.hexadecimal(4)
        case "U": value = try cursor.hexadecimal(8)
        default: throw cursor.problem("\\\(scalar) is not known")
        }
        guard let named = Unicode.Scalar(value) else { throw cursor.problem("there is no such character") }
        return named
    }

    private mutating func characterClass() throws -> ScalarSet {
        cursor.skip(1)
        let isInverted = cursor.take("^")
        var ranges: [ClosedRange<UInt32>] = []
        while true {
            guard let scalar = cursor.next() else { throw cursor.problem("expected ] at the end of a class") }
            if scalar == "]" { break }
            let low = (scalar == "\\" ? try escape() : scalar).value
            guard cursor.peek == "-", let after = cursor.peek(1), after != "]" else {
                ranges.append(low...low)
                continue
            }
            cursor.skip(2)
            let high = (after == "\\" ? try escape() : after).value
            guard low <= high else { throw cursor.problem("a range in a class is backwards") }
            ranges.append(low...high)
        }
        let set = ScalarSet(ranges)
        return isInverted ? set.inverted : set
    }
}
