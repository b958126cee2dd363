import Checkpoint
import Core

extension MadeModel {
    /// What a GGUF file says of the model. `chatglm.rope.literal` and `tokenizer.ggml.stop_token_ids` are keys of ours.
    var ggufMetadata: [(key: String, value: GGUFField)] {
        let c = configuration
        let p = c.architecture == .glm4 ? "glm4" : "chatglm"
        var fields: [(key: String, value: GGUFField)] = [
            ("general.architecture", .string(p)), ("general.name", .string(c.name)),
            ("\(p).context_length", .u32(UInt32(c.contextLength))), ("\(p).embedding_length", .u32(UInt32(c.hidden))),
            ("\(p).feed_forward_length", .u32(UInt32(c.ffn))), ("\(p).block_count", .u32(UInt32(c.layers))),
            ("\(p).attention.head_count", .u32(UInt32(c.heads))),
            ("\(p).attention.head_count_kv", .u32(UInt32(c.kvHeads))),
            ("\(p).attention.layer_norm_rms_epsilon", .f32(c.eps)),
            ("\(p).attention.key_length", .u32(UInt32(c.headDim))),
            ("\(p).attention.value_length", .u32(UInt32(c.headDim))),
            ("\(p).rope.dimension_count", .u32(UInt32(c.rotaryDim))),
            ("\(p).rope.freq_base", .f32(Float(c.ropeTheta))), ("general.quantization_version", .u32(2)),
            ("tokenizer.ggml.stop_token_ids", .i32s(c.stopTokens)),
        ]
        if isRopeLiteral { fields.append(("\(p).rope.literal", .bool(true))) }
        if let tokens { fields += tokenizerFields(tokens, pre: p == "glm4" ? "glm4" : "chatglm-bpe") }
        if let chatTemplate { fields.append(("tokenizer.chat_template", .string(chatTemplate))) }
        return fields
    }

    private func tokenizerFields(_ tokens: [[UInt8]], pre: String) -> [(key: String, value: GGUFField)] {
        let spelled = tokens.map(Self.spelled)
        let unused = max(0, configuration.vocabulary - tokens.count - Self.specials.count)
        let padding = (0..<unused).map { "[PAD\(tokens.count + Self.specials.count + $0)]" }
        let types =
            [Int32](repeating: 1, count: tokens.count) + [Int32](repeating: 3, count: Self.specials.count)
            + [Int32](repeating: 5, count: unused)
        let first = UInt32(tokens.count)
        return [
            ("tokenizer.ggml.model", .string("gpt2")), ("tokenizer.ggml.pre", .string(pre)),
            ("tokenizer.ggml.tokens", .strings(spelled + Self.specials + padding)),
            ("tokenizer.ggml.token_type", .i32s(types)),
            ("tokenizer.ggml.merges", .strings(Self.merges(tokens, spelled))),
            ("tokenizer.ggml.eos_token_id", .u32(first)), ("tokenizer.ggml.padding_token_id", .u32(first)),
            ("tokenizer.ggml.unknown_token_id", .u32(first)), ("tokenizer.ggml.eot_token_id", .u32(first + 7)),
            ("tokenizer.ggml.eom_token_id", .u32(first + 9)), ("tokenizer.ggml.add_bos_token", .bool(false)),
        ]
    }

    /// Every way to make a token of two others, in the order of the results: the rank rule as a list.
    private static func merges(_ tokens: [[UInt8]], _ spelled: [String]) -> [String] {
        var index: [[UInt8]: Int] = [:]
        for (i, token) in tokens.enumerated() { index[token] = i }
        var merges: [String] = []
        for token in tokens where token.count > 1 {
            for cut in 1..<token.count {
                guard let left = index[Array(token[..<cut])], let right = index[Array(token[cut...])] else { continue }
                merges.append("\(spelled[left]) \(spelled[right])")
            }
        }
        return merges
    }

    /// GPT-2's alphabet: printable bytes are themselves, the others follow from U+0100.
    private static let alphabet: [Unicode.Scalar] = {
        var alphabet = (0...255).map { Unicode.Scalar(UInt8($0)) }
        let unprintable = byteOrder.dropFirst(188)
        for (offset, byte) in unprintable.enumerated() {
            alphabet[Int(byte)] = Unicode.Scalar(UInt32(0x100 + offset)) ?? " "
        }
        return alphabet
    }()

    private static func spelled(_ token: [UInt8]) -> String {
        var text = ""
        for byte in token { text.unicodeScalars.append(alphabet[Int(byte)]) }
        return text
    }

    /// So many tokens: the bytes, then made-up words of lower-case letters, each with and without a space before it.
    static func words(count: Int) -> [[UInt8]] {
        var tokens = byteOrder.map { [$0] }
        let letters = Array(UInt8(ascii: "a")...UInt8(ascii: "z"))
        var words = letters.map { [$0] }
        let space = UInt8(ascii: " ")
        while tokens.count < count {
            for word in words { tokens.append([space] + word) }
            let longer = words.lazy.flatMap { word in letters.lazy.map { word + [$0] } }
            words = Array(longer.prefix(count))
            tokens += words
        }
        return Array(tokens.prefix(count))
    }
}
