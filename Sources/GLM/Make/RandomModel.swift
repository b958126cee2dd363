public import Checkpoint
public import Core

/// A model of random weights with the dimensions of a real one: for measuring and for tests of shapes, not for talk.
///
/// Weights are scaled so that activations keep their size through any number of layers. The same seed gives the same
/// bytes. Big tensors are cut from a pool of random blocks, so that a 9B model is written as fast as the disk takes it.
public struct RandomModel {
    /// Dimensions that have a name.
    public enum Preset: String, Sendable, CaseIterable {
        /// GLM-4-9B-Chat: 40 layers, 2 KV heads, 131,072 tokens.
        case glm4Chat = "glm-4-9b-chat"
        /// GLM-4-9B-Chat-1M: 4 KV heads, 1,048,576 tokens.
        case glm4Chat1M = "glm-4-9b-chat-1m"
        /// GLM-4-9B-0414: four norms a layer, 32,768 tokens.
        case glm40414 = "glm-4-9b-0414"
        /// A model of half a million parameters.
        case tiny
    }

    /// Elements that the pool holds for each type and scale.
    private static let poolElements = 1 << 20

    private let model: MadeModel
    private let seed: UInt64
    private let format: Checkpoint.Format
    private let stored: StoredType
    private var pools: [String: [UInt8]] = [:]

    /// Writes a random model to `folder`; `progress` hears the bytes written and those in all.
    ///
    /// - Parameters:
    ///   - layers: How many; the preset's unless given.
    ///   - vocabulary: How many tokens; the preset's unless given.
    public static func make(
        folder: String, preset: Preset = .tiny, layers: Int? = nil, vocabulary: Int? = nil, type: WeightType = .bf16,
        format: Checkpoint.Format? = nil, seed: UInt64 = 1, progress: (Int, Int) -> Void = { _, _ in }
    ) throws {
        guard Bounds.layers.contains(layers ?? 1) else {
            throw Problem.invalid("a model has 1 to \(Bounds.layers.upperBound) layers, not \(layers ?? 0)")
        }
        let format = format ?? (type.isInteger ? .gguf : .safetensors)
        let stored = try MadeModel.storedType(type, format)
        var random = RandomModel(
            model: made(preset, layers: layers, vocabulary: vocabulary), seed: seed, format: format, stored: stored)
        let writer = try random.model.begin(folder: folder, type: type, format: format)
        let tensors = random.model.tensors
        let sizes = tensors.map { random.byteCount($0.name, $0.shape) }
        let total = sizes.reduce(0, +)
        var done = 0
        for (number, tensor) in tensors.enumerated() {
            let before = done
            try random.write(tensor.name, tensor.shape, number: number, to: writer) { progress(before + $0, total) }
            done += sizes[number]
        }
        try writer.finish()
    }

    /// The dimensions and habits of a preset.
    public static func configuration(_ preset: Preset) -> Configuration { made(preset).configuration }

    /// The configuration of a preset, with a vocabulary of made-up words.
    private static func made(_ preset: Preset, layers: Int? = nil, vocabulary: Int? = nil) -> MadeModel {
        let isTiny = preset == .tiny
        let isGLM4 = preset == .glm40414
        let context: (length: Int, base: Double) =
            switch preset {
            case .glm4Chat: (131_072, 5e6)
            case .glm4Chat1M: (1_048_576, 1e8)
            case .glm40414: (32_768, 1e4)
            case .tiny: (8192, 1e4)
            }
        // The published models have 151,329 ranks and 14 special tokens; the rest of the rows is padding.
        let isWhole = !isTiny && vocabulary == nil
        let vocabulary = vocabulary ?? (isTiny ? 512 : 151_552)
        let ranks = isWhole ? 151_329 : vocabulary - MadeModel.specials.count
        let configuration = Configuration(
            architecture: isGLM4 ? .glm4 : .glm, name: "random-\(preset.rawValue)",
            layers: layers ?? (isTiny ? 4 : 40), hidden: isTiny ? 128 : 4096, heads: isTiny ? 8 : 32,
            kvHeads: isTiny ? 2 : preset == .glm4Chat1M ? 4 : 2, headDim: isTiny ? 32 : 128,
            ffn: isTiny ? 352 : 13_696, vocabulary: vocabulary, contextLength: context.length,
            eps: isGLM4 ? 1e-5 : 1.5625e-7, ropeTheta: context.base, rotaryDim: isTiny ? 16 : 64, qkvBias: true,
            sandwichNorms: isGLM4, tiedEmbeddings: false, stopTokens: MadeModel.stops(afterRanks: ranks))
        return MadeModel(configuration: configuration, tokens: MadeModel.words(count: ranks))
    }

    // MARK: Weights

    private func type(_ name: String, _ shape: [Int]) -> StoredType {
        model.storedType(of: name, shape, in: format, mostly: stored)
    }

    private func byteCount(_ name: String, _ shape: [Int]) -> Int {
        type(name, shape).byteCount(elements: shape.reduce(1, *)) ?? 0
    }

    /// The mean of a tensor's elements and how far they spread: half the width of a uniform distribution.
    private func distribution(_ name: String, _ shape: [Int]) -> (mean: Float, spread: Float) {
        if name.hasSuffix("norm.weight") { return (1, 0.1) }
        if name.hasSuffix(".bias") { return (0, 0.1) }
        let unit = Float(3).squareRoot()
        if name.hasPrefix("model.embed") { return (0, unit) }
        let columns = Float(shape.last ?? 1)
        let spread = unit / columns.squareRoot()
        if name.hasPrefix("lm_head") { return (0, 2 * spread) }
        let isResidual = name.hasSuffix("o_proj.weight") || name.hasSuffix("down_proj.weight")
        return (0, isResidual ? spread / Float(2 * model.configuration.layers).squareRoot() : spread)
    }

    private mutating func write(
        _ name: String, _ shape: [Int], number: Int, to writer: TensorFileWriter, progress: (Int) -> Void
    ) throws {
        let type = type(name, shape)
        let (mean, spread) = distribution(name, shape)
        let count = shape.reduce(1, *)
        var random = SplitMix(seed: seed, stream: UInt64(number))
        if count <= Self.poolElements {
            try writer.write(Self.bytes(count, mean, spread, type, &random))
            return
        }
        let key = "\(type.rawValue) \(spread)"
        if pools[key] == nil {
            var own = SplitMix(seed: seed, stream: UInt64(spread.bitPattern) << 32)
            pools[key] = Self.bytes(Self.poolElements, mean, spread, type, &own)
        }
        let total = byteCount(name, shape)
        let block = max(StoredEncoding.block, type.blockElements)
        let blocks = Self.poolElements / block
        let blockBytes = type.byteCount(elements: block) ?? 1
        var done = 0
        try (pools[key] ?? []).withUnsafeBytes { pool in
            while done < total {
                let start = Int(random.next() % UInt64(blocks)) * blockBytes
                let piece = pool[start..<min(pool.count, start + total - done)]
                try writer.write(UnsafeRawBufferPointer(rebasing: piece))
                done += piece.count
                progress(done)
            }
        }
    }

    /// `count` elements, whole blocks, evenly distributed within `spread` of `mean`, as a file stores them.
    static func bytes(count: Int, mean: Float, spread: Float, type: StoredType, seed: UInt64) -> [UInt8] {
        var random = SplitMix(seed: seed, stream: 0)
        return bytes(count, mean, spread, type, &random)
    }

    private static func bytes(
        _ count: Int, _ mean: Float, _ spread: Float, _ type: StoredType, _ random: inout SplitMix
    ) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count * 4)
        let chunk = 4096
        var values: [Float] = []
        for start in stride(from: 0, to: count, by: chunk) {
            values.removeAll(keepingCapacity: true)
            for _ in start..<min(start + chunk, count) { values.append(mean + spread * random.signedUnit()) }
            StoredEncoding.append(values, as: type, to: &bytes)
        }
        return bytes
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): small, fast, and the same everywhere.
private struct SplitMix {
    private var state: UInt64

    /// A stream of its own for every pair of numbers.
    init(seed: UInt64, stream: UInt64) {
        state = seed
        state = next() ^ stream
        state = next()
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    /// From -1 to 1, evenly.
    mutating func signedUnit() -> Float {
        Float(Int32(truncatingIfNeeded: next() >> 32) >> 8) * 0x1p-23
    }
}
