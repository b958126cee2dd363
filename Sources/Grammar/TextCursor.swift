import Core

/// A place in a text that is read scalar by scalar: what the readers of both written notations share.
struct TextCursor {
    /// Deeper groups are refused rather than trusted with the stack.
    static let depthLimit = 100
    /// More repetitions than this are refused: each takes room.
    static let repetitionLimit = 1 << 17

    /// What the text is called in problems.
    let source: String
    private let scalars: [Unicode.Scalar]
    private(set) var at = 0

    init(_ text: String, source: String) {
        scalars = Array(text.unicodeScalars)
        self.source = source
    }

    var isAtEnd: Bool { at >= scalars.count }
    var peek: Unicode.Scalar? { peek(0) }

    /// The scalar `ahead` places on.
    func peek(_ ahead: Int) -> Unicode.Scalar? { at + ahead < scalars.count ? scalars[at + ahead] : nil }

    mutating func next() -> Unicode.Scalar? {
        guard let scalar = peek else { return nil }
        at += 1
        return scalar
    }

    /// Takes `text` if it comes next.
    mutating func take(_ text: String) -> Bool {
        let wanted = text.unicodeScalars
        guard scalars.count - at >= wanted.count, zip(scalars[at...], wanted).allSatisfy({ $0 == $1 }) else {
            return false
        }
        at += wanted.count
        return true
    }

    mutating func skip(_ count: Int) { at += count }

    /// A problem at this place.
    func problem(_ words: String) -> Problem {
        let before = scalars[..<min(at, scalars.count)]
        let line = 1 + before.count { $0 == "\n" }
        let column = 1 + before.reversed().prefix { $0 != "\n" }.count
        return .invalid("\(source) line \(line), character \(column): \(words)")
    }

    /// A decimal number, if one comes next.
    mutating func number() throws -> Int? {
        var value: Int?
        while let scalar = peek, (0x30...0x39).contains(scalar.value) {
            at += 1
            value = (value ?? 0) * 10 + Int(scalar.value - 0x30)
            if let value, value > Self.repetitionLimit {
                throw problem("expected a number up to \(Self.repetitionLimit), found a larger one")
            }
        }
        return value
    }

    /// The scalar that exactly `digits` hexadecimal digits name.
    mutating func hexadecimal(_ digits: Int) throws -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<digits {
            guard let scalar = next(), let digit = Character(scalar).hexDigitValue, scalar.isASCII else {
                throw problem("expected \(digits) hexadecimal digits")
            }
            value = value << 4 | UInt32(digit)
        }
        return value
    }

    /// The bounds of a repetition, behind its opening brace: `m}`, `m,}` or `m,n}`; `,n}` where `least` may be missing.
    mutating func bounds(leastMayBeMissing: Bool) throws -> (least: Int, most: Int?) {
        let least = try number()
        guard least != nil || leastMayBeMissing else { throw problem("expected a number of repetitions") }
        if take("}") {
            guard let least else { throw problem("expected a number of repetitions") }
            return (least, least)
        }
        guard take(",") else { throw problem("expected , or } in a repetition") }
        let most = try number()
        guard take("}") else { throw problem("expected } at the end of a repetition") }
        if let most, most < least ?? 0 {
            throw problem("expected at least \(least ?? 0) repetitions, found at most \(most)")
        }
        return (least ?? 0, most)
    }
}
