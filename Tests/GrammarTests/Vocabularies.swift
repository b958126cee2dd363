import Core

@testable import Grammar

/// A generator of numbers that gives the same ones for the same seed.
struct SeededNumbers: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        var mixed = state
        mixed = (mixed ^ (mixed >> 33)) &* 0xff51_afd7_ed55_8ccd
        return mixed ^ (mixed >> 33)
    }
}

/// Vocabularies like those of byte-level models: every byte, and runs of bytes that cut characters and syntax anywhere.
enum Vocabularies {
    /// Token 0 ends answers, token 1 adds nothing to a text, then the 256 bytes, then the others.
    static func texts(_ others: Int, seed: UInt64) -> [[UInt8]] {
        var numbers = SeededNumbers(state: seed)
        let pieces = [
            "\"", "{", "}", "[", "]", ":", ",", " ", "\n", "  ", "\\", "\\u", "\\n", "true", "false", "null", "0", "1",
            "9",
            "12", ".5", "e", "E+", "-", "name", "age", "a", "b", "ab", "the", "ing", "é", "中文", "🙂", "ß", "\u{7f}", "T",
            "Z",
            "2024", "-0", "@", "é\"", "\", \"", "\": ", "\"}", "\"]", "},", "{\"", "/", "$", "+", "x", "Y", "d8", "DC",
        ].map { Array($0.utf8) }
        var seen: Set<[UInt8]> = []
        var texts: [[UInt8]] = [[], []] + (0...255).map { [UInt8($0)] }
        while texts.count < 258 + others {
            var text: [UInt8] = []
            for _ in 0..<Int.random(in: 1...3, using: &numbers) {
                if let piece = pieces.randomElement(using: &numbers) { text += piece }
            }
            // Half of them begin or end in the middle of a character.
            if Bool.random(using: &numbers) { text = Array(text.dropFirst(Int.random(in: 0...2, using: &numbers))) }
            if Bool.random(using: &numbers) { text = Array(text.dropLast(Int.random(in: 0...2, using: &numbers))) }
            if others > 10_000 { text += (0..<3).map { _ in UInt8.random(in: 0x61...0x7A, using: &numbers) } }
            if text.count > 1, seen.insert(text).inserted { texts.append(text) }
        }
        return texts
    }

    static func trie(_ texts: [[UInt8]]) -> TokenTrie {
        TokenTrie(count: texts.count, stopTokens: [0]) { $0 == 1 ? [] : texts[Int($0)][...] }
    }

    static let smallTexts = texts(1500, seed: 7)
    static let small = trie(smallTexts)
}

/// Answers drawn at random from what a grammar permits.
struct RandomWalk {
    let constraint: Constraint
    let texts: [[UInt8]]
    var numbers: SeededNumbers

    /// One whole answer; nil when it has not ended after `limit` tokens.
    ///
    /// The first tokens are drawn evenly; then such as close what is open are preferred, so that it comes to an end.
    mutating func answer(lively: Int, limit: Int) throws -> [UInt8]? {
        var place = constraint.start
        var answer: [UInt8] = []
        for count in 0..<limit {
            let mask = try constraint.mask(at: place)
            var permitted = texts.indices.map { TokenID($0) }.filter { mask.permits($0) }
            if permitted.contains(0), count >= lively || Int.random(in: 0..<4, using: &numbers) == 0 || permitted == [0]
            {
                return answer
            }
            permitted.removeAll { $0 == 0 }
            if count >= lively {
                let closing = permitted.filter { token in
                    texts[Int(token)].contains { $0 == 0x22 || $0 == 0x7D || $0 == 0x5D }
                        && texts[Int(token)].count <= 2
                }
                if !closing.isEmpty { permitted = closing }
            }
            guard let token = permitted.randomElement(using: &numbers),
                let next = constraint.place(after: token, at: place)
            else { return nil }
            answer += texts[Int(token)]
            place = next
        }
        return nil
    }
}
