import Checkpoint
import Core

/// The end tokens of the published GLM-4 models: <|endoftext|>, <|user|> and <|observation|>.
private let publishedStops: [TokenID] = [151329, 151336, 151338]

extension Configuration {
    /// Reads config.json: of the original ChatGLM models, or of their Hugging Face versions.
    init(configJSON checkpoint: Checkpoint) throws {
        let source = ConfigurationSource(checkpoint)
        let type = try source.string("model_type")
        guard let type, ["chatglm", "glm", "glm4"].contains(type) else {
            throw source.problem("model_type is \(type?.printable ?? "missing"), expected chatglm, glm or glm4")
        }
        for key in ["vision_config", "quantization_config", "pre_seq_len", "quantization_bit"] {
            try Self.refuse(key, in: source)
        }
        self = type == "chatglm" ? try Self.original(source) : try Self.huggingFace(source, glm4: type == "glm4")
        name = checkpoint.name
        stopTokens = try source.tokens("eos_token_id")
        if !source.has("eos_token_id"), vocabulary >= 151343 { stopTokens = publishedStops }
    }

    /// Keys whose meaning the forward pass does not have; harmless values of them pass.
    private static func refuse(_ key: String, in source: ConfigurationSource) throws {
        guard let (_, value) = source.value([key]) else { return }
        switch key {
        case "vision_config":
            throw source.problem("vision_config: this is a multi-modal model, only text models are supported")
        case "pre_seq_len":
            if value.integer == 0 { return }
            throw source.problem("pre_seq_len is \(value.summary): prefix tuning is not supported; use the base model")
        case "quantization_bit":
            if value.integer == 0 { return }
            throw source.problem(
                "quantization_bit is \(value.summary): such weights are not supported; use a GGUF file")
        default:
            throw source.problem("\(key): such weights are not supported; use the unquantised model or a GGUF file")
        }
    }

    /// Keys of the original remote code, with its defaults.
    private static func original(_ source: ConfigurationSource) throws -> Configuration {
        for (key, wanted) in [
            ("original_rope", true), ("add_bias_linear", false), ("post_layer_norm", true), ("rmsnorm", true),
            ("apply_residual_connection_post_layernorm", false),
        ] {
            if let found = try source.bool(key), found != wanted {
                throw source.problem("\(key) is \(found), which is not supported; expected \(wanted)")
            }
        }
        let layers = try source.required("num_layers", "num_hidden_layers", in: Bounds.layers)
        if let other = try source.integer("num_hidden_layers", in: Bounds.layers), other != layers {
            throw source.problem("num_layers is \(layers), but num_hidden_layers is \(other)")
        }
        let heads = try source.required("num_attention_heads", in: Bounds.heads)
        let headDim = try source.integer("kv_channels", in: Bounds.headDim) ?? 128
        let grouped = try source.bool("multi_query_attention") ?? false
        let groups = try source.integer("multi_query_group_num", in: Bounds.heads) ?? 1
        let context = try context(source.integer("seq_length", in: Bounds.context) ?? 2048, configJSON: source)
        let ratio = try source.number("rope_ratio", in: 1e-3...1e9) ?? 1
        return Configuration(
            architecture: .chatglm, name: "", layers: layers,
            hidden: try source.required("hidden_size", in: Bounds.hidden), heads: heads,
            kvHeads: grouped ? groups : heads, headDim: headDim,
            ffn: try source.required("ffn_hidden_size", in: Bounds.ffn),
            vocabulary: try source.required("padded_vocab_size", "vocab_size", in: Bounds.vocabulary),
            contextLength: context.length,
            eps: Float(try source.number("layernorm_epsilon", in: 0...1) ?? 1e-5), ropeTheta: 10_000 * ratio,
            ropeScaling: context.scaling, rotaryDim: headDim / 2, qkvBias: try source.bool("add_qkv_bias") ?? false,
            sandwichNorms: false, tiedEmbeddings: try source.bool("tie_word_embeddings") ?? false, stopTokens: [],
            warnings: context.warnings)
    }

    /// Keys of `GlmConfig` and `Glm4Config`, with their defaults.
    private static func huggingFace(_ source: ConfigurationSource, glm4: Bool) throws -> Configuration {
        if let act = try source.string("hidden_act"), act != "silu" {
            throw source.problem("hidden_act is \(act.printable), which is not supported; expected silu")
        }
        // Newer files keep the rotary keys in an object of their own.
        let rope = try source.object("rope_parameters")
        let partialBounds = 0.0...1.0
        let partial =
            try rope?.number("partial_rotary_factor", in: partialBounds)
            ?? source.number("partial_rotary_factor", in: partialBounds) ?? 0.5
        let thetaBounds = 1.0...1e12
        var theta =
            try rope?.number("rope_theta", in: thetaBounds) ?? source.number("rope_theta", in: thetaBounds) ?? 10_000
        let hidden = try source.required("hidden_size", in: Bounds.hidden)
        let heads = try source.required("num_attention_heads", in: Bounds.heads)
        let headDim = try source.integer("head_dim", in: Bounds.headDim) ?? hidden / heads
        guard Bounds.headDim.contains(headDim) else {
            throw source.problem("head_dim is missing and hidden_size \(hidden) gives \(headDim) for \(heads) heads")
        }
        let context = try context(
            source.integer("max_position_embeddings", in: Bounds.context) ?? (glm4 ? 32_768 : 131_072),
            configJSON: source)
        var warnings = context.warnings
        if !glm4, try source.bool("rope_literal") != true {
            theta = correctedTheta(
                theta, context: context.original, key: "rope_theta", literal: "rope_literal", &warnings)
        }
        return Configuration(
            architecture: glm4 ? .glm4 : .glm, name: "",
            layers: try source.required("num_hidden_layers", in: Bounds.layers), hidden: hidden, heads: heads,
            kvHeads: try source.required("num_key_value_heads", in: Bounds.heads), headDim: headDim,
            ffn: try source.required("intermediate_size", in: Bounds.ffn),
            vocabulary: try source.required("vocab_size", in: Bounds.vocabulary), contextLength: context.length,
            eps: Float(try source.number("rms_norm_eps", in: 0...1) ?? (glm4 ? 1e-5 : 1.5625e-7)), ropeTheta: theta,
            ropeScaling: context.scaling, rotaryDim: Int((Double(headDim) * partial).rounded(.down)),
            qkvBias: try source.bool("attention_bias") ?? true, sandwichNorms: glm4,
            tiedEmbeddings: try source.bool("tie_word_embeddings") ?? false, stopTokens: [], warnings: warnings)
    }

    /// The base that the weights were trained with, where the published converter lost `rope_ratio`.
    ///
    /// GLM-4-9B-Chat in the Hugging Face layout says 10000, the original says 500 times that, and the weights need it.
    static func correctedTheta(
        _ theta: Double, context: Int, key: String, literal: String, _ warnings: inout [String]
    ) -> Double {
        guard theta == 10_000, context >= 131_072 else { return theta }
        let right = context >= 1_048_576 ? 1e8 : 5e6
        warnings.append(
            "\(key) 10000 is a known mistake of converted files with a context of \(context): \(Int(right)) is used; set \(literal) to true to take the file literally"
        )
        return right
    }
}
