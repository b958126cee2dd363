import Checkpoint
import Core
import FoundationEssentials
import GLM
import Testing

@Suite("Configurations")
struct ConfigurationTests {
    private func message(of golden: String = "glm-hf-f32", replacing changes: [(String, String)]) throws -> String {
        let problem = #expect(throws: Problem.self) {
            try TemporaryFolder.configuration(of: golden, replacing: changes)
        }
        return problem?.message ?? ""
    }

    @Test(
        "the published configuration of GLM-4-9B-Chat is read as it is meant, and that of the 1M model",
        arguments: [(2, 500, 131_072, 5e6), (4, 10_000, 1_048_576, 1e8)])
    func published(groups: Int, ratio: Int, context: Int, base: Double) throws {
        let folder = try TemporaryFolder()
        // The values of THUDM/glm-4-9b-chat's config.json; no weights are needed to read it.
        try folder.write(
            "config.json",
            """
            {"model_type": "chatglm", "architectures": ["ChatGLMModel"], "add_bias_linear": false, "add_qkv_bias": true,
             "apply_query_key_layer_scaling": true, "apply_residual_connection_post_layernorm": false,
             "ffn_hidden_size": 13696, "hidden_size": 4096, "kv_channels": 128, "layernorm_epsilon": 1.5625e-07,
             "multi_query_attention": true, "multi_query_group_num": \(groups), "num_attention_heads": 32,
             "num_hidden_layers": 40, "num_layers": 40, "rope_ratio": \(ratio), "original_rope": true,
             "padded_vocab_size": 151552, "post_layer_norm": true, "rmsnorm": true, "seq_length": \(context),
             "torch_dtype": "bfloat16", "tie_word_embeddings": false, "classifier_dropout": null, "vocab_size": 151552,
             "eos_token_id": [151329, 151336, 151338], "pad_token_id": 151329}
            """)
        try TensorFileWriter(safetensors: folder.path + "/model.safetensors", tensors: []).finish()
        let checkpoint = try Checkpoint.open(folder.path)
        let c = try Configuration(checkpoint)
        #expect([c.layers, c.hidden, c.heads, c.kvHeads, c.headDim, c.ffn] == [40, 4096, 32, groups, 128, 13_696])
        #expect(c.vocabulary == 151_552 && c.contextLength == context && c.ropeTheta == base && c.eps == 1.5625e-7)
        #expect(c.rotaryDim == 64 && c.qkvBias && c.stopTokens == [151329, 151336, 151338])
        #expect(c.kvBytesPerToken() == groups * 20_480)
        let problem = #expect(throws: Problem.self) { try TensorNames(configuration: c, tensors: checkpoint.tensors) }
        #expect(problem?.message.contains("is missing") == true)
    }

    @Test("a converted GLM-4-9B-Chat gets the base its weights were trained with, and a warning")
    func correctedBase() throws {
        let long = ("\"max_position_embeddings\": 4096", "\"max_position_embeddings\": 131072")
        let corrected = try TemporaryFolder.configuration(replacing: [long])
        #expect(corrected.ropeTheta == 5_000_000)
        #expect(corrected.warnings.count == 1 && corrected.warnings[0].contains("rope_literal"))
        let million = try TemporaryFolder.configuration(replacing: [(long.0, "\"max_position_embeddings\": 1048576")])
        #expect(million.ropeTheta == 100_000_000)
        let literal = try TemporaryFolder.configuration(replacing: [(long.0, long.1 + ", \"rope_literal\": true")])
        #expect(literal.ropeTheta == 10_000 && literal.warnings.isEmpty)
        let other = try TemporaryFolder.configuration(replacing: [
            long, ("\"rope_theta\": 10000.0", "\"rope_theta\": 20000.0"),
        ])
        #expect(other.ropeTheta == 20_000 && other.warnings.isEmpty)
    }

    @Test(
        "what the forward pass cannot do is refused by name",
        arguments: [
            ("glm-hf-f32", "\"hidden_act\": \"silu\"", "\"hidden_act\": \"gelu\"", "hidden_act"),
            ("glm-hf-f32", "\"use_cache\": true", "\"vision_config\": {}", "multi-modal"),
            ("glm-hf-f32", "\"use_cache\": true", "\"quantization_config\": {\"bits\": 4}", "quantization_config"),
            ("glm-hf-f32", "\"model_type\": \"glm\"", "\"model_type\": \"glm4_moe\"", "glm4_moe"),
            (
                "glm-hf-bf16-sharded", "\"rope_type\": \"default\"", "\"rope_type\": \"llama3\"",
                "rope_parameters.rope_type llama3 is not supported; expected linear, yarn, ntk"
            ),
            ("chatglm-original-1", "\"original_rope\": true", "\"original_rope\": false", "original_rope"),
            ("chatglm-original-1", "\"add_bias_linear\": false", "\"add_bias_linear\": true", "add_bias_linear"),
            ("chatglm-original-1", "\"post_layer_norm\": true", "\"post_layer_norm\": false", "post_layer_norm"),
            ("chatglm-original-1", "\"rmsnorm\": true", "\"rmsnorm\": false", "rmsnorm"),
            ("chatglm-original-1", "\"use_cache\": true", "\"pre_seq_len\": 128", "pre_seq_len"),
            ("chatglm-original-1", "\"use_cache\": true", "\"quantization_bit\": 4", "quantization_bit"),
        ])
    func refused(golden: String, old: String, new: String, named: String) throws {
        #expect(try message(of: golden, replacing: [(old, new)]).contains(named))
    }

    @Test(
        "a value out of bounds is refused under the name that the file gives it",
        arguments: [
            ("glm-hf-f32", "\"hidden_size\": 64", "\"hidden_size\": -64", "hidden_size is -64"),
            ("glm-hf-f32", "\"hidden_size\": 64", "\"hidden_size\": 64.5", "hidden_size is 64.5"),
            ("glm-hf-f32", "\"hidden_size\": 64", "\"hidden_size\": 9223372036854775807", "hidden_size"),
            ("glm-hf-f32", "\"hidden_size\": 64,", "", "hidden_size is missing"),
            ("glm-hf-f32", "\"num_hidden_layers\": 3", "\"num_hidden_layers\": 0", "num_hidden_layers is 0"),
            ("glm-hf-f32", "\"vocab_size\": 390", "\"vocab_size\": true", "vocab_size is true"),
            ("glm-hf-f32", "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 16", "num_key_value_heads is 16"),
            ("glm-hf-f32", "\"head_dim\": 16", "\"head_dim\": 6", "3 of 6"),
            ("glm-hf-f32", "\"rms_norm_eps\": 1.5625e-07", "\"rms_norm_eps\": \"small\"", "rms_norm_eps"),
            ("glm-hf-f32", "\"rope_theta\": 10000.0", "\"rope_theta\": 0", "rope_theta is 0"),
            ("glm-hf-f32", "376,", "5376,", "stop token 5376"),
            ("glm-hf-f32", "\"attention_bias\": true", "\"attention_bias\": 1", "attention_bias is 1"),
            (
                "chatglm-original-1", "\"multi_query_group_num\": 2", "\"multi_query_group_num\": 3",
                "multi_query_group_num is 3"
            ),
            ("chatglm-original-1", "\"padded_vocab_size\": 390", "\"padded_vocab_size\": []", "padded_vocab_size"),
            ("chatglm-original-1", "\"num_layers\": 3", "\"num_layers\": 4", "num_hidden_layers is 3"),
        ])
    func outOfBounds(golden: String, old: String, new: String, expected: String) throws {
        let found = try message(of: golden, replacing: [(old, new)])
        #expect(found.contains(expected), "\(found)")
    }

    @Test("texts of a file cannot break a message's line or reach the terminal's controls")
    func printableMessages() throws {
        let found = try message(
            replacing: [
                (
                    "\"model_type\": \"glm\"",
                    "\"model_type\": \"a\\nb\\u001b[2J\\u202e\(String(repeating: "x", count: 500))\""
                )
            ])
        #expect(found.contains("a?b?[2J?xxx") && found.utf8.count < 400)
    }

    @Test("the original layout's keys have the original code's defaults")
    func originalDefaults() throws {
        let plain = try TemporaryFolder.configuration(
            of: "chatglm-original-2",
            replacing: [
                ("\"rope_ratio\": 500", "\"comment\": null"), ("\"kv_channels\": 16,", ""),
                ("\"multi_query_attention\": true", "\"multi_query_attention\": false"),
                ("\"layernorm_epsilon\": 1.5625e-07,", ""), ("\"add_qkv_bias\": true,", ""),
                ("\"seq_length\": 4096,", ""),
            ])
        #expect(plain.ropeTheta == 10_000 && plain.headDim == 128 && plain.kvHeads == plain.heads)
        #expect(plain.eps == 1e-5 && !plain.qkvBias && plain.contextLength == 2048 && plain.rotaryDim == 64)
    }

    // MARK: GGUF

    @Test("a llama file has full rotary dimensions, no biases, tied embeddings and a gate of its own")
    func llamaFile() throws {
        let folder = try TemporaryFolder()
        let description = try ModelDescription(try Checkpoint.open(try folder.llama()))
        let c = description.configuration
        #expect(c.architecture == .llama && c.name == "small")
        #expect([c.heads, c.kvHeads, c.headDim, c.rotaryDim] == [3, 1, 8, 8])
        #expect(!c.qkvBias && c.tiedEmbeddings && !c.sandwichNorms && c.stopTokens == [2])
        let names = try TensorNames(configuration: c, tensors: description.tensors)
        #expect(names.output == names.embedding)
        #expect(names.gate(0) == MatrixPlace(tensor: "blk.0.ffn_gate.weight", rows: 0..<32))
        #expect(names.up(0) == MatrixPlace(tensor: "blk.0.ffn_up.weight", rows: 0..<32))
        #expect(names.qBias(0) == nil)
    }

    @Test("a llama file with scaled frequencies, experts or biases is refused by name")
    func llamaRefused() throws {
        let folder = try TemporaryFolder()
        let frequencies = TensorInfo(name: "rope_freqs.weight", type: .f32, shape: [4])
        let bias = TensorInfo(name: "blk.0.attn_q.bias", type: .f32, shape: [24])
        let cases: [(String, () throws -> String)] = [
            ("rope_freqs.weight", { try folder.llama(tensor: frequencies) }),
            ("blk.0.attn_q.bias", { try folder.llama(tensor: bias) }),
            ("llama.expert_count", { try folder.llama(metadata: [("llama.expert_count", .u32(8))]) }),
            (
                "llama.rope.scaling.type longrope",
                { try folder.llama(metadata: [("llama.rope.scaling.type", .string("longrope"))]) }
            ),
            (
                "tokenizer.ggml.tokens",
                {
                    try folder.llama(
                        metadata: [("tokenizer.ggml.tokens", .strings(Array(repeating: "x", count: 41)))])
                }
            ),
        ]
        for (named, make) in cases {
            let checkpoint = try Checkpoint.open(try make())
            let problem = #expect(throws: Problem.self) { try Configuration(checkpoint) }
            #expect(problem?.message.contains(named) == true, "\(problem?.message ?? "")")
        }
    }
}
