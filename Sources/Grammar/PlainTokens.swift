import Core

/// Tokens that are whole characters of running text and nothing else: no quotation mark, no backslash, no control character.
///
/// Inside a string most of a vocabulary is such tokens, and all that matters about one is how many characters it has.
struct PlainTokens: Sendable {
    /// The bytes of plain characters, a range for each byte: valid UTF-8, shape by shape.
    static let shapes: [[ClosedRange<UInt8>]] = [
        [0x20...0x21], [0x23...0x5B], [0x5D...0x7E],
        [0xC2...0xDF, 0x80...0xBF],
        [0xE0...0xE0, 0xA0...0xBF, 0x80...0xBF], [0xE1...0xEC, 0x80...0xBF, 0x80...0xBF],
        [0xED...0xED, 0x80...0x9F, 0x80...0xBF], [0xEE...0xEF, 0x80...0xBF, 0x80...0xBF],
        [0xF0...0xF0, 0x90...0xBF, 0x80...0xBF, 0x80...0xBF], [0xF1...0xF3, 0x80...0xBF, 0x80...0xBF, 0x80...0xBF],
        [0xF4...0xF4, 0x80...0x8F, 0x80...0xBF, 0x80...0xBF],
    ]

    /// The tokens, those with fewer characters first.
    private let tokens: [TokenID]
    /// By number of characters, how many tokens have at most so many.
    private let ends: [Int]
    /// The bits of all of them.
    private let words: [UInt64]

    /// The plain ones of some tokens of a vocabulary, each with its number of characters.
    init(_ found: [(token: TokenID, characters: Int)], count: Int) {
        tokens = found.sorted { ($0.characters, $0.token) < ($1.characters, $1.token) }.map(\.token)
        var ends = [Int](repeating: 0, count: 1 + (found.map(\.characters).max() ?? 0))
        for entry in found { ends[entry.characters] += 1 }
        for characters in ends.indices.dropFirst() { ends[characters] += ends[characters - 1] }
        self.ends = ends
        var words = [UInt64](repeating: 0, count: (count + 63) / 64)
        for token in tokens { words[Int(token) >> 6] |= 1 << UInt64(token & 63) }
        self.words = words
    }

    /// The most characters that one has.
    var longest: Int { ends.count - 1 }

    /// The bits of those of at most so many characters.
    func words(atMost characters: Int) -> [UInt64] {
        var words = words
        for token in tokens[ends[min(characters, longest)]...] { words[Int(token) >> 6] &= ~(1 << UInt64(token & 63)) }
        return words
    }

    /// How many characters some bytes are; nil when they are not plain.
    static func characters(_ bytes: ArraySlice<UInt8>) -> Int? {
        guard bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x22 && $0 != 0x5C && $0 != 0x7F }) else { return nil }
        guard bytes.contains(where: { $0 >= 0x80 }) else { return bytes.count }
        return String(validating: bytes, as: UTF8.self)?.unicodeScalars.count
    }
}

/// How many plain characters can follow a configuration of an automaton, where it takes every one for as good as any other.
struct PlainRoom {
    /// Two characters lead to different places.
    private static let differs: Int32 = -3

    /// A byte of each class, for each byte of each shape of a plain character.
    private let shapes: [[[UInt8]]]
    /// Where any plain character leads from a configuration.
    private var landings: [Int32: Int32] = [:]

    init(_ automaton: Automaton) {
        shapes = PlainTokens.shapes.map { shape in
            shape.map { range in
                var seen: Set<UInt8> = []
                return range.filter { seen.insert(automaton.classOfByte[Int($0)]).inserted }
            }
        }
    }

    /// The number of plain characters that can follow, no more than `limit` being counted; nil where it depends on which they are, or on
    /// what stands below on the stack.
    mutating func count(from start: Int32, limit: Int, in automaton: Automaton) -> Int? {
        var at = start
        var escapes = false
        for count in 0..<limit {
            let next = landing(from: at, in: automaton)
            if next == Self.differs { return nil }
            // What is refused here may go on behind the end of the rule.
            if next == Automaton.dead { return escapes ? nil : count }
            if next == at { return limit }
            escapes = escapes || automaton.escapes[Int(next)]
            at = next
        }
        return limit
    }

    private mutating func landing(from configuration: Int32, in automaton: Automaton) -> Int32 {
        if let known = landings[configuration] { return known }
        var found: Int32?
        for shape in shapes where found != Self.differs {
            let next = landing(from: configuration, shape[...], in: automaton)
            found = found == nil || found == next ? next : Self.differs
        }
        landings[configuration] = found
        return found ?? Self.differs
    }

    private func landing(
        from configuration: Int32, _ shape: ArraySlice<[UInt8]>, in automaton: Automaton
    ) -> Int32 {
        guard let bytes = shape.first else { return configuration }
        var found: Int32?
        for byte in bytes {
            var next = automaton.step(configuration, byte)
            if next != Automaton.dead, shape.count > 1 {
                // A rule that ends within a character is not looked at any further.
                if automaton.escapes[Int(next)] { return Self.differs }
                next = landing(from: next, shape.dropFirst(), in: automaton)
            }
            if next == Self.differs || found.map({ $0 != next }) == true { return Self.differs }
            found = next
        }
        return found ?? Self.differs
    }
}
