public import Checkpoint
import Core

extension Tokenizer {
    /// A tokenizer from a GGUF file's metadata.
    public init(gguf metadata: [String: ConfigValue]) throws {
        guard let tokens = metadata["tokenizer.ggml.tokens"]?.strings else {
            throw Problem.invalid(
                "the GGUF file has no tokenizer.ggml.tokens, so text can't become tokens; give token ids")
        }
        // The list is a key of our own: models made here have more stop tokens than GGUF has keys for.
        let ends =
            ["eos", "eot", "eom"].compactMap { metadata["tokenizer.ggml.\($0)_token_id"]?.integer }
            + (metadata["tokenizer.ggml.stop_token_ids"]?.integers ?? [])
        let types = metadata["tokenizer.ggml.token_type"]?.integers ?? []
        try self.init(
            ggufTokens: tokens, types: types.map { Int32(truncatingIfNeeded: $0) },
            merges: metadata["tokenizer.ggml.merges"]?.strings ?? [],
            pre: metadata["tokenizer.ggml.pre"]?.string ?? "default",
            model: metadata["tokenizer.ggml.model"]?.string ?? "none", endIDs: ends,
            chatTemplate: metadata["tokenizer.chat_template"]?.string)
    }

    /// A tokenizer from a GGUF file's metadata.
    ///
    /// - Parameters:
    ///   - ggufTokens: `tokenizer.ggml.tokens`, by id.
    ///   - types: `tokenizer.ggml.token_type`, one for each token; empty when the file has none (all normal).
    ///   - merges: `tokenizer.ggml.merges`; GLM's patterns use the ids as ranks and need none.
    ///   - pre: `tokenizer.ggml.pre`: `chatglm-bpe`, `glm4` or `smollm`.
    ///   - model: `tokenizer.ggml.model`: `gpt2`.
    ///   - endIDs: `tokenizer.ggml.eos_token_id`, `eot_token_id`, `eom_token_id`, those that are there.
    ///   - chatTemplate: `tokenizer.chat_template`.
    public init(
        ggufTokens: [String], types: [Int32], merges: [String], pre: String, model: String, endIDs: [Int],
        chatTemplate: String?
    ) throws {
        guard model == "gpt2" else {
            throw Problem.invalid(
                "tokenizer.ggml.model is '\(model)'; only byte-level BPE ('gpt2') is supported, "
                    + "so take a GLM-4 or SmolLM2 file")
        }
        guard !ggufTokens.isEmpty else { throw Problem.invalid("tokenizer.ggml.tokens is empty") }
        guard types.isEmpty || types.count == ggufTokens.count else {
            throw Problem.invalid(
                "tokenizer.ggml.token_type has \(types.count) entries for \(ggufTokens.count) tokens; the file is damaged"
            )
        }
        let vocabulary = try Self.ggufVocabulary(ggufTokens, types)
        let pattern: Pattern
        let rule: MergeRule
        switch pre {
        case "chatglm-bpe", "glm4":
            pattern = .glm
            rule = .ranks
        case "smollm":
            pattern = .smollm
            var list: [MergeList.Merge] = []
            list.reserveCapacity(merges.count)
            for (index, text) in merges.enumerated() {
                guard let merge = MergeRule.merge(text, in: vocabulary) else {
                    throw Problem.invalid(
                        "tokenizer.ggml.merges[\(index)] '\(text.prefix(80))' doesn't name two tokens that make a third"
                    )
                }
                list.append(merge)
            }
            rule = .list(MergeList(list), wholePieces: false)
        default:
            throw Problem.invalid(
                "tokenizer.ggml.pre is '\(pre)'; supported are chatglm-bpe, glm4 and smollm")
        }
        let template: ChatTemplate =
            switch pre {
            case _ where chatTemplate == ChatTemplate.plain.rawValue: .plain
            case "glm4": .glm40414
            case "chatglm-bpe": .glm4Chat
            default: chatTemplate?.contains("<|im_start|>") == true ? .chatml : .plain
            }
        self.init(vocabulary: vocabulary, pattern: pattern, rule: rule, ends: endIDs, template: template)
    }

    private static func ggufVocabulary(_ tokens: [String], _ types: [Int32]) throws -> Vocabulary {
        var builder = VocabularyBuilder()
        for (id, text) in tokens.enumerated() {
            let place = "tokenizer.ggml.tokens[\(id)]"
            let type = types.isEmpty ? 1 : types[id]
            switch type {
            case 1, 6:
                guard let bytes = ByteAlphabet.bytes(of: text) else {
                    throw Problem.invalid("\(place) '\(text.prefix(80))' is not in the byte alphabet of GPT-2")
                }
                try builder.set(id, .normal, bytes, source: place)
            case 2, 3: try builder.set(id, .special, Array(text.utf8), source: place)
            case 4:
                let kind: TokenKind = VocabularyBuilder.isControl(text) ? .special : .literal
                try builder.set(id, kind, Array(text.utf8), source: place)
            case 5: builder.extend(to: id + 1)
            default: throw Problem.invalid("tokenizer.ggml.token_type[\(id)] is \(type); expected 1 to 6")
            }
        }
        return try builder.finish(source: "tokenizer.ggml.tokens")
    }
}
