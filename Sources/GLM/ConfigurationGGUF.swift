import Checkpoint
import Core

extension Configuration {
    /// Reads the metadata of a GGUF file.
    init(gguf checkpoint: Checkpoint) throws {
        let source = ConfigurationSource(checkpoint)
        let name = try source.string("general.architecture")
        let architecture: Architecture
        switch name {
        case "chatglm": architecture = .chatglm
        case "glm4": architecture = .glm4
        case "llama": architecture = .llama
        default:
            throw source.problem(
                "general.architecture is \(name?.printable ?? "missing"), expected chatglm, glm4 or llama")
        }
        let prefix = architecture.rawValue
        try Self.refuse(prefix, in: source, tensors: checkpoint.tensors)
        let hidden = try source.required("\(prefix).embedding_length", in: Bounds.hidden)
        let heads = try source.required("\(prefix).attention.head_count", in: Bounds.heads)
        let headDim = try source.integer("\(prefix).attention.key_length", in: Bounds.headDim) ?? hidden / heads
        let valueDim = try source.integer("\(prefix).attention.value_length", in: Bounds.headDim) ?? headDim
        guard Bounds.headDim.contains(headDim), valueDim == headDim else {
            throw source.problem("heads of \(headDim) for keys and \(valueDim) for values are not supported")
        }
        let context = try Self.context(
            source.required("\(prefix).context_length", in: Bounds.context), gguf: source, prefix: prefix)
        let thetaKey = "\(prefix).rope.freq_base"
        var theta = try source.number(thetaKey, in: 1...1e12) ?? 10_000
        var warnings = context.warnings
        if architecture == .chatglm, try source.bool("chatglm.rope.literal") != true {
            theta = Self.correctedTheta(
                theta, context: context.original, key: thetaKey, literal: "chatglm.rope.literal", &warnings)
        }
        let vocabulary = try Self.vocabulary(source, checkpoint)
        let fullRotary = architecture == .llama ? headDim : headDim / 2
        self.init(
            architecture: architecture, name: (try source.string("general.name") ?? checkpoint.name).printable,
            layers: try source.required("\(prefix).block_count", in: Bounds.layers), hidden: hidden, heads: heads,
            kvHeads: try source.integer("\(prefix).attention.head_count_kv", in: Bounds.heads) ?? heads,
            headDim: headDim, ffn: try source.required("\(prefix).feed_forward_length", in: Bounds.ffn),
            vocabulary: vocabulary, contextLength: context.length,
            eps: Float(try source.number("\(prefix).attention.layer_norm_rms_epsilon", in: 0...1) ?? 1e-5),
            ropeTheta: theta, ropeScaling: context.scaling,
            rotaryDim: try source.integer("\(prefix).rope.dimension_count", in: Bounds.headDim) ?? fullRotary,
            qkvBias: checkpoint.tensors["blk.0.attn_qkv.bias"] != nil || checkpoint.tensors["blk.0.attn_q.bias"] != nil,
            sandwichNorms: architecture == .glm4, tiedEmbeddings: checkpoint.tensors["output.weight"] == nil,
            stopTokens: try Self.stops(source, architecture), warnings: warnings)
    }

    /// Metadata and tensors whose meaning the forward pass does not have.
    private static func refuse(
        _ prefix: String, in source: ConfigurationSource, tensors: [String: TensorInfo]
    ) throws {
        for key in ["expert_count", "attention.sliding_window"] {
            if let count = try source.integer("\(prefix).\(key)", in: 0...Int.max), count > 0 {
                throw source.problem("\(prefix).\(key) is \(count), which is not supported")
            }
        }
        for name in ["rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"]
        where tensors[name] != nil {
            throw source.problem("tensor \(name): frequencies of its own are not supported")
        }
        if prefix == "llama", let bias = tensors.keys.filter({ $0.hasSuffix(".bias") }).min() {
            throw source.problem("tensor \(bias): biases are not supported in llama models")
        }
    }

    /// Rows of the embedding; a tokenizer with more tokens than that cannot be served.
    private static func vocabulary(_ source: ConfigurationSource, _ checkpoint: Checkpoint) throws -> Int {
        guard let embedding = checkpoint.tensors["token_embd.weight"] else {
            throw source.problem("tensor token_embd.weight is missing")
        }
        guard embedding.shape.count == 2, Bounds.vocabulary.contains(embedding.rows) else {
            throw source.problem(
                "tensor token_embd.weight has the shape \(embedding.shape), expected [vocabulary, hidden]")
        }
        if let tokens = source.value(["tokenizer.ggml.tokens"])?.value, case .packed(let list) = tokens,
            list.count > embedding.rows
        {
            throw source.problem("tokenizer.ggml.tokens has \(list.count) entries for \(embedding.rows) embedding rows")
        }
        return embedding.rows
    }

    /// The stop tokens that the keys name, and GLM's three by their names: converters differ in which keys they write.
    private static func stops(_ source: ConfigurationSource, _ architecture: Architecture) throws -> [TokenID] {
        var stops: Set<TokenID> = []
        for key in ["eos_token_id", "eot_token_id", "eom_token_id", "stop_token_ids"] {
            stops.formUnion(try source.tokens("tokenizer.ggml.\(key)"))
        }
        if architecture != .llama, let tokens = source.value(["tokenizer.ggml.tokens"])?.value.strings {
            let names: Set<String> = ["<|endoftext|>", "<|user|>", "<|observation|>"]
            for (id, token) in tokens.enumerated() where names.contains(token) {
                if let id = TokenID(exactly: id) { stops.insert(id) }
            }
        }
        return stops.sorted()
    }
}
