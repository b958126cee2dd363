/// A token's number in the model's vocabulary.
public typealias TokenID = Int32

/// One sequence of tokens with a KV cache, numbered by the coordinator; never reused within an epoch.
public struct SequenceID: Hashable, Comparable, Sendable {
    /// The number.
    public var number: UInt64
    /// Sequence `number`.
    public init(_ number: UInt64) { self.number = number }
    /// Orders them for lists.
    public static func < (a: SequenceID, b: SequenceID) -> Bool { a.number < b.number }
}

/// A worker's name, unique in its cluster.
public struct WorkerID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The name, as given with `--name` or made from host and process.
    public var name: String
    /// The worker called `name`.
    public init(_ name: String) { self.name = name }
    /// Orders them for lists.
    public static func < (a: WorkerID, b: WorkerID) -> Bool { a.name < b.name }
    /// The name.
    public var description: String { name }
}

/// A job's name: `job-` and a number, unique in its coordinator's life.
public struct JobID: Hashable, Sendable, CustomStringConvertible {
    /// The name.
    public var name: String
    /// The job called `name`.
    public init(_ name: String) { self.name = name }
    /// The name.
    public var description: String { name }
}

/// How keys and values are held in the KV cache.
public enum KVType: UInt8, Sendable, CaseIterable {
    /// 32-bit floats.
    case f32 = 1
    /// IEEE half precision.
    case f16 = 2
    /// Signed bytes with a half-precision scale for each token, KV head and 32 dimensions.
    case q8 = 3
    /// Four bits, minus eight, with a half-precision scale for each token, KV head and 32 dimensions.
    case q4 = 4

    /// The name that `--kv-type` takes.
    public var name: String {
        switch self {
        case .f32: "f32"
        case .f16: "f16"
        case .q8: "q8"
        case .q4: "q4"
        }
    }

    /// The type that `--kv-type name` asks for.
    public init?(name: String) {
        guard let found = KVType.allCases.first(where: { $0.name == name }) else { return nil }
        self = found
    }

    /// Bytes of one key or one value of `headDim` (even) numbers; blocks are whole.
    public func byteCount(headDim: Int) -> Int {
        let blocks = (headDim + 31) / 32
        return switch self {
        case .f32: headDim * 4
        case .f16: headDim * 2
        case .q8: blocks * 34
        case .q4: blocks * 18
        }
    }

    /// What goes with weights of a type unless another is asked for: float weights are computed as the reference does, whose cache rounds nothing;
    /// beside weights rounded to blocks the rounding of f16 does not show.
    public init(weights: WeightType) { self = weights.isInteger ? .f16 : .f32 }
}

/// How the weights of a matrix are held in memory.
public enum WeightType: UInt8, Sendable, CaseIterable {
    /// 32-bit floats.
    case f32 = 1
    /// The upper half of a 32-bit float.
    case bf16 = 2
    /// IEEE half precision.
    case f16 = 3
    /// Signed bytes with one half-precision scale for 32 of a row.
    case q8 = 4
    /// Four bits, minus eight, with one half-precision scale for 32 of a row.
    case q4 = 5
    /// Four bits with a half-precision scale and minimum for 32 of a row (GGUF's Q4_1).
    case q4m = 6
    /// Five bits, minus sixteen, with one half-precision scale for 32 of a row (GGUF's Q5_0).
    case q5 = 7
    /// Five bits with a half-precision scale and minimum for 32 of a row (GGUF's Q5_1).
    case q5m = 8
    /// Four bits; scale and minimum of 32 of a row are six bits times a half-precision factor of 256 (GGUF's Q4_K).
    case q4k = 9
    /// Five bits, scaled as `q4k` (GGUF's Q5_K).
    case q5k = 10
    /// Six bits, minus 32; the scale of 16 of a row is a signed byte times a half-precision factor of 256 (GGUF's Q6_K).
    case q6k = 11

    /// The name that `--type` takes; of types that only GGUF files make, the name there.
    public var name: String {
        switch self {
        case .f32: "f32"
        case .bf16: "bf16"
        case .f16: "f16"
        case .q8: "q8"
        case .q4: "q4"
        case .q4m: "q4m"
        case .q5: "q5_0"
        case .q5m: "q5_1"
        case .q4k: "q4_k"
        case .q5k: "q5_k"
        case .q6k: "q6_k"
        }
    }

    /// The type that is called `name`.
    public init?(name: String) {
        guard let found = WeightType.allCases.first(where: { $0.name == name }) else { return nil }
        self = found
    }

    /// Whether activations are rounded to int8 before they meet such weights.
    public var isInteger: Bool {
        switch self {
        case .f32, .bf16, .f16: false
        case .q8, .q4, .q4m, .q5, .q5m, .q4k, .q5k, .q6k: true
        }
    }

    /// Whether other weights can be rounded to it when they are loaded; the others are held only where a file stores them.
    public var isRoundedTo: Bool {
        switch self {
        case .f32, .bf16, .f16, .q8, .q4: true
        case .q4m, .q5, .q5m, .q4k, .q5k, .q6k: false
        }
    }
}
