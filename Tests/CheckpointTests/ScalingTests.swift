import Checkpoint
import Core
import GLM
import Kernels
import Testing

@Suite("Rotary scaling")
struct ScalingTests {
    /// The configuration of a golden folder (context 4096) with `new` in its config.json instead of `old`.
    private func configuration(
        of golden: String = "glm-hf-f32", _ new: String, for old: String = "\"use_cache\": true", context: Int = 4096
    ) throws -> Configuration {
        let key = golden.hasPrefix("chatglm") ? "seq_length" : "max_position_embeddings"
        return try TemporaryFolder.configuration(
            of: golden, replacing: [(old, new), ("\"\(key)\": 4096", "\"\(key)\": \(context)")])
    }

    private func scaling(_ members: String) -> String { "\"rope_scaling\": {\(members)}" }

    @Test("YaRN of config.json, with its defaults and with everything said")
    func yarn() throws {
        let plain = try configuration(scaling("\"type\": \"yarn\", \"factor\": 4.0"))
        #expect(plain.ropeScaling == RotaryScaling(kind: .yarn, factor: 4, originalContext: 4096))
        #expect(plain.contextLength == 16_384 && plain.warnings.isEmpty)
        #expect(plain.rotarySummary == "8 of 16, base 10000.0, yarn 4.0 x 4096")
        let said = try configuration(
            scaling(
                """
                "rope_type": "yarn", "factor": 2.5, "original_max_position_embeddings": 2048, "beta_fast": 24,
                "beta_slow": 2.0, "attention_factor": 1.25, "mscale": 2.0, "mscale_all_dim": 1.0, "truncate": false
                """), context: 5120)
        #expect(
            said.ropeScaling
                == RotaryScaling(
                    kind: .yarn, factor: 2.5, originalContext: 2048, attentionFactor: 1.25, betaFast: 24, betaSlow: 2,
                    truncatesRamp: false))
        #expect(said.contextLength == 5120 && said.warnings.isEmpty)
        let magnitude = try configuration(
            scaling("\"type\": \"yarn\", \"factor\": 4, \"mscale\": 2.0, \"mscale_all_dim\": 1.0"))
        // (0.2 ln 4 + 1) / (0.1 ln 4 + 1)
        #expect(abs((magnitude.ropeScaling?.attentionFactor ?? 0) - 1.121_751_143_713_058) < 1e-12)
    }

    @Test("linear and fixed NTK scaling, in the original layout and in rope_parameters")
    func otherKinds() throws {
        let linear = try configuration(of: "chatglm-original-1", scaling("\"type\": \"linear\", \"factor\": 2"))
        #expect(linear.ropeScaling == RotaryScaling(kind: .linear, factor: 2, originalContext: 4096))
        #expect(linear.contextLength == 8192)
        let ntk = try configuration(
            of: "glm-hf-bf16-sharded", "\"rope_type\": \"ntk\", \"factor\": 3", for: "\"rope_type\": \"default\"")
        #expect(ntk.ropeScaling == RotaryScaling(kind: .ntk, factor: 3, originalContext: 4096))
        #expect(ntk.contextLength == 12_288)
        #expect(try configuration(scaling("\"rope_type\": \"default\"")).ropeScaling == nil)
    }

    @Test(
        "a stated context that is neither the original nor the stretched one is a limit, with a warning",
        arguments: [(6000, 6000), (20_000, 8192)])
    func statedContext(stated: Int, allowed: Int) throws {
        let c = try configuration(
            scaling("\"type\": \"yarn\", \"factor\": 4.0, \"original_max_position_embeddings\": 2048"), context: stated)
        #expect(c.contextLength == allowed)
        #expect(c.warnings.count == 1 && c.warnings.first?.contains("rope_scaling.factor") == true)
    }

    @Test("the base that a converter lost follows from the original context, not from the stretched one")
    func correctedBase() throws {
        let yarn = "\"type\": \"yarn\", \"factor\": 8, \"original_max_position_embeddings\":"
        let chat = try configuration(scaling("\(yarn) 131072"), context: 1_048_576)
        #expect(chat.ropeTheta == 5e6 && chat.contextLength == 1_048_576)
        let base = try configuration(scaling("\(yarn) 16384"), context: 131_072)
        #expect(base.ropeTheta == 10_000 && base.warnings.isEmpty)
    }

    @Test(
        "a scaling that cannot be is refused by the name of its field",
        arguments: [
            ("\"type\": \"dynamic\", \"factor\": 4", "rope_scaling.type dynamic is not supported"),
            ("\"rope_type\": \"longrope\", \"factor\": 4", "rope_scaling.rope_type longrope is not supported"),
            ("\"type\": \"yarn\"", "rope_scaling.factor is missing"),
            ("\"factor\": 4", "rope_scaling.rope_type is missing"),
            ("\"type\": \"yarn\", \"factor\": 0.5", "rope_scaling.factor is 0.5"),
            ("\"type\": \"linear\", \"factor\": \"4\"", "rope_scaling.factor is \"4\""),
            ("\"type\": 3, \"factor\": 4", "rope_scaling.type is 3"),
            ("\"type\": \"yarn\", \"factor\": 4, \"beta_fast\": 1, \"beta_slow\": 2", "beta_fast is 1.0"),
            ("\"type\": \"yarn\", \"factor\": 4, \"attention_factor\": 0", "rope_scaling.attention_factor is 0"),
            (
                "\"type\": \"yarn\", \"factor\": 4000, \"original_max_position_embeddings\": 1048576",
                "rope_scaling.factor is 4000.0, too much"
            ),
        ])
    func refused(members: String, expected: String) throws {
        let problem = #expect(throws: Problem.self) { try configuration(scaling(members)) }
        #expect(problem?.message.contains(expected) == true, "\(problem?.message ?? "")")
    }

    @Test("a GGUF file's keys, as llama.cpp means them")
    func gguf() throws {
        let folder = try TemporaryFolder()
        func read(_ keys: [(key: String, value: GGUFField)]) throws -> Configuration {
            let keys = keys.map { ("llama.rope." + $0.key, $0.value) }
            return try Configuration(try Checkpoint.open(folder.llama(metadata: keys)))
        }
        let yarn: [(key: String, value: GGUFField)] = [
            ("scaling.type", .string("yarn")), ("scaling.factor", .f32(4)),
            ("scaling.original_context_length", .u32(16)),
        ]
        let c = try read(yarn)
        #expect(c.ropeScaling == RotaryScaling(kind: .yarn, factor: 4, originalContext: 16) && c.contextLength == 64)
        let own = try read(
            yarn + [
                ("scaling.attn_factor", .f32(0.5)), ("scaling.yarn_beta_fast", .f32(24)),
                ("scaling.yarn_beta_slow", .f32(2)),
            ])
        #expect(own.ropeScaling?.attentionFactor == 1.138629436111989 / 2)
        #expect(own.ropeScaling?.betaFast == 24 && own.ropeScaling?.betaSlow == 2)
        for keys in [[("scaling.factor", GGUFField.f32(2))], [("scale_linear", .f32(2))]] {
            let linear = try read(keys)
            #expect(linear.ropeScaling == RotaryScaling(kind: .linear, factor: 2, originalContext: 64))
            #expect(linear.contextLength == 128)
        }
        #expect(try read([("scaling.type", .string("none"))]).ropeScaling == nil)
        for (keys, named) in [
            (yarn + [("scaling.yarn_log_multiplier", .f32(0.1))], "llama.rope.scaling.yarn_log_multiplier"),
            ([("scaling.type", .string("yarn"))], "llama.rope.scaling.factor is missing"),
        ] {
            let problem = #expect(throws: Problem.self) { try read(keys) }
            #expect(problem?.message.contains(named) == true, "\(problem?.message ?? "")")
        }
    }

    @Test("a scaling travels with the model's description, and one out of bounds is refused")
    func wire() throws {
        var description = try ModelDescription(try Checkpoint.open(Goldens.folder + "glm-hf-f32"))
        description.configuration.ropeScaling = RotaryScaling(kind: .yarn, factor: 4, originalContext: 4096)
        let arrived = try ModelDescription(decoding: try description.encoded())
        #expect(arrived.configuration == description.configuration)
        description.configuration.ropeScaling?.factor = 1e9
        let bytes = try description.encoded()
        #expect(throws: Problem.self) { try ModelDescription(decoding: bytes) }
    }
}
