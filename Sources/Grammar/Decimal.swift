/// A decimal number, exactly as a JSON text spells it.
struct Decimal: Hashable, Sendable {
    var isNegative: Bool
    /// Digits before the point, without leading zeros; none for 0.
    var whole: [UInt8]
    /// Digits behind the point, without trailing zeros.
    var fraction: [UInt8]

    /// Numbers with more digits than this are refused: no double tells them apart.
    static let digitLimit = 30

    /// Reads a JSON number; nil when it has more digits than can be dealt with.
    init?(_ text: String) {
        var digits: [UInt8] = []
        var point: Int?
        var exponent = 0
        var rest = Substring(text)
        isNegative = rest.first == "-"
        if isNegative { rest = rest.dropFirst() }
        while let character = rest.first {
            rest = rest.dropFirst()
            if character == "." {
                point = digits.count
            } else if character == "e" || character == "E" {
                if rest.first == "+" { rest = rest.dropFirst() }
                guard let value = Int(rest), abs(value) <= Self.digitLimit else { return nil }
                exponent = value
                break
            } else if let value = character.wholeNumberValue {
                digits.append(UInt8(value))
            } else {
                return nil
            }
        }
        let place = (point ?? digits.count) + exponent
        if place < 0 { digits = [UInt8](repeating: 0, count: -place) + digits }
        let split = max(place, 0)
        if split > digits.count { digits += [UInt8](repeating: 0, count: split - digits.count) }
        whole = Array(digits[..<split].drop { $0 == 0 })
        fraction = Array(digits[split...])
        while fraction.last == 0 { fraction.removeLast() }
        guard whole.count <= Self.digitLimit, fraction.count <= Self.digitLimit else { return nil }
        if isZero { isNegative = false }
    }

    var isZero: Bool { whole.isEmpty && fraction.isEmpty }

    /// The number without its sign.
    var magnitude: Decimal {
        var copy = self
        copy.isNegative = false
        return copy
    }

    /// The whole part, unless it is 10^18 or more.
    var wholeValue: Int? {
        whole.count > 18 ? nil : whole.reduce(0) { $0 * 10 + Int($1) }
    }

    /// Whether it is smaller than `other`.
    static func < (a: Decimal, b: Decimal) -> Bool {
        if a.isNegative != b.isNegative { return a.isNegative }
        return a.isNegative ? isLess(b, a) : isLess(a, b)
    }

    private static func isLess(_ a: Decimal, _ b: Decimal) -> Bool {
        if a.whole.count != b.whole.count { return a.whole.count < b.whole.count }
        if a.whole != b.whole { return a.whole.lexicographicallyPrecedes(b.whole) }
        return a.fraction.lexicographicallyPrecedes(b.fraction)
    }
}
