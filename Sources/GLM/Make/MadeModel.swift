import Checkpoint
import Core
import FoundationEssentials
import Glibc

/// A model that is made here, not downloaded: its files but for the weights.
struct MadeModel {
    /// Dimensions and habits.
    var configuration: Configuration
    /// The vocabulary's tokens in rank order, without special tokens; nil when there is no room for one.
    var tokens: [[UInt8]]?
    /// A chat template of ours, by name.
    var chatTemplate: String?
    /// Whether rope_theta is meant as written.
    var isRopeLiteral = false

    /// The special tokens of GLM-4 in the order of their ids, which follow the ranks.
    static let specials = [
        "<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>", "<|assistant|>",
        "<|observation|>", "<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>",
    ]

    /// The ids of <|endoftext|>, <|user|> and <|observation|> behind so many ranks.
    static func stops(afterRanks ranks: Int) -> [TokenID] { [0, 7, 9].map { TokenID(ranks + $0) } }

    /// The single bytes in the order of GLM-4's first 256 ranks: the printable ones of GPT-2's alphabet first.
    static let byteOrder: [UInt8] = {
        let printable = Array(33...126) + Array(161...172) + Array(174...255) as [UInt8]
        return printable + (0...255).filter { !printable.contains($0) }
    }()

    // MARK: Tensors

    /// Every tensor with its Hugging Face name and shape, sorted by name.
    var tensors: [(name: String, shape: [Int])] {
        let c = configuration
        var tensors: [(name: String, shape: [Int])] = [
            ("model.embed_tokens.weight", [c.vocabulary, c.hidden]), ("model.norm.weight", [c.hidden]),
            ("lm_head.weight", [c.vocabulary, c.hidden]),
        ]
        for layer in 0..<c.layers {
            let p = "model.layers.\(layer)."
            for (letter, heads) in [("q", c.heads), ("k", c.kvHeads), ("v", c.kvHeads)] {
                tensors.append((p + "self_attn.\(letter)_proj.weight", [heads * c.headDim, c.hidden]))
                if c.qkvBias { tensors.append((p + "self_attn.\(letter)_proj.bias", [heads * c.headDim])) }
            }
            tensors.append((p + "self_attn.o_proj.weight", [c.hidden, c.heads * c.headDim]))
            tensors.append((p + "mlp.gate_up_proj.weight", [2 * c.ffn, c.hidden]))
            tensors.append((p + "mlp.down_proj.weight", [c.hidden, c.ffn]))
            var norms = ["input_layernorm", "post_attention_layernorm"]
            if c.sandwichNorms { norms += ["post_self_attn_layernorm", "post_mlp_layernorm"] }
            for norm in norms { tensors.append((p + norm + ".weight", [c.hidden])) }
        }
        return tensors.sorted { $0.name < $1.name }
    }

    /// The tensor's name in a GGUF file.
    static func ggufName(_ name: String) -> String {
        let parts = name.split(separator: ".")
        switch (parts.first, parts.count) {
        case ("lm_head", _): return "output.weight"
        case ("model", 3): return parts[1] == "norm" ? "output_norm.weight" : "token_embd.weight"
        default:
            let own = ggufNames[String(parts[parts.count - 2])] ?? String(parts[parts.count - 2])
            return "blk.\(parts[2]).\(own).\(parts[parts.count - 1])"
        }
    }

    /// GGUF's names for what a layer has; its `post_attention_norm` is not Hugging Face's `post_attention_layernorm`.
    private static let ggufNames = [
        "q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output",
        "gate_up_proj": "ffn_up", "down_proj": "ffn_down", "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm", "post_self_attn_layernorm": "post_attention_norm",
        "post_mlp_layernorm": "post_ffw_norm",
    ]

    // MARK: Files

    /// Writes config.json and tokenizer.model and begins the file of weights.
    func begin(folder: String, type: WeightType, format: Checkpoint.Format) throws -> TensorFileWriter {
        let stored = try Self.storedType(type, format)
        let infos = tensors.map { tensor in
            TensorInfo(
                name: format == .gguf ? Self.ggufName(tensor.name) : tensor.name,
                type: storedType(of: tensor.name, tensor.shape, in: format, mostly: stored), shape: tensor.shape)
        }
        let file = format == .gguf ? "model.gguf" : "model.safetensors"
        try Self.prepare(folder, for: file, byteCount: infos.reduce(0) { $0 + ($1.byteCount ?? 0) })
        try save(Array(configJSON(type).utf8), "\(folder)/config.json")
        if let tokens {
            let lines = tokens.enumerated().map { "\(Data($1).base64EncodedString()) \($0)\n" }
            try save(Array(lines.joined().utf8), "\(folder)/tokenizer.model")
        }
        switch format {
        case .safetensors: return try TensorFileWriter(safetensors: "\(folder)/\(file)", tensors: infos)
        case .gguf: return try TensorFileWriter(gguf: "\(folder)/\(file)", tensors: infos, metadata: ggufMetadata)
        }
    }

    /// How a weight type is stored, where the format can hold it.
    static func storedType(_ type: WeightType, _ format: Checkpoint.Format) throws -> StoredType {
        switch type {
        case .f32: return .f32
        case .bf16: return .bf16
        case .f16: return .f16
        case .q8 where format == .gguf: return .q8_0
        case .q4 where format == .gguf: return .q4_0
        case .q5 where format == .gguf: return .q5_0
        case .q5m where format == .gguf: return .q5_1
        case .q4k where format == .gguf: return .q4_k
        case .q5k where format == .gguf: return .q5_k
        case .q6k where format == .gguf: return .q6_k
        default:
            throw Problem.invalid(
                "safetensors files hold no \(type.name) weights; use --format gguf, or f32, bf16 or f16")
        }
    }

    /// How a tensor is stored in a file of mostly one type.
    ///
    /// GGUF files keep vectors in f32. Those of Q4_K and Q5_K hold what is most sensitive with more bits, as the usual ones
    /// (Q4_K_M, Q5_K_M) do: the output matrix, and values and `ffn_down` in half of the layers. Rows that are no blocks of 256
    /// are stored in the next type of blocks of 32.
    func storedType(of name: String, _ shape: [Int], in format: Checkpoint.Format, mostly type: StoredType)
        -> StoredType
    {
        if shape.count == 1 && format == .gguf { return .f32 }
        var own = type
        if type == .q4_k || type == .q5_k, name.hasPrefix("lm_head") || hasMoreBits(name) { own = .q6_k }
        if (shape.last ?? 0) % own.blockElements == 0 { return own }
        return switch own {
        case .q4_k: .q5_0
        case .q5_k: .q5_1
        case .q6_k: .q8_0
        default: own
        }
    }

    /// Values and `ffn_down` of the first and the last eighth of the layers, and of every third between.
    private func hasMoreBits(_ name: String) -> Bool {
        guard name.hasSuffix("v_proj.weight") || name.hasSuffix("down_proj.weight"),
            let layer = Int(name.split(separator: ".")[2])
        else { return false }
        let eighth = configuration.layers / 8
        return layer < eighth || layer >= configuration.layers * 7 / 8 || (layer - eighth) % 3 == 2
    }

    /// Makes the folder, and looks for a model that would be mistaken for the new one and for room on the disk.
    private static func prepare(_ folder: String, for file: String, byteCount: Int) throws {
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        } catch {
            throw Problem.failed("\(folder): cannot make the folder; is there a file of that name, or no permission?")
        }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        let others = names.filter { $0 != file && ($0.hasSuffix(".gguf") || $0.contains(".safetensors")) }
        if let other = others.filter({ !$0.hasSuffix(".part") }).min() {
            throw Problem.invalid("\(folder) holds another model (\(other)); choose another folder, or remove it")
        }
        var status = statvfs()
        if statvfs(folder, &status) == 0 {
            let room = Int(clamping: UInt64(status.f_bavail) * UInt64(status.f_frsize))
            if room < byteCount {
                throw Problem.failed(
                    "\(folder): the model needs \(byteCount >> 20) MiB, the disk has \(room >> 20) MiB left")
            }
        }
    }

    private func save(_ bytes: [UInt8], _ path: String) throws {
        do { try Data(bytes).write(to: URL(filePath: path)) } catch {
            throw Problem.failed("\(path): cannot write; is the disk full or the folder not yours?")
        }
    }

    /// The configuration in Hugging Face's spelling. A GGUF model has it too, for its tokenizer's sake.
    private func configJSON(_ type: WeightType) -> String {
        let c = configuration
        let isGLM4 = c.architecture == .glm4
        let dtype =
            switch type {
            case .bf16: "bfloat16"
            case .f16: "float16"
            default: "float32"
            }
        var members: [(String, String)] = [
            ("architectures", "[\"\(isGLM4 ? "Glm4ForCausalLM" : "GlmForCausalLM")\"]"),
            ("model_type", "\"\(isGLM4 ? "glm4" : "glm")\""), ("attention_bias", "\(c.qkvBias)"),
            ("attention_dropout", "0.0"), ("head_dim", "\(c.headDim)"), ("hidden_act", "\"silu\""),
            ("hidden_size", "\(c.hidden)"), ("intermediate_size", "\(c.ffn)"),
            ("max_position_embeddings", "\(c.contextLength)"), ("num_attention_heads", "\(c.heads)"),
            ("num_hidden_layers", "\(c.layers)"), ("num_key_value_heads", "\(c.kvHeads)"),
            ("partial_rotary_factor", "\(Double(c.rotaryDim) / Double(c.headDim))"), ("rms_norm_eps", "\(c.eps)"),
            ("rope_theta", "\(c.ropeTheta)"),
        ]
        if isRopeLiteral { members.append(("rope_literal", "true")) }
        members += [("tie_word_embeddings", "false"), ("vocab_size", "\(c.vocabulary)")]
        members.append(("eos_token_id", "[\(c.stopTokens.map(String.init).joined(separator: ", "))]"))
        if let first = c.stopTokens.first { members.append(("pad_token_id", "\(first)")) }
        members.append(("torch_dtype", "\"\(dtype)\""))
        if let chatTemplate { members.append(("chat_template", "\"\(chatTemplate)\"")) }
        return "{\n" + members.map { "  \"\($0.0)\": \($0.1)" }.joined(separator: ",\n") + "\n}\n"
    }
}
