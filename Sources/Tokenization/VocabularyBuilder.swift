import Core

/// Collects tokens by id from files that give them in any order.
struct VocabularyBuilder {
    private var entries: [(kind: TokenKind, bytes: ArraySlice<UInt8>)] = []

    /// The first id that is not taken by anything below it.
    var count: Int { entries.count }

    /// Whether `id` is taken.
    func has(_ id: Int) -> Bool { entries.indices.contains(id) && entries[id].kind != .absent }

    /// The bytes of `id`.
    func bytes(_ id: Int) -> ArraySlice<UInt8> { entries.indices.contains(id) ? entries[id].bytes : [] }

    /// Sets token `id`, whatever it was before.
    mutating func set(_ id: Int, _ kind: TokenKind, _ bytes: [UInt8], source: String) throws {
        guard id >= 0, id < Vocabulary.countLimit else {
            throw Problem.invalid("\(source): token id \(id) is not between 0 and \(Vocabulary.countLimit - 1)")
        }
        guard !bytes.isEmpty else { throw Problem.invalid("\(source): token \(id) is empty") }
        if id >= entries.count {
            entries.append(contentsOf: repeatElement((.absent, []), count: id + 1 - entries.count))
        }
        entries[id] = (kind, bytes[...])
    }

    /// Counts ids below `count` as known even if they stand for nothing.
    mutating func extend(to count: Int) {
        if count > entries.count {
            entries.append(contentsOf: repeatElement((.absent, []), count: count - entries.count))
        }
    }

    /// The vocabulary, when every id is set.
    func finish(source: String) throws -> Vocabulary { try Vocabulary(entries, source: source) }

    /// Whether a token outside the merged vocabulary is a control token: files made by older converters call GLM's
    /// own turn markers user-defined, and those must never be matched in what a user types.
    static func isControl(_ name: String) -> Bool {
        Tokenizer.glmSpecials.contains(name) || (name.hasPrefix("<|") && name.hasSuffix("|>"))
    }
}

extension MergeRule {
    /// The rule that a list of merges asks for: tiktoken's when it names every way to make every token from two
    /// others in the order of the results (so conversions of rank files list them), else the list itself.
    static func best(for merges: [MergeList.Merge], in vocabulary: Vocabulary, wholePieces: Bool) -> MergeRule {
        let list = MergeRule.list(MergeList(merges), wholePieces: wholePieces)
        guard zip(merges, merges.dropFirst()).allSatisfy({ $0.result <= $1.result }) else { return list }
        var ways = 0
        vocabulary.withView { view in
            for id in 0..<TokenID(vocabulary.count) where vocabulary.kind(of: id) == .normal {
                vocabulary[id].withUnsafeBufferPointer { bytes in
                    for cut in 1..<max(bytes.count, 1) {
                        let left = view.token(UnsafeBufferPointer(rebasing: bytes[..<cut]))
                        let right = view.token(UnsafeBufferPointer(rebasing: bytes[cut...]))
                        if left >= 0 && right >= 0 { ways += 1 }
                    }
                }
            }
        }
        return ways == merges.count ? .ranks : list
    }

    /// Reads one merge, two tokens with a space between them.
    static func merge(_ left: some StringProtocol, _ right: some StringProtocol, in vocabulary: Vocabulary)
        -> MergeList.Merge?
    {
        guard let left = ByteAlphabet.bytes(of: left), let right = ByteAlphabet.bytes(of: right),
            let first = vocabulary.token(left), let second = vocabulary.token(right),
            let result = vocabulary.token(left + right)
        else { return nil }
        return MergeList.Merge(left: first, right: second, result: result)
    }

    /// Reads a merge spelled `left right`.
    static func merge(_ text: String, in vocabulary: Vocabulary) -> MergeList.Merge? {
        guard let space = text.unicodeScalars.firstIndex(of: " ") else { return nil }
        return merge(text[..<space], text[text.unicodeScalars.index(after: space)...], in: vocabulary)
    }
}
