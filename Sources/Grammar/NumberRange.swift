import Core

/// The numbers that a schema permits, and how they are written.
///
/// Integers have at most 18 digits, so that every reader can hold them. Numbers with bounds have at most 15 digits in all, so that no two of them are the
/// same double, and no exponent.
struct NumberRange {
    /// A bound, and whether it is itself in range.
    struct Bound: Hashable {
        var value: Decimal
        var isIncluded: Bool
    }

    var lower: Bound?
    var upper: Bound?
    /// At most so many digits behind the point; nil: any.
    var decimals: Int?

    private static let digit = Pattern.bytes(ByteSet(0x30...0x39))
    private static let nonzero = Pattern.bytes(ByteSet(0x31...0x39))
    private static let mostInteger = 999_999_999_999_999_999
    private static let mostDigits = 15

    private static func digits(_ least: Int, _ most: Int) -> Pattern { .repeated(digit, least: least, most: most) }
    private static func digits(_ bytes: [UInt8]) -> Pattern { .text(bytes.map { $0 + 0x30 }) }

    /// Any number, of a size that a double holds.
    static let anyNumber = number(decimals: nil)

    private static func number(decimals: Int?) -> Pattern {
        let whole = Pattern.anyOf([.text("0"), .all([nonzero, digits(0, 14)])])
        let places = min(decimals ?? mostDigits, mostDigits)
        var parts: [Pattern] = [.text("-").optional, whole]
        if places > 0 { parts.append(Pattern.all([.text("."), digits(1, places)]).optional) }
        if decimals == nil {
            var signs = ByteSet(UInt8(ascii: "+"))
            signs.insert(UInt8(ascii: "-"))
            parts.append(
                Pattern.all([ScalarSet(of: "eE").utf8, Pattern.bytes(signs).optional, digits(1, 2)]).optional)
        }
        return .all(parts)
    }

    /// Narrows the range; of two bounds the tighter one counts.
    mutating func raise(_ bound: Bound) {
        guard let own = lower else { return lower = bound }
        if own.value < bound.value || (own.value == bound.value && !bound.isIncluded) { lower = bound }
    }

    mutating func cut(_ bound: Bound) {
        guard let own = upper else { return upper = bound }
        if bound.value < own.value || (own.value == bound.value && !bound.isIncluded) { upper = bound }
    }

    // MARK: Integers

    /// The integers in range.
    func integers() -> Pattern {
        let low = lower.map { Self.integer($0, isLower: true) } ?? -Self.mostInteger
        let high = upper.map { Self.integer($0, isLower: false) } ?? Self.mostInteger
        guard low <= high else { return .never }
        var ways: [Pattern] = []
        if high >= 0 { ways.append(Self.integers(max(low, 0), high)) }
        if low < 0 { ways.append(.all([.text("-"), Self.integers(max(1, -high), -low)])) }
        return .anyOf(ways)
    }

    /// The outermost integer that a bound permits.
    private static func integer(_ bound: Bound, isLower: Bool) -> Int {
        guard let whole = bound.value.wholeValue else {
            // Past all that is written: it bounds nothing, or leaves nothing.
            return isLower
                ? (bound.value.isNegative ? -mostInteger : mostInteger + 1)
                : (bound.value.isNegative ? -mostInteger - 1 : mostInteger)
        }
        let value = bound.value.isNegative ? -whole : whole
        let isWhole = bound.value.fraction.isEmpty
        if isLower {
            // Up: a fraction of a negative number is cut off already.
            return isWhole ? (bound.isIncluded ? value : value + 1) : (bound.value.isNegative ? value : value + 1)
        }
        return isWhole ? (bound.isIncluded ? value : value - 1) : (bound.value.isNegative ? value - 1 : value)
    }

    /// The integers from `low`, not negative, to `high`.
    private static func integers(_ low: Int, _ high: Int) -> Pattern {
        guard low <= high else { return .never }
        var ways: [Pattern] = []
        var start = low
        while true {
            let length = String(start).count
            let end = min(high, Int(String(repeating: "9", count: length)) ?? high)
            ways.append(between(decimal(start), decimal(end)))
            if end >= high { break }
            start = end + 1
        }
        return .anyOf(ways)
    }

    private static func decimal(_ value: Int) -> [UInt8] { String(value).utf8.map { $0 - 0x30 } }

    /// The digit rows from `low` to `high`, both of one length.
    private static func between(_ low: [UInt8], _ high: [UInt8]) -> Pattern {
        guard let a = low.first, let b = high.first else { return .empty }
        if low.allSatisfy({ $0 == 0 }), high.allSatisfy({ $0 == 9 }) { return digits(low.count, low.count) }
        let (lowRest, highRest) = (Array(low.dropFirst()), Array(high.dropFirst()))
        if a == b { return .all([digits([a]), between(lowRest, highRest)]) }
        let nines = [UInt8](repeating: 9, count: lowRest.count)
        let zeros = [UInt8](repeating: 0, count: lowRest.count)
        var ways = [Pattern.all([digits([a]), between(lowRest, nines)])]
        if a + 1 < b {
            ways.append(.all([.bytes(ByteSet(0x31 + a...0x2F + b)), digits(lowRest.count, lowRest.count)]))
        }
        ways.append(.all([digits([b]), between(zeros, highRest)]))
        return .anyOf(ways)
    }

    // MARK: Numbers with a fraction

    /// The numbers in range.
    ///
    /// - Throws: when a bound has more digits than can be told apart.
    func numbers(_ path: String) throws -> Pattern {
        if lower == nil, upper == nil { return Self.number(decimals: decimals) }
        if let low = lower, let high = upper, high.value < low.value { return .never }
        let most = max(lower?.value.whole.count ?? 0, upper?.value.whole.count ?? 0)
        // Where one side is open, numbers may have a digit more than the bound, and at least nine.
        let wholeDigits = lower == nil || upper == nil ? max(9, most + 1) : max(1, most)
        let places = min(Self.mostDigits - wholeDigits, decimals ?? Self.mostDigits)
        let needed = max(lower?.value.fraction.count ?? 0, upper?.value.fraction.count ?? 0)
        guard wholeDigits <= Self.mostDigits, Self.mostDigits - wholeDigits >= needed else {
            throw Problem.invalid("\(path): a bound of a number has too many digits; use at most \(Self.mostDigits)")
        }
        guard let limit = Decimal("1e\(wholeDigits)"), let zero = Decimal("0") else { return .never }
        let far = Bound(value: limit, isIncluded: false)
        let none = Bound(value: zero, isIncluded: true)
        var ways: [Pattern] = []
        let high = upper ?? far
        if !high.value.isNegative {
            let low = lower.flatMap { $0.value.isNegative ? nil : $0 } ?? none
            ways.append(Self.magnitudes(low, high, places))
        }
        if lower == nil || lower?.value.isNegative == true {
            let top = lower.map { Bound(value: $0.value.magnitude, isIncluded: $0.isIncluded) } ?? far
            let bottom = upper.flatMap { bound -> Bound? in
                bound.value.isNegative || bound.value.isZero
                    ? Bound(value: bound.value.magnitude, isIncluded: bound.isIncluded) : nil
            }
            ways.append(.all([.text("-"), Self.magnitudes(bottom ?? none, top, places)]))
        }
        return .anyOf(ways)
    }

    /// The numbers between two that are not negative.
    private static func magnitudes(_ low: Bound, _ high: Bound, _ places: Int) -> Pattern {
        guard let first = low.value.wholeValue, let last = high.value.wholeValue, first <= last else { return .never }
        let lowEdge = Edge(digits: low.value.fraction, isIncluded: low.isIncluded)
        let highEdge = Edge(digits: high.value.fraction, isIncluded: high.isIncluded)
        if first == last { return .all([digits(decimal(first)), fraction(lowEdge, highEdge, places)]) }
        return .anyOf([
            .all([digits(decimal(first)), fraction(lowEdge, nil, places)]),
            .all([integers(first + 1, last - 1), fraction(nil, nil, places)]),
            .all([digits(decimal(last)), fraction(nil, highEdge, places)]),
        ])
    }

    /// The digits of a bound that are still to be compared with; what was written so far equals the bound.
    private struct Edge {
        var digits: [UInt8]
        var isIncluded: Bool

        var first: UInt8 { digits.first ?? 0 }
        var rest: Edge { Edge(digits: Array(digits.dropFirst()), isIncluded: isIncluded) }
    }

    /// What follows the whole part: nothing, or a point and digits.
    private static func fraction(_ low: Edge?, _ high: Edge?, _ places: Int) -> Pattern {
        let low = low.flatMap { $0.digits.isEmpty && $0.isIncluded ? nil : $0 }
        var ways: [Pattern] = []
        if low == nil, high.map({ !$0.digits.isEmpty || $0.isIncluded }) ?? true { ways.append(.empty) }
        if places > 0 { ways.append(.all([.text("."), fractionDigits(low, high, places)])) }
        return .anyOf(ways)
    }

    /// At least one more digit.
    private static func fractionDigits(_ low: Edge?, _ high: Edge?, _ left: Int) -> Pattern {
        var ways: [Pattern] = []
        var free = ByteSet()
        for digit in UInt8(0)...9 {
            if let low, digit < low.first { continue }
            if let high, digit > high.first { continue }
            var lowNext = low.flatMap { digit > $0.first ? nil : $0.rest }
            if let edge = lowNext, edge.digits.isEmpty, edge.isIncluded { lowNext = nil }
            let highNext = high.flatMap { digit < $0.first ? nil : $0.rest }
            if lowNext == nil, highNext == nil {
                free.insert(digit + 0x30)
                continue
            }
            // At the upper bound exactly: nothing but zeros could follow, so nothing does.
            let isAtTop = highNext?.digits.isEmpty == true
            var after: [Pattern] = []
            if lowNext == nil, !isAtTop || highNext?.isIncluded == true { after.append(.empty) }
            if left > 1, !isAtTop { after.append(fractionDigits(lowNext, highNext, left - 1)) }
            ways.append(.all([digits([digit]), .anyOf(after)]))
        }
        if !free.isEmpty { ways.append(.all([.bytes(free), digits(0, left - 1)])) }
        return .anyOf(ways)
    }
}
