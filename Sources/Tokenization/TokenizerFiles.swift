import Core

/// `tokenizer.model` in tiktoken's form: a line for each token, its bytes in base64, a space, its rank.
enum RankFile {
    /// Adds the tokens of a file.
    static func read(_ bytes: [UInt8], to builder: inout VocabularyBuilder, source: String) throws {
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        var lineOfBytes: [ArraySlice<UInt8>: Int] = [:]
        for (index, line) in lines.enumerated() {
            let line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            guard !line.isEmpty else { continue }
            let place = "\(source) line \(index + 1)"
            let fields = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            guard fields.count == 2, let token = base64(fields[0]), !token.isEmpty,
                let rank = Int(String(decoding: fields[1], as: UTF8.self)), rank >= 0
            else {
                throw Problem.invalid(
                    "\(place): expected a token in base64, a space and its rank; the file is damaged, or it is the "
                        + "SentencePiece model of ChatGLM2 or 3, which is not supported")
            }
            guard !builder.has(rank) else { throw Problem.invalid("\(place): rank \(rank) was given before") }
            if let before = lineOfBytes.updateValue(index + 1, forKey: token[...]) {
                throw Problem.invalid("\(place): the same token as in line \(before)")
            }
            try builder.set(rank, .normal, token, source: place)
        }
        for byte in UInt8.min...UInt8.max where lineOfBytes[[byte]] == nil {
            throw Problem.invalid(
                "\(source) line \(lines.count): the file ends without a token for byte \(byte); it is damaged or cut short"
            )
        }
    }

    /// Decodes base64 with its padding, or nil.
    static func base64(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        guard text.count % 4 == 0 else { return nil }
        let padding = text.suffix(2).count { $0 == UInt8(ascii: "=") }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 4 * 3)
        var bits: UInt32 = 0
        for (index, character) in text.dropLast(padding).enumerated() {
            guard let value = base64Value(character) else { return nil }
            bits = bits << 6 | value
            if index % 4 == 3 {
                bytes += [UInt8(truncatingIfNeeded: bits >> 16), UInt8(truncatingIfNeeded: bits >> 8)]
                bytes.append(UInt8(truncatingIfNeeded: bits))
            }
        }
        switch padding {
        case 1:
            bytes += [UInt8(truncatingIfNeeded: bits >> 10), UInt8(truncatingIfNeeded: bits >> 2)]
        case 2: bytes.append(UInt8(truncatingIfNeeded: bits >> 4))
        default: break
        }
        return bytes
    }

    private static func base64Value(_ character: UInt8) -> UInt32? {
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(character - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(character - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(character - UInt8(ascii: "0")) + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}

/// A token beside the merged vocabulary, as the files list them.
struct AddedToken {
    var id: Int
    var text: String
    var isSpecial = true
    var source: String

    /// Those of `tokenizer_config.json`: `added_tokens_decoder`, by id.
    static func inSettings(_ json: JSONValue?, source: String) throws -> [AddedToken] {
        guard let list = json?["added_tokens_decoder"] else { return [] }
        return try (list.members ?? []).map { member in
            guard let id = Int(member.key), let text = member.value["content"]?.string else {
                throw Problem.invalid(
                    "\(source): added_tokens_decoder['\(member.key)']: expected an id with its content")
            }
            return AddedToken(id: id, text: text, isSpecial: member.value["special"]?.bool ?? true, source: source)
        }
    }

    /// Those of `tokenizer.json`: `added_tokens`.
    static func inTokenizer(_ json: JSONValue, source: String) throws -> [AddedToken] {
        try (json["added_tokens"]?.elements ?? []).enumerated().map { index, token in
            guard let id = token["id"]?.integer, let text = token["content"]?.string else {
                throw Problem.invalid("\(source): added_tokens[\(index)]: expected an id and a content")
            }
            return AddedToken(id: id, text: text, isSpecial: token["special"]?.bool ?? true, source: source)
        }
    }

    /// Adds the token.
    func add(to builder: inout VocabularyBuilder) throws {
        let kind: TokenKind = isSpecial || VocabularyBuilder.isControl(text) ? .special : .literal
        try builder.set(id, kind, Array(text.utf8), source: source)
    }
}

/// The parts of a Hugging Face `tokenizer.json` that matter; anything that this room would do otherwise is refused.
struct HubTokenizer {
    let json: JSONValue
    let source: String
    let pattern: Pattern

    /// Checks a file.
    init(_ json: JSONValue, source: String) throws {
        self.json = json
        self.source = source
        let model = json["model"]
        guard model?["type"]?.string ?? "BPE" == "BPE", model?["vocab"]?.members != nil else {
            throw Problem.invalid("\(source): model: expected byte-level BPE with a vocab")
        }
        for key in ["unk_token", "continuing_subword_prefix", "end_of_word_suffix", "dropout"] {
            let value = model?[key]
            guard value == nil || value?.isNull == true || value?.string == "" else {
                throw Problem.invalid("\(source): model.\(key) is set, which is not supported")
            }
        }
        guard model?["byte_fallback"]?.bool != true, json["normalizer"] == nil || json["normalizer"]?.isNull == true
        else {
            throw Problem.invalid(
                "\(source): byte_fallback and normalizers are not supported; expected GLM-4's tokenizer")
        }
        pattern = try Self.pattern(json["pre_tokenizer"], source: source)
    }

    private static func pattern(_ json: JSONValue?, source: String) throws -> Pattern {
        let steps = json?["pretokenizers"]?.elements ?? []
        if steps.count == 2, steps[1]["type"]?.string == "ByteLevel", steps[1]["add_prefix_space"]?.bool != true {
            let usesPattern = steps[1]["use_regex"]?.bool ?? true
            if steps[0]["type"]?.string == "Split", steps[0]["behavior"]?.string == "Isolated", !usesPattern,
                steps[0]["invert"]?.bool != true, steps[0]["pattern"]?["Regex"]?.string == Pattern.glmExpression
            {
                return .glm
            }
            if steps[0]["type"]?.string == "Digits", steps[0]["individual_digits"]?.bool == true, usesPattern {
                return .smollm
            }
        }
        throw Problem.invalid(
            "\(source): pre_tokenizer is neither GLM-4's nor SmolLM's; other patterns are not supported")
    }

    /// Adds the merged vocabulary. Names outside the byte alphabet are those of added tokens, which come later.
    func readVocabulary(to builder: inout VocabularyBuilder) throws {
        for member in json["model"]?["vocab"]?.members ?? [] {
            let place = "\(source): vocab '\(member.key.prefix(80))'"
            guard let id = member.value.integer else { throw Problem.invalid("\(place): expected an id") }
            guard !builder.has(id) else { throw Problem.invalid("\(place): id \(id) was given before") }
            if let bytes = ByteAlphabet.bytes(of: member.key) {
                try builder.set(id, .normal, bytes, source: place)
            } else {
                try builder.set(id, .special, Array(member.key.utf8), source: place)
            }
        }
    }

    /// The merges, when the vocabulary is known.
    func rule(_ vocabulary: Vocabulary) throws -> MergeRule {
        let model = json["model"]
        var merges: [MergeList.Merge] = []
        for (index, entry) in (model?["merges"]?.elements ?? []).enumerated() {
            let merge: MergeList.Merge?
            if let pair = entry.elements?.compactMap(\.string), pair.count == 2 {
                merge = MergeRule.merge(pair[0], pair[1], in: vocabulary)
            } else {
                merge = MergeRule.merge(entry.string ?? "", in: vocabulary)
            }
            guard let merge else {
                throw Problem.invalid(
                    "\(source): merges[\(index)] '\(entry.text().prefix(80))' doesn't name two tokens that make a third"
                )
            }
            merges.append(merge)
        }
        let wholePieces = model?["ignore_merges"]?.bool == true
        return MergeRule.best(for: merges, in: vocabulary, wholePieces: wholePieces)
    }
}
