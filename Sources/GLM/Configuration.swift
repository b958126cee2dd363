public import Checkpoint
public import Core
public import Kernels

/// A model's dimensions and habits, as config.json or GGUF metadata give them.
///
/// A configuration that exists is in bounds: no product of its dimensions overflows, heads divide into KV heads, and
/// nothing in it is of a kind that the forward pass does not know.
public struct Configuration: Sendable, Codable, Hashable {
    /// The families of forward passes.
    public enum Architecture: String, Sendable, Codable {
        /// ChatGLM3, GLM-4, CodeGeeX4 in the original or GGUF layout.
        case chatglm
        /// The same model in the Hugging Face layout.
        case glm
        /// GLM-4-0414: two more norms a layer.
        case glm4
        /// Llama-like small models in GGUF files.
        case llama
    }

    /// The family.
    public var architecture: Architecture
    /// The model's name: the folder's, or the one in a GGUF file.
    public var name: String
    /// Decoder layers.
    public var layers: Int
    /// Elements of the residual stream.
    public var hidden: Int
    /// Query heads.
    public var heads: Int
    /// Key and value heads.
    public var kvHeads: Int
    /// Elements of a head.
    public var headDim: Int
    /// Inner size of the feed-forward.
    public var ffn: Int
    /// Rows of embedding and output.
    public var vocabulary: Int
    /// The longest sequence: what the model was trained for, or what its scaling stretches that to.
    public var contextLength: Int
    /// What the norms add to the mean square.
    public var eps: Float
    /// The base of the rotary angles.
    public var ropeTheta: Double
    /// How the rotary angles are stretched; nil is the model's native context.
    public var ropeScaling: RotaryScaling?
    /// Leading elements of each head that are rotated, in adjacent pairs.
    public var rotaryDim: Int
    /// Whether Q, K and V have biases.
    public var qkvBias: Bool
    /// Whether attention and feed-forward are normed before they are added, too.
    public var sandwichNorms: Bool
    /// Whether the output matrix is the embedding.
    public var tiedEmbeddings: Bool
    /// Tokens that end an answer.
    public var stopTokens: [TokenID]
    /// What a reader should know: a value that was corrected, one line each.
    public var warnings: [String]

    /// The configuration of an opened checkpoint.
    public init(_ checkpoint: Checkpoint) throws {
        switch checkpoint.format {
        case .safetensors: self = try Configuration(configJSON: checkpoint)
        case .gguf: self = try Configuration(gguf: checkpoint)
        }
        try check(ConfigurationSource(checkpoint))
    }

    /// A configuration with these values, unchecked: `Configuration(_:)` reads and checks a checkpoint's.
    init(
        architecture: Architecture, name: String, layers: Int, hidden: Int, heads: Int, kvHeads: Int, headDim: Int,
        ffn: Int, vocabulary: Int, contextLength: Int, eps: Float, ropeTheta: Double, ropeScaling: RotaryScaling? = nil,
        rotaryDim: Int, qkvBias: Bool, sandwichNorms: Bool, tiedEmbeddings: Bool, stopTokens: [TokenID],
        warnings: [String] = []
    ) {
        self.architecture = architecture
        self.name = name
        self.layers = layers
        self.hidden = hidden
        self.heads = heads
        self.kvHeads = kvHeads
        self.headDim = headDim
        self.ffn = ffn
        self.vocabulary = vocabulary
        self.contextLength = contextLength
        self.eps = eps
        self.ropeTheta = ropeTheta
        self.ropeScaling = ropeScaling
        self.rotaryDim = rotaryDim
        self.qkvBias = qkvBias
        self.sandwichNorms = sandwichNorms
        self.tiedEmbeddings = tiedEmbeddings
        self.stopTokens = stopTokens
        self.warnings = warnings
    }

    /// Bytes of KV cache for one token at `bytesPerElement`.
    public func kvBytesPerToken(bytesPerElement: Int = 2) -> Int { layers * 2 * kvHeads * headDim * bytesPerElement }

    /// Checks what came over the wire: the bounds that a file's keys are held to.
    func checkBounds() throws {
        let bounded = [
            (layers, Bounds.layers), (hidden, Bounds.hidden), (heads, Bounds.heads), (kvHeads, 1...max(1, heads)),
            (headDim, Bounds.headDim), (rotaryDim, 2...max(2, headDim)), (ffn, Bounds.ffn),
            (vocabulary, Bounds.vocabulary), (contextLength, Bounds.context),
        ]
        for (value, bounds) in bounded where !bounds.contains(value) {
            throw Problem.invalid(
                "a model's dimension is \(value), expected \(bounds.lowerBound) to \(bounds.upperBound)")
        }
        guard heads % kvHeads == 0, rotaryDim % 2 == 0 else {
            throw Problem.invalid(
                "a model of \(heads) heads, \(kvHeads) KV heads and \(rotaryDim) rotated elements cannot be")
        }
        if let scaling = ropeScaling, !isScalable || !scaling.isInBounds {
            throw Problem.invalid("a model's rotary scaling is out of bounds; do all processes run the same version?")
        }
    }

    /// What no single key can get wrong alone.
    private func check(_ source: ConfigurationSource) throws {
        guard heads % kvHeads == 0 else {
            let spelled = source.spelled([
                "num_key_value_heads", "multi_query_group_num", "\(architecture).attention.head_count_kv",
            ])
            throw source.problem("\(spelled) is \(kvHeads), expected a divisor of the \(heads) attention heads")
        }
        guard rotaryDim % 2 == 0, rotaryDim >= 2, rotaryDim <= headDim else {
            throw source.problem(
                "\(rotaryDim) of \(headDim) elements of a head would be rotated, expected an even part")
        }
        guard ropeScaling == nil || isScalable else {
            throw source.problem("a rotary base of \(ropeTheta) over \(rotaryDim) elements cannot be scaled")
        }
        for token in stopTokens where token < 0 || token >= vocabulary {
            throw source.problem("the stop token \(token) is outside the vocabulary of \(vocabulary)")
        }
    }
}

/// The largest dimensions that are believed: several times those of any model of the family, and far from overflow.
enum Bounds {
    static let layers = 1...1024
    static let hidden = 1...131_072
    static let heads = 1...1024
    static let headDim = 2...1024
    static let ffn = 1...1_048_576
    static let vocabulary = 1...4_194_304
    static let context = 1...(1 << 30)
    static let ropeFactor = 1.0...4096
    static let attentionFactor = 1e-3...1e3
    /// Turns of a pair of rotated elements within a context: YaRN's beta.
    static let turns = 1e-3...1e6
}

/// Reads keys of a checkpoint's configuration; its problems name the key as the file spells it.
struct ConfigurationSource {
    private let values: [String: ConfigValue]
    private let file: String
    /// What stands before a key in messages: the object's name and a dot.
    private let prefix: String

    init(_ checkpoint: Checkpoint) {
        values = checkpoint.config
        prefix = ""
        switch checkpoint.format {
        case .safetensors: file = checkpoint.folder + "config.json"
        case .gguf: file = checkpoint.path
        }
    }

    /// The keys of the object `name` inside.
    private init(_ values: [String: ConfigValue], named name: String, of outer: ConfigurationSource) {
        self.values = values
        file = outer.file
        prefix = outer.prefix + name + "."
    }

    /// A problem with this configuration.
    func problem(_ what: String) -> Problem { Problem.invalid("\(file): \(what)") }

    /// The problem that a key is not there.
    func missing(_ key: String) -> Problem {
        problem("\(prefix)\(key) is missing; is this the model's own configuration?")
    }

    /// The value of the first of `keys` that is there and not null.
    func value(_ keys: [String]) -> (key: String, value: ConfigValue)? {
        for key in keys {
            if let value = values[key], !value.isNull { return (key, value) }
        }
        return nil
    }

    /// Whether a key is there and not null.
    func has(_ key: String) -> Bool { value([key]) != nil }

    /// The first of `keys` that the file has, or else the first.
    func spelled(_ keys: [String]) -> String { value(keys)?.key ?? keys[0] }

    /// A whole number in `bounds`; nil stands for a missing key.
    func integer(_ keys: String..., in bounds: ClosedRange<Int>) throws -> Int? {
        guard let (key, value) = value(keys) else { return nil }
        guard let number = value.integer, bounds.contains(number) else {
            throw problem(
                "\(prefix)\(key) is \(value.summary), expected a whole number from \(bounds.lowerBound) to \(bounds.upperBound)"
            )
        }
        return number
    }

    /// A whole number in `bounds` that must be there.
    func required(_ keys: String..., in bounds: ClosedRange<Int>) throws -> Int {
        guard let (key, _) = value(keys), let number = try integer(key, in: bounds) else { throw missing(keys[0]) }
        return number
    }

    /// A number in `bounds`; nil stands for a missing key.
    func number(_ keys: String..., in bounds: ClosedRange<Double>) throws -> Double? {
        guard let (key, value) = value(keys) else { return nil }
        guard let number = value.number, bounds.contains(number) else {
            throw problem(
                "\(prefix)\(key) is \(value.summary), expected a number from \(bounds.lowerBound) to \(bounds.upperBound)"
            )
        }
        return number
    }

    /// A truth value; nil stands for a missing key.
    func bool(_ key: String) throws -> Bool? {
        guard let (_, value) = value([key]) else { return nil }
        guard let truth = value.bool else {
            throw problem("\(prefix)\(key) is \(value.summary), expected true or false")
        }
        return truth
    }

    /// A text; nil stands for a missing key.
    func string(_ key: String) throws -> String? {
        guard let (_, value) = value([key]) else { return nil }
        guard let text = value.string else { throw problem("\(prefix)\(key) is \(value.summary), expected a text") }
        return text
    }

    /// An object; nil stands for a missing key.
    func object(_ key: String) throws -> ConfigurationSource? {
        guard let (_, value) = value([key]) else { return nil }
        guard let members = value.object else {
            throw problem("\(prefix)\(key) is \(value.summary), expected an object")
        }
        return ConfigurationSource(members, named: key, of: self)
    }

    /// Token ids: one number, or a list of them.
    func tokens(_ key: String) throws -> [TokenID] {
        guard let (_, value) = value([key]) else { return [] }
        let numbers = value.integer.map { [$0] } ?? value.integers
        let tokens = numbers?.compactMap { TokenID(exactly: $0) }
        guard let tokens, tokens.count == numbers?.count, tokens.count <= 1024 else {
            throw problem("\(prefix)\(key) is \(value.summary), expected token ids")
        }
        return tokens
    }
}
