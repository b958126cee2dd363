import Core

/// Reads JSON of config files, safetensors headers and shard indexes.
///
/// It is stricter than most: a key given twice is an error (two readers of one header must not see two models), depth
/// is limited, and text must be UTF-8. Numbers that fit are whole numbers.
struct JSONScanner {
    /// Arrays and objects inside one another.
    private static let depthLimit = 64

    private let bytes: UnsafeRawBufferPointer
    private var at = 0

    /// What is wrong with a text, and where.
    struct Mistake: Error {
        let reason: String
    }

    /// The value that `bytes` spell; white space may surround it.
    static func parse(_ bytes: UnsafeRawBufferPointer) throws(Mistake) -> ConfigValue {
        var scanner = JSONScanner(bytes)
        let value = try scanner.value(depth: 0)
        scanner.skipSpace()
        if scanner.at != bytes.count { throw scanner.mistake("text after the end") }
        return value
    }

    /// The object that `bytes` spell, or a problem that begins with `what`.
    static func object(_ bytes: UnsafeRawBufferPointer, what: String) throws -> [String: ConfigValue] {
        do throws(Mistake) {
            guard case .object(let members) = try parse(bytes) else { throw Mistake(reason: "it is no object") }
            return members
        } catch {
            throw Problem.invalid("\(what) is not valid JSON: \(error.reason); fetch the file again")
        }
    }

    private init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    private func mistake(_ reason: String) -> Mistake { Mistake(reason: "\(reason) at byte \(at)") }

    private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func skipSpace() {
        while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { at += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        skipSpace()
        guard next == byte else { return false }
        at += 1
        return true
    }

    private mutating func value(depth: Int) throws(Mistake) -> ConfigValue {
        if depth > Self.depthLimit { throw mistake("nested too deeply") }
        skipSpace()
        switch next {
        case UInt8(ascii: "{"): return .object(try members(depth: depth))
        case UInt8(ascii: "["): return .list(try elements(depth: depth))
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case nil: throw mistake("the text ends early")
        default: return try number()
        }
    }

    private mutating func members(depth: Int) throws(Mistake) -> [String: ConfigValue] {
        at += 1
        var members: [String: ConfigValue] = [:]
        if take(UInt8(ascii: "}")) { return members }
        repeat {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw mistake("a key is expected") }
            let key = try string()
            guard take(UInt8(ascii: ":")) else { throw mistake("a colon is expected") }
            if members.updateValue(try value(depth: depth + 1), forKey: key) != nil {
                throw mistake("\"\(key.printable)\" is given twice")
            }
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "}")) else { throw mistake("a comma or a closing brace is expected") }
        return members
    }

    private mutating func elements(depth: Int) throws(Mistake) -> [ConfigValue] {
        at += 1
        var elements: [ConfigValue] = []
        if take(UInt8(ascii: "]")) { return elements }
        repeat { elements.append(try value(depth: depth + 1)) } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "]")) else { throw mistake("a comma or a closing bracket is expected") }
        return elements
    }

    private mutating func word(_ word: StaticString, _ value: ConfigValue) throws(Mistake) -> ConfigValue {
        for offset in 0..<word.utf8CodeUnitCount {
            guard next == word.utf8Start[offset] else { throw mistake("an unknown word") }
            at += 1
        }
        return value
    }

    private mutating func number() throws(Mistake) -> ConfigValue {
        let start = at
        while let byte = next, isNumeric(byte) { at += 1 }
        let text = String(decoding: bytes[start..<at], as: UTF8.self)
        let digits = text.utf8.first == UInt8(ascii: "-") ? text.utf8.dropFirst() : text.utf8[...]
        guard let first = digits.first, isDigit(first), isDigit(text.utf8.last ?? 0) else {
            at = start
            throw mistake("a value is expected")
        }
        if let whole = Int(text) { return .integer(whole) }
        guard let value = Double(text), value.isFinite else {
            at = start
            throw mistake("an unreadable number")
        }
        return .number(value)
    }

    private func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    private func isNumeric(_ byte: UInt8) -> Bool {
        isDigit(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "+") || byte == UInt8(ascii: ".")
            || byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E")
    }

    private mutating func string() throws(Mistake) -> String {
        at += 1
        var text: [UInt8] = []
        var start = at
        while let byte = next {
            if byte == UInt8(ascii: "\"") {
                text.append(contentsOf: bytes[start..<at])
                guard let valid = String(validating: text, as: UTF8.self) else { throw mistake("text is not UTF-8") }
                at += 1
                return valid
            }
            if byte < 0x20 { throw mistake("a control character in a text") }
            if byte == UInt8(ascii: "\\") {
                text.append(contentsOf: bytes[start..<at])
                at += 1
                text.append(contentsOf: try escape().utf8)
                start = at
            } else {
                at += 1
            }
        }
        throw mistake("a text without end")
    }

    private mutating func escape() throws(Mistake) -> String {
        guard let byte = next else { throw mistake("the text ends early") }
        at += 1
        switch byte {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return try character()
        default: throw mistake("an unknown escape")
        }
    }

    /// The character of \uXXXX, or of two of them that make a pair.
    private mutating func character() throws(Mistake) -> String {
        let first = try hexadecimal()
        var code = UInt32(first)
        if first & 0xFC00 == 0xD800, next == UInt8(ascii: "\\") {
            at += 1
            guard next == UInt8(ascii: "u") else { throw mistake("half a surrogate pair") }
            at += 1
            let second = try hexadecimal()
            guard second & 0xFC00 == 0xDC00 else { throw mistake("half a surrogate pair") }
            code = 0x10000 + (UInt32(first & 0x3FF) << 10) + UInt32(second & 0x3FF)
        }
        guard let scalar = Unicode.Scalar(code) else { throw mistake("half a surrogate pair") }
        return String(Character(scalar))
    }

    private mutating func hexadecimal() throws(Mistake) -> UInt16 {
        var value: UInt16 = 0
        for _ in 0..<4 {
            guard let byte = next, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw mistake("four hexadecimal digits are expected")
            }
            value = value << 4 | UInt16(digit)
            at += 1
        }
        return value
    }
}
