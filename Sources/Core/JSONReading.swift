extension JSONValue {
    /// How deep arrays and objects may nest; deeper text is refused rather than trusted with the stack.
    public static let depthLimit = 128

    /// Reads JSON text; a problem names `source` and the line.
    ///
    /// Strict RFC 8259. Of equal keys in one object the last value counts, as in Python; half of a surrogate pair
    /// becomes U+FFFD.
    public init(parsing bytes: [UInt8], source: String) throws {
        self = try bytes.withUnsafeBufferPointer { buffer in
            var reader = JSONReader(bytes: buffer)
            do throws(JSONFault) {
                return try reader.document()
            } catch {
                throw Problem.invalid("\(source) line \(reader.line): not JSON: \(error.message)")
            }
        }
    }

    /// Reads JSON text; a problem names `source` and the line.
    public init(parsing text: String, source: String) throws {
        try self.init(parsing: Array(text.utf8), source: source)
    }
}

/// What is wrong with a JSON text at the reader's position.
private struct JSONFault: Error {
    var message: String
}

/// A recursive-descent reader over bytes that are not known to be UTF-8.
private struct JSONReader {
    let bytes: UnsafeBufferPointer<UInt8>
    var at = 0

    init(bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    /// The line of the position, counted from 1.
    var line: Int { 1 + bytes[..<min(at, bytes.count)].count { $0 == UInt8(ascii: "\n") } }

    var peek: UInt8? { at < bytes.count ? bytes[at] : nil }

    mutating func document() throws(JSONFault) -> JSONValue {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { at = 3 }
        skipSpace()
        let value = try value(depth: 0)
        skipSpace()
        guard at == bytes.count else { throw JSONFault(message: "expected the end, found more text") }
        return value
    }

    mutating func skipSpace() {
        while at < bytes.count, bytes[at] == 0x20 || bytes[at] == 0x0A || bytes[at] == 0x0D || bytes[at] == 0x09 {
            at += 1
        }
    }

    mutating func value(depth: Int) throws(JSONFault) -> JSONValue {
        guard depth <= JSONValue.depthLimit else {
            throw JSONFault(message: "nested deeper than \(JSONValue.depthLimit) levels")
        }
        switch peek {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case let byte? where byte == UInt8(ascii: "-") || (0x30...0x39).contains(byte): return .number(try number())
        case nil: throw JSONFault(message: "expected a value, found the end of the text")
        default: throw JSONFault(message: "expected a value")
        }
    }

    mutating func word(_ word: StaticString, _ value: JSONValue) throws(JSONFault) -> JSONValue {
        let count = word.utf8CodeUnitCount
        guard bytes.count - at >= count, (0..<count).allSatisfy({ bytes[at + $0] == word.utf8Start[$0] }) else {
            throw JSONFault(message: "expected \(word)")
        }
        at += count
        return value
    }

    mutating func array(depth: Int) throws(JSONFault) -> JSONValue {
        at += 1
        var elements: [JSONValue] = []
        skipSpace()
        if take(UInt8(ascii: "]")) { return .array([]) }
        while true {
            skipSpace()
            elements.append(try value(depth: depth + 1))
            skipSpace()
            if take(UInt8(ascii: "]")) { return .array(elements) }
            guard take(UInt8(ascii: ",")) else { throw JSONFault(message: "expected , or ] in an array") }
        }
    }

    mutating func object(depth: Int) throws(JSONFault) -> JSONValue {
        at += 1
        var members: [JSONValue.Member] = []
        var places: [[UInt8]: Int] = [:]
        skipSpace()
        if take(UInt8(ascii: "}")) { return .object([]) }
        while true {
            skipSpace()
            guard peek == UInt8(ascii: "\"") else { throw JSONFault(message: "expected a key in quotes") }
            let key = try string()
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw JSONFault(message: "expected : after the key '\(key)'") }
            skipSpace()
            let value = try value(depth: depth + 1)
            let spelling = Array(key.utf8)
            if let place = places[spelling] {
                members[place].value = value
            } else {
                places[spelling] = members.count
                members.append(JSONValue.Member(key, value))
            }
            skipSpace()
            if take(UInt8(ascii: "}")) { return .object(members) }
            guard take(UInt8(ascii: ",")) else { throw JSONFault(message: "expected , or } in an object") }
        }
    }

    mutating func take(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        at += 1
        return true
    }

    mutating func digits() throws(JSONFault) {
        let start = at
        while let byte = peek, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { at += 1 }
        guard at > start else { throw JSONFault(message: "expected a digit") }
    }

    mutating func number() throws(JSONFault) -> String {
        let start = at
        _ = take(UInt8(ascii: "-"))
        if !take(UInt8(ascii: "0")) { try digits() }
        if take(UInt8(ascii: ".")) { try digits() }
        if take(UInt8(ascii: "e")) || take(UInt8(ascii: "E")) {
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            try digits()
        }
        return String(decoding: bytes[start..<at], as: UTF8.self)
    }

    mutating func string() throws(JSONFault) -> String {
        at += 1
        let start = at
        while let byte = peek, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { at += 1 }
        if peek == UInt8(ascii: "\"") {
            at += 1
            return try text(bytes[start..<at - 1])
        }
        var collected = Array(bytes[start..<at])
        while true {
            guard let byte = peek else { throw JSONFault(message: "a string has no closing quote") }
            at += 1
            switch byte {
            case UInt8(ascii: "\""): return try text(collected[...])
            case UInt8(ascii: "\\"): try escape(into: &collected)
            case 0..<0x20:
                at -= 1
                throw JSONFault(message: "a control character stands in a string; write it as \\u00XX")
            default: collected.append(byte)
            }
        }
    }

    func text(_ slice: some Collection<UInt8>) throws(JSONFault) -> String {
        guard let text = String(validating: slice, as: UTF8.self) else {
            throw JSONFault(message: "a string is not UTF-8")
        }
        return text
    }

    mutating func escape(into collected: inout [UInt8]) throws(JSONFault) {
        guard let byte = peek else { throw JSONFault(message: "a string has no closing quote") }
        at += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): collected.append(byte)
        case UInt8(ascii: "b"): collected.append(0x08)
        case UInt8(ascii: "f"): collected.append(0x0C)
        case UInt8(ascii: "n"): collected.append(0x0A)
        case UInt8(ascii: "r"): collected.append(0x0D)
        case UInt8(ascii: "t"): collected.append(0x09)
        case UInt8(ascii: "u"):
            var code = try hexadecimal()
            if (0xD800..<0xDC00).contains(code), bytes.count - at >= 6, bytes[at] == UInt8(ascii: "\\"),
                bytes[at + 1] == UInt8(ascii: "u")
            {
                let back = at
                at += 2
                let low = try hexadecimal()
                if (0xDC00..<0xE000).contains(low) {
                    code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
                } else {
                    at = back
                }
            }
            collected.append(contentsOf: String(Unicode.Scalar(code) ?? "\u{FFFD}").utf8)
        default: throw JSONFault(message: "unknown escape in a string")
        }
    }

    mutating func hexadecimal() throws(JSONFault) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = peek, let digit = Character(Unicode.Scalar(byte)).hexDigitValue, byte < 0x80 else {
                throw JSONFault(message: "\\u needs four hexadecimal digits")
            }
            code = code << 4 | UInt32(digit)
            at += 1
        }
        return code
    }
}
