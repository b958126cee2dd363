/// Guesses the next tokens of a sequence from what stands in it already: where the last tokens stood before, what came after
/// them then comes again. Known as prompt lookup (Saxena 2023).
///
/// A guess costs only the work of computing it: what the model says of it decides. So it guesses few tokens at first, more while it is
/// right, and pauses ever longer while it is wrong.
public struct PromptLookup: Sendable {
    /// Tokens that must agree for a guess.
    public static let shortest = 3
    /// Tokens that are guessed at once, at most.
    public static let most = 15
    /// Steps without a guess after many wrong ones, at most.
    static let longestPause = 64
    /// Places that are compared for one guess.
    private static let mostCompared = 32
    /// Tokens that may agree, as far as anybody looks.
    private static let mostAgreeing = 64
    /// Tokens that agree, with which a pause is over.
    private static let convincing = 16
    /// The first pause, in steps.
    private static let shortestPause = 4

    private var tokens: [TokenID] = []
    /// By hash of the tokens up to and with a place: the last such place, and for each place the one before; -1 where there is none.
    private var last: [Int32] = []
    private var before: [Int32] = []
    private var length = 2
    private var pause = shortestPause
    private var waiting = 0

    /// Knows these tokens.
    public init(_ tokens: [TokenID]) {
        self.tokens.reserveCapacity(tokens.count + 256)
        before.reserveCapacity(tokens.count + 256)
        var size = 1024
        while size < tokens.count { size *= 2 }
        last = [Int32](repeating: -1, count: size)
        append(tokens)
    }

    /// How many tokens it knows.
    public var count: Int { tokens.count }

    /// More tokens of the sequence are certain.
    public mutating func append(_ more: some Sequence<TokenID>) {
        for token in more { append(token) }
    }

    /// One more token is certain.
    public mutating func append(_ token: TokenID) {
        tokens.append(token)
        before.append(-1)
        if tokens.count > 2 * last.count { grow() }
        link(tokens.count - 1)
    }

    private mutating func link(_ place: Int) {
        guard place + 1 >= Self.shortest else { return }
        let slot = slot(place)
        before[place] = last[slot]
        last[slot] = Int32(truncatingIfNeeded: place)
    }

    private mutating func grow() {
        last = [Int32](repeating: -1, count: last.count * 2)
        for place in 0..<tokens.count - 1 { link(place) }
    }

    /// Where the tokens up to and with `place` are listed.
    private func slot(_ place: Int) -> Int {
        var hash: UInt64 = 0
        for back in 0..<Self.shortest {
            hash = (hash ^ UInt64(UInt32(bitPattern: tokens[place - back]))) &* 0x9e37_79b9_7f4a_7c15
            hash ^= hash >> 29
        }
        return Int(truncatingIfNeeded: hash) & (last.count - 1)
    }

    /// The tokens that may come next, at most `limit`: those behind the place that agrees with the end for longest, the latest of equals.
    public mutating func guess(limit: Int) -> [TokenID] {
        var guesses: [TokenID] = []
        _ = guess(limit: limit, onto: &guesses)
        return guesses
    }

    /// Puts them behind `list`, and returns how many they are.
    public mutating func guess(limit: Int, onto list: inout [TokenID]) -> Int {
        let found = limit > 0 ? bestPlace() : nil
        if waiting > 0 {
            waiting -= 1
            // So many that agree would have been guessed rightly, had there been no pause.
            guard let found, found.agreeing >= Self.convincing else { return 0 }
        }
        guard let found else { return 0 }
        // What comes after a place near the end may reach the end, and then goes on with itself.
        let period = tokens.count - 1 - found.place
        let count = min(length, limit)
        for index in 0..<count { list.append(tokens[found.place + 1 + index % period]) }
        return count
    }

    private func bestPlace() -> (place: Int, agreeing: Int)? {
        let end = tokens.count - 1
        guard end >= Self.shortest else { return nil }
        var best: Int?
        var agreeing = Self.shortest - 1
        var place = Int(before[end])
        for _ in 0..<Self.mostCompared where place >= 0 {
            var count = 0
            while count <= place, count < Self.mostAgreeing, tokens[place - count] == tokens[end - count] { count += 1 }
            if count > agreeing {
                agreeing = count
                best = place
            }
            if count == Self.mostAgreeing { break }
            place = Int(before[place])
        }
        return best.map { ($0, agreeing) }
    }

    /// Of `guessed` tokens the first `right` were right.
    public mutating func judge(guessed: Int, right: Int) {
        guard guessed > 0 else { return }
        if right == 0 {
            length = 1
            waiting = pause
            pause = min(pause * 2, Self.longestPause)
        } else {
            length = right == guessed ? min(length * 2, Self.most) : right + 1
            pause = Self.shortestPause
            waiting = 0
        }
    }
}
