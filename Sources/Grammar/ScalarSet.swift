/// A set of Unicode scalars as sorted ranges that don't touch.
struct ScalarSet: Hashable, Sendable {
    /// Every scalar: surrogates are none.
    static let all = ScalarSet([0...0xD7FF, 0xE000...0x10FFFF])

    private(set) var ranges: [ClosedRange<UInt32>]

    /// The scalars of some ranges in any order; surrogates are left out.
    init(_ ranges: [ClosedRange<UInt32>]) {
        var merged: [ClosedRange<UInt32>] = []
        for range in ranges.flatMap(Self.withoutSurrogates).sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = merged.last, UInt64(range.lowerBound) <= UInt64(last.upperBound) + 1 {
                merged[merged.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
            } else {
                merged.append(range)
            }
        }
        self.ranges = merged
    }

    /// One scalar.
    init(_ scalar: Unicode.Scalar) { self.init([scalar.value...scalar.value]) }

    /// The scalars of a text.
    init(of text: String) { self.init(text.unicodeScalars.map { $0.value...$0.value }) }

    private static func withoutSurrogates(_ range: ClosedRange<UInt32>) -> [ClosedRange<UInt32>] {
        var parts: [ClosedRange<UInt32>] = []
        if range.lowerBound <= 0xD7FF { parts.append(range.lowerBound...min(range.upperBound, 0xD7FF)) }
        let low = max(range.lowerBound, 0xE000)
        let high = min(range.upperBound, 0x10FFFF)
        if low <= high { parts.append(low...high) }
        return parts
    }

    var isEmpty: Bool { ranges.isEmpty }

    func union(_ other: ScalarSet) -> ScalarSet { ScalarSet(ranges + other.ranges) }

    /// What is not in it.
    var inverted: ScalarSet {
        var gaps: [ClosedRange<UInt32>] = []
        var next: UInt32 = 0
        for range in ranges {
            if range.lowerBound > next { gaps.append(next...range.lowerBound - 1) }
            next = range.upperBound + 1
        }
        if next <= 0x10FFFF { gaps.append(next...0x10FFFF) }
        return ScalarSet(gaps)
    }

    func intersection(_ other: ScalarSet) -> ScalarSet { inverted.union(other.inverted).inverted }
    func subtracting(_ other: ScalarSet) -> ScalarSet { intersection(other.inverted) }

    func contains(_ scalar: UInt32) -> Bool { ranges.contains { $0.contains(scalar) } }

    /// The UTF-8 of one of its scalars.
    var utf8: Pattern {
        var pieces: [Pattern] = []
        var ascii = ByteSet()
        for range in ranges {
            if range.lowerBound < 0x80 {
                for scalar in range.lowerBound...min(range.upperBound, 0x7F) { ascii.insert(UInt8(scalar)) }
            }
            for (length, limits) in [(2, 0x80...0x7FF), (3, 0x800...0xFFFF), (4, 0x10000...0x10FFFF)]
                as [(Int, ClosedRange<UInt32>)]
            {
                let low = max(range.lowerBound, limits.lowerBound)
                let high = min(range.upperBound, limits.upperBound)
                if low <= high { pieces.append(contentsOf: Self.split(low, high, length: length)) }
            }
        }
        if !ascii.isEmpty { pieces.insert(.bytes(ascii), at: 0) }
        return .anyOf(pieces)
    }

    /// Runs of scalars of one encoded length, cut so that each is a product of byte ranges.
    private static func split(_ low: UInt32, _ high: UInt32, length: Int) -> [Pattern] {
        for tail in 1..<length {
            let mask: UInt32 = 1 << UInt32(6 * tail) - 1
            guard low & ~mask != high & ~mask else { continue }
            if low & mask != 0 {
                return split(low, low | mask, length: length) + split((low | mask) + 1, high, length: length)
            }
            if high & mask != mask {
                return split(low, (high & ~mask) - 1, length: length) + split(high & ~mask, high, length: length)
            }
        }
        let (a, b) = (encoded(low, length: length), encoded(high, length: length))
        return [.all(zip(a, b).map { .bytes(ByteSet($0...$1)) })]
    }

    private static func encoded(_ scalar: UInt32, length: Int) -> [UInt8] {
        let lead: [UInt32] = [0, 0, 0xC0, 0xE0, 0xF0]
        return (0..<length).map { place in
            let bits = scalar >> UInt32(6 * (length - 1 - place))
            return UInt8(place == 0 ? lead[length] | bits : 0x80 | bits & 0x3F)
        }
    }
}
