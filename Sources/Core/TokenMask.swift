/// Which tokens of the vocabulary may be drawn: a bit for each.
public struct TokenMask: Hashable, Sendable {
    /// How many tokens the vocabulary has.
    public let count: Int
    /// The bits, 64 tokens a word, the lowest id in the lowest bit. Bits past `count` are 0.
    public private(set) var words: [UInt64]

    /// Permits nothing.
    public init(count: Int) {
        self.count = count
        words = [UInt64](repeating: 0, count: (count + 63) / 64)
    }

    /// The mask with these bits, or nil when they are not as many as `count` tokens take.
    public init?(count: Int, words: [UInt64]) {
        guard count >= 0, words.count == (count + 63) / 64 else { return nil }
        if count % 64 != 0, let last = words.last, last >> UInt64(count % 64) != 0 { return nil }
        self.count = count
        self.words = words
    }

    /// Whether `token` may be drawn.
    public func permits(_ token: TokenID) -> Bool {
        let index = Int(token)
        guard index >= 0, index < count else { return false }
        return words[index >> 6] >> UInt64(index & 63) & 1 != 0
    }

    /// Permits `token` too.
    public mutating func permit(_ token: TokenID) {
        let index = Int(token)
        guard index >= 0, index < count else { return }
        words[index >> 6] |= 1 << UInt64(index & 63)
    }

    /// Permits what `other`, of the same vocabulary, permits too.
    public mutating func formUnion(_ other: TokenMask) {
        for index in words.indices where index < other.words.count { words[index] |= other.words[index] }
    }

    /// How many tokens may be drawn.
    public var permitted: Int { words.reduce(0) { $0 + $1.nonzeroBitCount } }
    /// Whether none may be drawn.
    public var isEmpty: Bool { words.allSatisfy { $0 == 0 } }

    /// The tokens that may be drawn, rising.
    public var tokens: [TokenID] {
        var found: [TokenID] = []
        found.reserveCapacity(permitted)
        for (index, word) in words.enumerated() {
            var left = word
            while left != 0 {
                found.append(TokenID(index * 64 + left.trailingZeroBitCount))
                left &= left - 1
            }
        }
        return found
    }

    /// The only token that may be drawn, if there is just one.
    public var only: TokenID? {
        var found: TokenID?
        for (index, word) in words.enumerated() where word != 0 {
            guard found == nil, word.nonzeroBitCount == 1 else { return nil }
            found = TokenID(index * 64 + word.trailingZeroBitCount)
        }
        return found
    }
}
