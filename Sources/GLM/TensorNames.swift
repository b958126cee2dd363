public import Checkpoint
import Core

/// Rows of a stored tensor that make up one matrix or vector of the model.
public struct MatrixPlace: Sendable, Hashable {
    /// The tensor's name.
    public var tensor: String
    /// The rows; of a stored vector, the elements.
    public var rows: Range<Int>

    /// `rows` of the tensor called `tensor`.
    public init(tensor: String, rows: Range<Int>) {
        self.tensor = tensor
        self.rows = rows
    }
}

/// Where every matrix of a model is stored.
///
/// Three spellings of the same model: the original ChatGLM files and GGUF's fuse Q, K and V in one matrix (all Q rows,
/// then all K, then all V), Hugging Face's keep them apart; all fuse gate and up (gate first), except GGUF's llama.
/// GGUF shifts a name: its `post_attention_norm` comes before the residual add, Hugging Face's
/// `post_attention_layernorm` is the norm before the feed-forward.
public struct TensorNames: Sendable {
    private enum Spelling {
        case original, huggingFace, gguf
    }

    private let configuration: Configuration
    private let spelling: Spelling
    private let fusedQKV: Bool
    private let fusedGateUp: Bool

    /// Finds the spelling and checks that every tensor is there with the right shape and a supported type.
    public init(configuration: Configuration, tensors: [String: TensorInfo]) throws {
        self.configuration = configuration
        if tensors["transformer.embedding.word_embeddings.weight"] != nil {
            spelling = .original
        } else if tensors["token_embd.weight"] != nil {
            spelling = .gguf
        } else {
            spelling = .huggingFace
        }
        switch spelling {
        case .original:
            fusedQKV = true
            fusedGateUp = true
        case .huggingFace:
            fusedQKV = false
            fusedGateUp = true
        case .gguf:
            fusedQKV = tensors["blk.0.attn_qkv.weight"] != nil
            fusedGateUp = tensors["blk.0.ffn_gate.weight"] == nil
        }
        try check(tensors)
    }

    // MARK: Outside the layers

    /// The embedding, [vocabulary, hidden].
    public var embedding: MatrixPlace {
        let name =
            switch spelling {
            case .original: "transformer.embedding.word_embeddings.weight"
            case .huggingFace: "model.embed_tokens.weight"
            case .gguf: "token_embd.weight"
            }
        return MatrixPlace(tensor: name, rows: 0..<configuration.vocabulary)
    }

    /// The last norm, [hidden].
    public var finalNorm: String {
        switch spelling {
        case .original: "transformer.encoder.final_layernorm.weight"
        case .huggingFace: "model.norm.weight"
        case .gguf: "output_norm.weight"
        }
    }

    /// The output matrix, [vocabulary, hidden]: the embedding when they are tied.
    public var output: MatrixPlace {
        if configuration.tiedEmbeddings { return embedding }
        let name =
            switch spelling {
            case .original: "transformer.output_layer.weight"
            case .huggingFace: "lm_head.weight"
            case .gguf: "output.weight"
            }
        return MatrixPlace(tensor: name, rows: 0..<configuration.vocabulary)
    }

    // MARK: Attention

    private var queryRows: Int { configuration.heads * configuration.headDim }
    private var keyRows: Int { configuration.kvHeads * configuration.headDim }

    private func projection(_ layer: Int, _ letter: String, _ part: String) -> MatrixPlace {
        let rows: Range<Int> =
            switch letter {
            case "q": 0..<queryRows
            case "k": queryRows..<queryRows + keyRows
            default: queryRows + keyRows..<queryRows + 2 * keyRows
            }
        let own = 0..<rows.count
        return switch spelling {
        case .original:
            MatrixPlace(tensor: prefix(layer) + "self_attention.query_key_value.\(part)", rows: rows)
        case .huggingFace: MatrixPlace(tensor: prefix(layer) + "self_attn.\(letter)_proj.\(part)", rows: own)
        case .gguf where fusedQKV: MatrixPlace(tensor: prefix(layer) + "attn_qkv.\(part)", rows: rows)
        case .gguf: MatrixPlace(tensor: prefix(layer) + "attn_\(letter).\(part)", rows: own)
        }
    }

    private func prefix(_ layer: Int) -> String {
        switch spelling {
        case .original: "transformer.encoder.layers.\(layer)."
        case .huggingFace: "model.layers.\(layer)."
        case .gguf: "blk.\(layer)."
        }
    }

    /// The query projection, [heads headDim, hidden].
    public func q(_ layer: Int) -> MatrixPlace { projection(layer, "q", "weight") }
    /// The key projection, [kvHeads headDim, hidden].
    public func k(_ layer: Int) -> MatrixPlace { projection(layer, "k", "weight") }
    /// The value projection, [kvHeads headDim, hidden].
    public func v(_ layer: Int) -> MatrixPlace { projection(layer, "v", "weight") }
    /// The query bias, [heads headDim].
    public func qBias(_ layer: Int) -> MatrixPlace? { bias(layer, "q") }
    /// The key bias, [kvHeads headDim].
    public func kBias(_ layer: Int) -> MatrixPlace? { bias(layer, "k") }
    /// The value bias, [kvHeads headDim].
    public func vBias(_ layer: Int) -> MatrixPlace? { bias(layer, "v") }

    private func bias(_ layer: Int, _ letter: String) -> MatrixPlace? {
        configuration.qkvBias ? projection(layer, letter, "bias") : nil
    }

    /// The attention's output projection, [hidden, heads headDim].
    public func o(_ layer: Int) -> MatrixPlace {
        hiddenRows(layer, original: "self_attention.dense", huggingFace: "self_attn.o_proj", gguf: "attn_output")
    }

    private func hiddenRows(_ layer: Int, original: String, huggingFace: String, gguf: String) -> MatrixPlace {
        MatrixPlace(tensor: name(layer, original, huggingFace, gguf), rows: 0..<configuration.hidden)
    }

    private func name(_ layer: Int, _ original: String, _ huggingFace: String, _ gguf: String) -> String {
        let name =
            switch spelling {
            case .original: original
            case .huggingFace: huggingFace
            case .gguf: gguf
            }
        return prefix(layer) + name + ".weight"
    }

    // MARK: Feed-forward

    /// The gate's matrix, [ffn, hidden].
    public func gate(_ layer: Int) -> MatrixPlace {
        MatrixPlace(
            tensor: fusedGateUp ? gateUp(layer) : prefix(layer) + "ffn_gate.weight", rows: 0..<configuration.ffn)
    }

    /// The matrix that the gate multiplies, [ffn, hidden].
    public func up(_ layer: Int) -> MatrixPlace {
        let first = fusedGateUp ? configuration.ffn : 0
        return MatrixPlace(tensor: gateUp(layer), rows: first..<first + configuration.ffn)
    }

    private func gateUp(_ layer: Int) -> String { name(layer, "mlp.dense_h_to_4h", "mlp.gate_up_proj", "ffn_up") }

    /// The way back, [hidden, ffn].
    public func down(_ layer: Int) -> MatrixPlace {
        hiddenRows(layer, original: "mlp.dense_4h_to_h", huggingFace: "mlp.down_proj", gguf: "ffn_down")
    }

    // MARK: Norms

    /// The norm before attention, [hidden].
    public func inputNorm(_ layer: Int) -> String { name(layer, "input_layernorm", "input_layernorm", "attn_norm") }

    /// The norm before the feed-forward, [hidden].
    public func postAttentionNorm(_ layer: Int) -> String {
        name(layer, "post_attention_layernorm", "post_attention_layernorm", "ffn_norm")
    }

    /// The norm of the attention's result before it is added, [hidden]; glm4 only.
    public func postSelfAttentionNorm(_ layer: Int) -> String? {
        guard configuration.sandwichNorms else { return nil }
        return name(layer, "post_self_attn_layernorm", "post_self_attn_layernorm", "post_attention_norm")
    }

    /// The norm of the feed-forward's result before it is added, [hidden]; glm4 only.
    public func postMLPNorm(_ layer: Int) -> String? {
        guard configuration.sandwichNorms else { return nil }
        return name(layer, "post_mlp_layernorm", "post_mlp_layernorm", "post_ffw_norm")
    }

    // MARK: Checks

    private func check(_ tensors: [String: TensorInfo]) throws {
        let c = configuration
        let vocabularyKey = spelling == .original ? "padded_vocab_size" : "vocab_size"
        if let stored = tensors[embedding.tensor], stored.shape.count == 2, stored.shape[0] != c.vocabulary {
            throw Problem.invalid(
                "tensor \(embedding.tensor) has \(stored.shape[0]) rows, but \(vocabularyKey) is \(c.vocabulary)")
        }
        func expect(_ name: String, _ shape: [Int]) throws {
            guard let found = tensors[name] else {
                throw Problem.invalid(
                    "tensor \(name) is missing: the model of \(c.layers) layers needs it with the shape \(shape)")
            }
            guard found.shape == shape else {
                throw Problem.invalid(
                    "tensor \(name) has the shape \(found.shape), the configuration wants \(shape); do they belong together?"
                )
            }
            guard found.type.isSupported else {
                throw Problem.invalid(
                    "tensor \(name) is \(found.type.rawValue), which this version cannot read yet; use a file of F32, F16, BF16, Q8_0, Q6_K, Q5_K, Q5_1, Q5_0, Q4_K, Q4_1 or Q4_0"
                )
            }
        }
        try expect(embedding.tensor, [c.vocabulary, c.hidden])
        try expect(finalNorm, [c.hidden])
        try expect(output.tensor, [c.vocabulary, c.hidden])
        for layer in 0..<c.layers {
            try expect(inputNorm(layer), [c.hidden])
            if fusedQKV {
                try expect(q(layer).tensor, [queryRows + 2 * keyRows, c.hidden])
                if let bias = qBias(layer) { try expect(bias.tensor, [queryRows + 2 * keyRows]) }
            } else {
                for place in [q(layer), k(layer), v(layer)] { try expect(place.tensor, [place.rows.count, c.hidden]) }
                for bias in [qBias(layer), kBias(layer), vBias(layer)] {
                    if let bias { try expect(bias.tensor, [bias.rows.count]) }
                }
            }
            try expect(o(layer).tensor, [c.hidden, queryRows])
            try expect(postAttentionNorm(layer), [c.hidden])
            try expect(gate(layer).tensor, [fusedGateUp ? 2 * c.ffn : c.ffn, c.hidden])
            try expect(up(layer).tensor, [fusedGateUp ? 2 * c.ffn : c.ffn, c.hidden])
            try expect(down(layer).tensor, [c.hidden, c.ffn])
            for norm in [postSelfAttentionNorm(layer), postMLPNorm(layer)] {
                if let norm { try expect(norm, [c.hidden]) }
            }
        }
    }
}
