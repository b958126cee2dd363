import Core
import Testing

@testable import Tokenization

@Suite struct MergeTests {
    /// A vocabulary of all bytes and, on top, words over a, b and c that are each made of two earlier ones.
    private static func tokens() -> (tokens: [[UInt8]], merges: [(Int, Int)]) {
        var random = SystemRandomNumberGenerator()
        var tokens = (0..<256).map { [UInt8($0)] }
        var merges: [(Int, Int)] = []
        var parts = [97, 98, 99]
        while tokens.count < 300 {
            guard let left = parts.randomElement(using: &random), let right = parts.randomElement(using: &random) else {
                break
            }
            let token = tokens[left] + tokens[right]
            if tokens.contains(token) || token.count > 12 { continue }
            parts.append(tokens.count)
            tokens.append(token)
            merges.append((left, right))
        }
        return (tokens, merges)
    }

    /// Merges the leftmost of the best pairs until none is left, looking at everything every time.
    private static func slowly(_ text: [UInt8], _ rank: ([UInt8], [UInt8]) -> Int?) -> [[UInt8]] {
        var parts = text.map { [$0] }
        while true {
            let ranks = zip(parts, parts.dropFirst()).map { rank($0, $1) ?? Int.max }
            guard let best = ranks.min(), best < Int.max, let at = ranks.firstIndex(of: best) else { return parts }
            parts[at] += parts.remove(at: at + 1)
        }
    }

    private static func tokenizer(_ tokens: [[UInt8]], _ rule: (Vocabulary) -> MergeRule) throws -> Tokenizer {
        let vocabulary = try Vocabulary(tokens.map { (.normal, $0[...]) }, source: "test")
        return Tokenizer(vocabulary: vocabulary, pattern: .glm, rule: rule(vocabulary), ends: [], template: .plain)
    }

    @Test("ranks merge short and long pieces as the slow twin does", arguments: [8, 39, 40, 41, 120])
    func ranks(length: Int) throws {
        let (tokens, _) = Self.tokens()
        let ids = Dictionary(uniqueKeysWithValues: zip(tokens, tokens.indices))
        let tokenizer = try Self.tokenizer(tokens) { _ in .ranks }
        for _ in 0..<8 {
            let text = (0..<length).map { _ in UInt8.random(in: 97...99) }
            let want =
                ids[text] != nil ? [text] : Self.slowly(text) { ids[$0 + $1] }
            #expect(tokenizer.encode(String(decoding: text, as: UTF8.self)).map(tokenizer.bytes) == want)
        }
    }

    @Test("a merge list merges short and long pieces as the slow twin does", arguments: [5, 39, 40, 41, 120])
    func list(length: Int) throws {
        let (tokens, merges) = Self.tokens()
        let list = merges.enumerated().map {
            MergeList.Merge(
                left: TokenID($0.element.0), right: TokenID($0.element.1), result: TokenID(256 + $0.offset))
        }
        let tokenizer = try Self.tokenizer(tokens) { _ in .list(MergeList(list), wholePieces: false) }
        for _ in 0..<8 {
            let text = (0..<length).map { _ in UInt8.random(in: 97...99) }
            let want = Self.slowly(text) { left, right in
                merges.firstIndex { tokens[$0.0] == left && tokens[$0.1] == right }
            }
            #expect(tokenizer.encode(String(decoding: text, as: UTF8.self)).map(tokenizer.bytes) == want)
        }
    }

    /// A vocabulary of all bytes and, on top, characters of two to four bytes, words of them, and tokens that are cut anywhere in them, each made
    /// of two earlier ones; two letters that a piece of letters is made of, and others that stand next to each other in no token.
    private static func letters() -> (tokens: [[UInt8]], merges: [(Int, Int)]) {
        var random = SystemRandomNumberGenerator()
        var tokens = (0..<256).map { [UInt8($0)] }
        var merges: [(Int, Int)] = []
        while tokens.count < 420 {
            let word = Array((0..<3).map { _ in Self.letter(using: &random) }.joined().utf8)
            // A run of the word's bytes, cut where its parts are tokens.
            let start = Int.random(in: 0..<word.count - 1, using: &random)
            let end = Int.random(in: start + 2...word.count, using: &random)
            let token = Array(word[start..<end])
            guard !tokens.contains(token) else { continue }
            let cuts = (1..<token.count).compactMap { cut -> (Int, Int)? in
                guard let left = tokens.firstIndex(of: Array(token[..<cut])),
                    let right = tokens.firstIndex(of: Array(token[cut...]))
                else { return nil }
                return (left, right)
            }
            guard let parts = cuts.randomElement(using: &random) else { continue }
            tokens.append(token)
            merges.append(parts)
        }
        return (tokens, merges)
    }

    private static func letter(using random: inout SystemRandomNumberGenerator) -> String {
        ["中", "文", "字", "丁", "é", "ж", "א", "𠀀", "𠀁", "a"].randomElement(using: &random) ?? "中"
    }

    @Test("a clause is merged with its seams as the slow twin merges it whole", arguments: 0..<12)
    func seams(round: Int) throws {
        let (tokens, merges) = Self.letters()
        let ids = Dictionary(uniqueKeysWithValues: zip(tokens, tokens.indices))
        let list = merges.enumerated().map {
            MergeList.Merge(
                left: TokenID($0.element.0), right: TokenID($0.element.1), result: TokenID(256 + $0.offset))
        }
        let byRank = try Self.tokenizer(tokens) { _ in .ranks }
        let byList = try [true, false].map { whole in
            try Self.tokenizer(tokens) { _ in .list(MergeList(list), wholePieces: whole) }
        }
        var places: [[[UInt8]]: Int] = [:]
        for (place, merge) in merges.enumerated() { places[[tokens[merge.0], tokens[merge.1]]] = place }
        var random = SystemRandomNumberGenerator()
        var cut = 0
        for length in [2, 3, 5, 9, 20, 45, 90] {
            let text = (0..<length).map { _ in Self.letter(using: &random) }.joined()
            let bytes = Array(text.utf8)
            let isWhole = ids[bytes] != nil
            #expect(
                byRank.encode(text).map(byRank.bytes) == (isWhole ? [bytes] : Self.slowly(bytes) { ids[$0 + $1] }))
            let listed = Self.slowly(bytes) { places[[$0, $1]] }
            #expect(byList[0].encode(text).map(byList[0].bytes) == (isWhole ? [bytes] : listed))
            #expect(byList[1].encode(text).map(byList[1].bytes) == listed)
            let seams = Seams(tokens.map { $0[...] })
            bytes.withUnsafeBufferPointer { piece in
                seams.bits.withUnsafeBufferPointer { bits in
                    var start = 0
                    while start < piece.count {
                        start = SeamsView(bits: bits).end(of: piece, from: start)
                        if start < piece.count { cut += 1 }
                    }
                }
            }
        }
        #expect(cut > 0, "no seam was found in these texts")
    }

    @Test("a list that names every way to make every token is the rank rule, any other is itself")
    func best() throws {
        let tokens = (0..<256).map { [UInt8($0)] } + [Array("ab".utf8), Array("bc".utf8), Array("abc".utf8)]
        let vocabulary = try Vocabulary(tokens.map { (.normal, $0[...]) }, source: "test")
        let all = ["a b", "b c", "ab c", "a bc"].compactMap { MergeRule.merge($0, in: vocabulary) }
        #expect(all.count == 4)
        func isRanks(_ merges: [MergeList.Merge]) -> Bool {
            if case .ranks = MergeRule.best(for: merges, in: vocabulary, wholePieces: false) { true } else { false }
        }
        #expect(isRanks(all))
        #expect(!isRanks(Array(all.dropLast())))
        #expect(!isRanks([all[1], all[0], all[2], all[3]]))
    }

    @Test("a long piece of one letter takes no quadratic time")
    func longPiece() throws {
        let tokenizer = try Tokenizer(folder: Golden.path("tokenizer"))
        let tokens = tokenizer.encode(String(repeating: "z", count: 20_000))
        #expect(tokens.count == 20_000)
    }

    @Test("bytes without a token give nothing and keep their neighbours apart")
    func missingByte() throws {
        let tokenizer = try Self.tokenizer([[97], [98], [97, 98]]) { _ in .ranks }
        #expect(tokenizer.encode("ab") == [2])
        #expect(tokenizer.encode("axb") == [0, 1])
    }
}
