public import Core

/// Text to token ids and back, with the chat template of one model.
///
/// Byte-level BPE: text is cut into pieces by a fixed pattern, and the bytes of each piece are merged into tokens.
/// Special tokens are only ever matched in trusted text, so what a user types can't open a new turn.
public struct Tokenizer: Sendable {
    let vocabulary: Vocabulary
    let pattern: Pattern
    let rule: MergeRule
    /// Tokens that are matched in text before it is cut: by first byte, the longest first.
    private let matched: [UInt8: [TokenID]]
    /// Whether a piece that is token i is taken as it is; empty: always. With a merge list it is when merging gives
    /// that token too, which is worth knowing beforehand: most words are tokens.
    private let wholes: [Bool]
    /// Whether merging the bytes of token i gives token i, as far as that was looked at: of tokens that begin beyond ASCII.
    private let isMerged: [Bool]
    private let seams: Seams

    /// Special tokens by name.
    public let specials: [String: TokenID]
    /// Tokens that end an answer.
    public let stopTokens: Set<TokenID>
    /// How conversations become prompts, unless the caller says otherwise.
    public let template: ChatTemplate

    /// The 14 special tokens of GLM-4 in the order of their ids (glm-4-9b-chat, `tokenizer_config.json`).
    static let glmSpecials = [
        "<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>", "<|assistant|>",
        "<|observation|>", "<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>",
    ]
    /// Special tokens that end an answer in every model that has them.
    private static let stopNames = ["<|endoftext|>", "<|user|>", "<|observation|>", "<|im_end|>"]

    /// A tokenizer of checked parts. `ends` are further ids that end an answer; those that stand for nothing are
    /// left out, as some configurations name ids of a larger vocabulary.
    init(vocabulary: Vocabulary, pattern: Pattern, rule: MergeRule, ends: [Int], template: ChatTemplate) {
        self.vocabulary = vocabulary
        self.pattern = pattern
        self.rule = rule
        self.template = template
        wholes = Self.wholes(vocabulary, rule)
        isMerged = wholes.isEmpty ? Self.merged(vocabulary, rule) { $0 >= 0xC0 } : wholes
        seams = Seams((0..<TokenID(vocabulary.count)).lazy.map { vocabulary[$0] })
        var specials: [String: TokenID] = [:]
        var matched: [UInt8: [TokenID]] = [:]
        for id in 0..<TokenID(vocabulary.count) {
            let kind = vocabulary.kind(of: id)
            guard kind == .special || kind == .literal, let first = vocabulary[id].first else { continue }
            matched[first, default: []].append(id)
            if kind == .special {
                let name = String(decoding: vocabulary[id], as: UTF8.self)
                if specials[name] == nil { specials[name] = id }
            }
        }
        self.matched = matched.mapValues { ids in
            ids.sorted { (-vocabulary[$0].count, $0) < (-vocabulary[$1].count, $1) }
        }
        self.specials = specials
        var stops = Set(Self.stopNames.compactMap { specials[$0] })
        for end in ends {
            if let id = TokenID(exactly: end), vocabulary.contains(id) { stops.insert(id) }
        }
        stopTokens = stops
    }

    private static func wholes(_ vocabulary: Vocabulary, _ rule: MergeRule) -> [Bool] {
        guard case .list(_, wholePieces: false) = rule else { return [] }
        return merged(vocabulary, rule) { _ in true }
    }

    /// By token, whether merging its bytes gives it; false for those whose first byte is not `wanted`.
    private static func merged(_ vocabulary: Vocabulary, _ rule: MergeRule, wanted: (UInt8) -> Bool) -> [Bool] {
        vocabulary.withView { view in
            rule.withView { list in
                var encoder = PieceEncoder(vocabulary: view, list: list, wholes: [])
                var tokens: [TokenID] = []
                return (0..<TokenID(vocabulary.count)).map { id in
                    guard vocabulary.kind(of: id) == .normal, vocabulary[id].first.map(wanted) == true else {
                        return false
                    }
                    tokens.removeAll(keepingCapacity: true)
                    vocabulary[id].withUnsafeBufferPointer { encoder.merge($0, to: &tokens) }
                    return tokens == [id]
                }
            }
        }
    }

    private func withEncoder(_ body: (inout PieceEncoder) -> Void) {
        vocabulary.withView { view in
            rule.withView { list in
                isMerged.withUnsafeBufferPointer { isMerged in
                    seams.bits.withUnsafeBufferPointer { bits in
                        var encoder = PieceEncoder(
                            vocabulary: view, list: list, wholes: wholes,
                            cuts: PieceEncoder.Cuts(seams: SeamsView(bits: bits), isMerged: isMerged))
                        body(&encoder)
                    }
                }
            }
        }
    }

    /// One more than the highest id.
    public var vocabularySize: Int { vocabulary.count }

    /// One more than the highest id that stands for anything: rows of a model's vocabulary from there on are padding.
    public var lastTokenEnd: Int {
        var end = vocabulary.count
        while end > 0, vocabulary.kind(of: TokenID(end - 1)) == .absent { end -= 1 }
        return end
    }

    /// The bytes that a token stands for, or a special token's name in bytes; none for unknown ids.
    public func bytes(of token: TokenID) -> [UInt8] { Array(vocabulary[token]) }

    /// The bytes that a token adds to a text: none for special, end-of-sequence and unknown tokens.
    public func textBytes(of token: TokenID) -> ArraySlice<UInt8> {
        switch vocabulary.kind(of: token) {
        case .absent, .special: []
        case .normal, .literal: stopTokens.contains(token) ? [] : vocabulary[token]
        }
    }

    /// The tokens of `text`. In trusted text the names of special tokens become those tokens; else they are text.
    public func encode(_ text: String, trusted: Bool = false) -> [TokenID] {
        var text = text
        return text.withUTF8 { encode($0, trusted: trusted) }
    }

    private func encode(_ text: UnsafeBufferPointer<UInt8>, trusted: Bool) -> [TokenID] {
        var tokens: [TokenID] = []
        tokens.reserveCapacity(text.count / 3)
        withEncoder { encoder in
            var start = 0
            for match in matches(in: text, trusted: trusted) {
                encodePlain(text[start..<match.range.lowerBound], with: &encoder, to: &tokens)
                tokens.append(match.token)
                start = match.range.upperBound
            }
            encodePlain(text[start...], with: &encoder, to: &tokens)
        }
        return tokens
    }

    private func encodePlain(
        _ text: Swift.Slice<UnsafeBufferPointer<UInt8>>, with encoder: inout PieceEncoder, to tokens: inout [TokenID]
    ) {
        guard !text.isEmpty else { return }
        let text = UnsafeBufferPointer(rebasing: text)
        ScalarClasses.shared.packed.withUnsafeBufferPointer { classes in
            let pretokenizer = Pretokenizer(pattern: pattern, text: text, classes: classes)
            var start = 0
            while start < text.count {
                let end = pretokenizer.end(from: start)
                encoder.encode(UnsafeBufferPointer(rebasing: text[start..<end]), to: &tokens)
                start = end
            }
        }
    }

    /// Where text spells a token that is matched before cutting: the leftmost first, of those the longest.
    private func matches(in text: UnsafeBufferPointer<UInt8>, trusted: Bool) -> [(range: Range<Int>, token: TokenID)] {
        let candidates = trusted ? matched : matched.mapValues { $0.filter { vocabulary.kind(of: $0) == .literal } }
        var begins = [Bool](repeating: false, count: 256)
        for (first, ids) in candidates where !ids.isEmpty { begins[Int(first)] = true }
        guard begins.contains(true) else { return [] }
        var found: [(range: Range<Int>, token: TokenID)] = []
        var at = 0
        while at < text.count {
            if begins[Int(text[at])],
                let id = candidates[text[at]]?.first(where: { text[at...].starts(with: vocabulary[$0]) })
            {
                let end = at + vocabulary[id].count
                found.append((at..<end, id))
                at = end
            } else {
                at += 1
            }
        }
        return found
    }

    /// The text of `tokens`. Bytes that are no UTF-8 become U+FFFD as in Python's `errors="replace"`.
    public func decode(_ tokens: [TokenID]) -> String {
        var bytes: [UInt8] = []
        for token in tokens { bytes += textBytes(of: token) }
        return String(decoding: bytes, as: UTF8.self)
    }
}
