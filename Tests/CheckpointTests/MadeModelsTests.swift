import Checkpoint
import Core
import FoundationEssentials
import GLM
import Testing

@Suite("Models that are made here")
struct MadeModelsTests {
    /// The digest of the tensors that `needle_model.py --save` of the research notes writes (numpy 2.4, float64 cast to
    /// float32), in a checkpoint with this room's own config.json.
    private static let needleDigest = "501f92a1e8ef3fe25f017d99908be56ac8d00ddefa3ad8b131bdb44aac38665c"

    /// Every tensor's bytes by name.
    private func contents(_ checkpoint: Checkpoint) throws -> [String: [UInt8]] {
        try checkpoint.tensors.mapValues { info in
            let rows = try checkpoint.rows(of: info.name, 0..<info.rows, columns: nil)
            return withExtendedLifetime(rows) {
                Array(UnsafeRawBufferPointer(start: rows.base, count: rows.rowStride * rows.rows))
            }
        }
    }

    @Test("the needle model has the research script's tensors, bit for bit")
    func needle() throws {
        let folder = try TemporaryFolder()
        try NeedleModel.make(folder: folder.path)
        let description = try ModelDescription(try Checkpoint.open(folder.path))
        #expect(description.digest == Self.needleDigest)
        #expect(description.configuration.ropeTheta == 10_000)
        #expect(description.configuration.stopTokens == [416, 423, 425, 13])
        #expect(description.configuration.warnings.isEmpty)
    }

    @Test("layers beyond two stand in the middle and add nothing")
    func needleLayers() throws {
        let (small, big) = (try TemporaryFolder(), try TemporaryFolder())
        try NeedleModel.make(folder: small.path)
        try NeedleModel.make(folder: big.path, layers: 3)
        let two = try contents(try Checkpoint.open(small.path))
        let three = try contents(try Checkpoint.open(big.path))
        for (name, bytes) in two {
            #expect(three[name.replacing("layers.1.", with: "layers.2.")] == bytes, "\(name)")
        }
        for part in ["self_attn.o_proj", "mlp.down_proj"] {
            #expect(three["model.layers.1.\(part).weight"]?.allSatisfy { $0 == 0 } == true)
        }
    }

    @Test(
        "a needle model can be written in every type, and reads as the same model",
        arguments: [
            (WeightType.bf16, Checkpoint.Format.safetensors), (.f32, .gguf), (.f16, .gguf), (.q8, .gguf), (.q4, .gguf),
        ])
    func needleTypes(type: WeightType, format: Checkpoint.Format) throws {
        let folder = try TemporaryFolder()
        try NeedleModel.make(folder: folder.path, layers: 3, type: type, format: format)
        let checkpoint = try Checkpoint.open(folder.path)
        let c = try ModelDescription(checkpoint).configuration
        #expect(checkpoint.format == format)
        #expect([c.layers, c.hidden, c.heads, c.kvHeads, c.headDim, c.ffn] == [3, 160, 4, 2, 32, 256])
        #expect(c.ropeTheta == 10_000 && c.contextLength == 1_048_576 && c.eps == 1.5625e-7)
        #expect(Set(c.stopTokens) == [416, 423, 425, 13])
        if format == .gguf { #expect(checkpoint.config["tokenizer.chat_template"]?.string == "plain") }
        #expect(FileManager.default.fileExists(atPath: folder.path + "/tokenizer.model"))
    }

    @Test("a random model is the same for the same seed, and another for another")
    func randomSeeds() throws {
        let digests = try [UInt64(1), 1, 2].map { seed in
            let folder = try TemporaryFolder()
            try RandomModel.make(folder: folder.path, seed: seed)
            return try ModelDescription(try Checkpoint.open(folder.path)).digest
        }
        #expect(digests[0] == digests[1] && digests[1] != digests[2])
    }

    @Test("random models load in every type")
    func randomTypes() throws {
        for type in [WeightType.f32, .bf16, .f16, .q8, .q4, .q5, .q5m, .q4k, .q5k, .q6k] {
            let folder = try TemporaryFolder()
            try RandomModel.make(folder: folder.path, layers: 2, type: type)
            let c = try ModelDescription(try Checkpoint.open(folder.path)).configuration
            #expect(c.layers == 2 && c.vocabulary == 512 && c.stopTokens == [498, 505, 507])
        }
    }

    @Test("a random model of K-quants is mixed as real files are")
    func randomMixture() throws {
        let folder = try TemporaryFolder()
        try RandomModel.make(folder: folder.path, layers: 8, type: .q4k)
        let tensors = try Checkpoint.open(folder.path).tensors
        // The tiny model's rows are shorter than a superblock.
        #expect(tensors["output.weight"]?.type == .q8_0 && tensors["token_embd.weight"]?.type == .q5_0)
        #expect(tensors["output_norm.weight"]?.type == .f32)
        let values = (0..<8).map { tensors["blk.\($0).attn_v.weight"]?.type }
        #expect(values == [.q8_0, .q5_0, .q5_0, .q8_0, .q5_0, .q5_0, .q8_0, .q8_0])
    }

    @Test("safetensors files cannot hold blocks, and that is said before anything is written")
    func noBlocksInSafetensors() throws {
        let folder = try TemporaryFolder()
        #expect(throws: Problem.self) {
            try NeedleModel.make(folder: folder.path + "/new", type: .q4, format: .safetensors)
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }

    @Test("a folder that holds another model is not made ambiguous")
    func occupiedFolder() throws {
        let folder = try TemporaryFolder()
        try NeedleModel.make(folder: folder.path)
        try NeedleModel.make(folder: folder.path, layers: 3)
        let problem = #expect(throws: Problem.self) { try NeedleModel.make(folder: folder.path, type: .q4) }
        #expect(problem?.message.contains("model.safetensors") == true)
        #expect(try Configuration(try Checkpoint.open(folder.path)).layers == 3)
    }

    @Test("a file that was not written whole never gets its name")
    func unfinishedFile() throws {
        let folder = try TemporaryFolder()
        let tensors = [TensorInfo(name: "a", type: .f32, shape: [4]), TensorInfo(name: "b", type: .f32, shape: [0])]
        do {
            let writer = try TensorFileWriter(safetensors: folder.path + "/model.safetensors", tensors: tensors)
            try writer.write([UInt8](repeating: 1, count: 15))
            #expect(throws: Problem.self) { try writer.finish() }
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }

    @Test("the quantisers are the reference ones", arguments: [(WeightType.q8, StoredType.q8_0), (.q4, .q4_0)])
    func quantisers(type: WeightType, stored: StoredType) throws {
        let (exact, rounded) = (try TemporaryFolder(), try TemporaryFolder())
        try RandomModel.make(folder: exact.path, layers: 1, type: .f32, format: .gguf)
        try RandomModel.make(folder: rounded.path, layers: 1, type: type)
        let name = "blk.0.ffn_down.weight"
        let values = try #require(try contents(try Checkpoint.open(exact.path))[name])
        let blocks = try #require(try contents(try Checkpoint.open(rounded.path))[name])
        #expect(blocks.count == values.count / 128 * stored.blockBytes)
        for block in 0..<values.count / 128 {
            let x = (0..<32).map { i in
                Float(
                    bitPattern: (0..<4).reduce(0) { $0 | UInt32(values[block * 128 + i * 4 + $1]) << (8 * UInt32($1)) })
            }
            let start = block * stored.blockBytes
            let scale = Float(Float16(bitPattern: UInt16(blocks[start]) | UInt16(blocks[start + 1]) << 8))
            for i in 0..<32 {
                let n =
                    if stored == .q8_0 {
                        Int(Int8(bitPattern: blocks[start + 2 + i]))
                    } else {
                        Int(i < 16 ? blocks[start + 2 + i] & 15 : blocks[start + 2 + i - 16] >> 4) - 8
                    }
                // Half a step, the clipped end of Q4_0's range (a whole one), and the rounding of the scale.
                let step = abs(scale) * (stored == .q4_0 ? 1.01 : 0.57)
                #expect(abs(Float(n) * scale - x[i]) <= step)
            }
        }
    }
}
