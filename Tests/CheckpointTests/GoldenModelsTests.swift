import Checkpoint
import Core
import GLM
import Testing

@Suite("Golden models")
struct GoldenModelsTests {
    private func description(_ name: String) throws -> ModelDescription {
        try ModelDescription(try Checkpoint.open(Goldens.folder + name))
    }

    @Test(
        "every layout of the family opens with its dimensions",
        arguments: [
            ("glm-hf-f32", Configuration.Architecture.glm, 3, 64, 8, 2, 16, 176),
            ("glm-hf-bf16-sharded", .glm, 4, 128, 16, 4, 16, 352),
            ("chatglm-original-1", .chatglm, 3, 96, 8, 2, 32, 208),
            ("chatglm-original-2", .chatglm, 2, 64, 8, 4, 16, 176),
            ("glm4-0414", .glm4, 2, 96, 12, 2, 16, 240),
            ("gguf-chatglm-f32", .chatglm, 2, 128, 8, 2, 16, 288),
            ("gguf-chatglm-q4_1/model.gguf", .chatglm, 2, 128, 8, 2, 16, 288),
            ("gguf-glm4-q4_0", .glm4, 2, 128, 8, 2, 16, 288),
        ])
    func opens(
        name: String, architecture: Configuration.Architecture, layers: Int, hidden: Int, heads: Int, kvHeads: Int,
        headDim: Int, ffn: Int
    ) throws {
        let c = try description(name).configuration
        #expect(c.architecture == architecture)
        #expect(
            [c.layers, c.hidden, c.heads, c.kvHeads, c.headDim, c.ffn] == [
                layers, hidden, heads, kvHeads, headDim, ffn,
            ])
        #expect(c.vocabulary == 390)
        #expect(c.rotaryDim == headDim / 2)
        #expect(c.qkvBias)
        #expect(c.sandwichNorms == (architecture == .glm4))
        #expect(!c.tiedEmbeddings)
        #expect(c.stopTokens == [376, 383, 385])
        #expect(c.contextLength == 4096)
        #expect(c.warnings.isEmpty)
    }

    @Test("the rotary base comes from rope_theta, rope_parameters, rope_ratio or freq_base")
    func bases() throws {
        #expect(try description("glm-hf-f32").configuration.ropeTheta == 10_000)
        #expect(try description("glm-hf-bf16-sharded").configuration.ropeTheta == 5_000_000)
        #expect(try description("chatglm-original-1").configuration.ropeTheta == 10_000)
        #expect(try description("chatglm-original-2").configuration.ropeTheta == 5_000_000)
        #expect(try description("gguf-chatglm-q8_0").configuration.ropeTheta == 5_000_000)
        #expect(try description("glm-hf-f32").configuration.eps == 1.5625e-7)
        #expect(try description("gguf-glm4-f16").configuration.eps == 1e-5)
    }

    @Test(
        "K-quant files hold what is no multiple of 256 in other types, and open",
        arguments: [("q4_k", StoredType.q4_k, StoredType.q5_0), ("q5_k", .q5_k, .q5_1), ("q6_k", .q6_k, .q8_0)])
    func kQuants(name: String, type: StoredType, other: StoredType) throws {
        let description = try description("gguf-chatglm-\(name)")
        let down = try #require(description.tensors["blk.0.ffn_down.weight"])
        #expect(description.tensors.values.contains { $0.type == type })
        #expect(down.type == other && down.columns % 256 != 0)
    }

    @Test("fused matrices are places in one tensor, separate ones whole tensors")
    func places() throws {
        let original = try description("chatglm-original-1")
        let names = try TensorNames(configuration: original.configuration, tensors: original.tensors)
        let fused = "transformer.encoder.layers.1.self_attention.query_key_value."
        #expect(names.q(1) == MatrixPlace(tensor: fused + "weight", rows: 0..<256))
        #expect(names.k(1) == MatrixPlace(tensor: fused + "weight", rows: 256..<320))
        #expect(names.vBias(1) == MatrixPlace(tensor: fused + "bias", rows: 320..<384))
        let feedForward = "transformer.encoder.layers.0.mlp.dense_h_to_4h.weight"
        #expect(names.gate(0) == MatrixPlace(tensor: feedForward, rows: 0..<208))
        #expect(names.up(0) == MatrixPlace(tensor: feedForward, rows: 208..<416))

        let separate = try description("gguf-glm4-f16")
        let gguf = try TensorNames(configuration: separate.configuration, tensors: separate.tensors)
        #expect(gguf.k(0) == MatrixPlace(tensor: "blk.0.attn_k.weight", rows: 0..<32))
        #expect(gguf.postAttentionNorm(0) == "blk.0.ffn_norm.weight")
        #expect(gguf.postSelfAttentionNorm(0) == "blk.0.post_attention_norm.weight")
        #expect(gguf.postMLPNorm(0) == "blk.0.post_ffw_norm.weight")
        #expect(gguf.output == MatrixPlace(tensor: "output.weight", rows: 0..<390))
    }

    @Test("rows and columns are pointers into the file, whole blocks only")
    func rows() throws {
        let checkpoint = try Checkpoint.open(Goldens.folder + "gguf-chatglm-q8_0/model.gguf")
        let all = try checkpoint.rows(of: "blk.0.ffn_down.weight", 0..<128, columns: nil)
        #expect(all.columns == 288 && all.rowStride == 9 * 34 && all.rows == 128)
        let part = try checkpoint.rows(of: "blk.0.ffn_down.weight", 5..<7, columns: 64..<128)
        #expect(part.base == all.base + 5 * all.rowStride + 2 * 34)
        #expect(part.columns == 64 && part.rowStride == all.rowStride && part.rows == 2)
        #expect(throws: Problem.self) { try checkpoint.rows(of: "blk.0.ffn_down.weight", 0..<1, columns: 16..<64) }
        #expect(throws: Problem.self) { try checkpoint.rows(of: "blk.0.ffn_down.weight", 0..<129, columns: nil) }
        #expect(throws: Problem.self) { try checkpoint.rows(of: "blk.0.nothing", 0..<1, columns: nil) }
        let vector = try checkpoint.rows(of: "output_norm.weight", 0..<1, columns: 3..<9)
        #expect(vector.columns == 6 && vector.type == .f32)
    }

    @Test("a description survives the journey to a worker")
    func descriptionTravels() throws {
        let description = try description("glm-hf-bf16-sharded")
        let copy = try ModelDescription(decoding: description.encoded())
        #expect(copy.configuration == description.configuration)
        #expect(copy.tensors == description.tensors)
        #expect(copy.digest == description.digest && copy.digest.count == 64)
        #expect(throws: Problem.self) { try ModelDescription(decoding: Array("{}".utf8)) }
    }

    @Test("models with different bytes have different digests")
    func digests() throws {
        let names = ["glm-hf-f32", "glm4-0414", "gguf-chatglm-q4_0", "gguf-chatglm-q4_1", "chatglm-original-1"]
        #expect(Set(try names.map { try Checkpoint.open(Goldens.folder + $0).digest() }).count == names.count)
    }

    @Test("GGUF vocabularies come as texts")
    func vocabulary() throws {
        let config = try Checkpoint.open(Goldens.folder + "gguf-chatglm-f16").config
        let tokens = try #require(config["tokenizer.ggml.tokens"]?.strings)
        #expect(tokens.count == 390 && tokens[0] == "!" && tokens[383] == "<|user|>")
        #expect(config["tokenizer.ggml.token_type"]?.integers?.count == 390)
        #expect(config["tokenizer.ggml.add_bos_token"]?.bool == false)
    }
}
