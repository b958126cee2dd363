import Checkpoint
import Core
import FoundationEssentials
import GLM
import Testing

extension TemporaryFolder {
    /// The configuration of a golden folder with some text of its config.json replaced.
    static func configuration(
        of golden: String = "glm-hf-f32", replacing changes: [(String, String)]
    ) throws -> Configuration {
        let folder = try TemporaryFolder()
        try folder.link(to: Goldens.folder + golden, except: "config.json")
        let file = URL(filePath: Goldens.folder + golden + "/config.json")
        var text = String(decoding: try Data(contentsOf: file), as: UTF8.self)
        for (old, new) in changes {
            try #require(text.contains(old))
            text = text.replacing(old, with: new)
        }
        try folder.write("config.json", text)
        return try Configuration(try Checkpoint.open(folder.path))
    }

    /// A llama-like GGUF model without weights worth a name.
    func llama(
        metadata extra: [(key: String, value: GGUFField)] = [], tensor: TensorInfo? = nil
    ) throws -> String {
        var tensors = [
            TensorInfo(name: "token_embd.weight", type: .f32, shape: [40, 24]),
            TensorInfo(name: "output_norm.weight", type: .f32, shape: [24]),
        ]
        for (name, shape) in [
            ("attn_norm", [24]), ("attn_q", [24, 24]), ("attn_k", [8, 24]), ("attn_v", [8, 24]),
            ("attn_output", [24, 24]), ("ffn_norm", [24]), ("ffn_gate", [32, 24]), ("ffn_up", [32, 24]),
            ("ffn_down", [24, 32]),
        ] { tensors.append(TensorInfo(name: "blk.0.\(name).weight", type: .f32, shape: shape)) }
        if let tensor { tensors.append(tensor) }
        let file = path + "/small.gguf"
        let writer = try TensorFileWriter(
            gguf: file, tensors: tensors,
            metadata: [
                ("general.architecture", .string("llama")), ("llama.block_count", .u32(1)),
                ("llama.context_length", .u32(64)), ("llama.embedding_length", .u32(24)),
                ("llama.feed_forward_length", .u32(32)), ("llama.attention.head_count", .u32(3)),
                ("llama.attention.head_count_kv", .u32(1)), ("llama.attention.layer_norm_rms_epsilon", .f32(1e-5)),
                ("tokenizer.ggml.eos_token_id", .u32(2)),
            ] + extra)
        for info in tensors { try writer.write([UInt8](repeating: 0, count: info.byteCount ?? 0)) }
        try writer.finish()
        return file
    }
}
