import Checkpoint
import Core
import Kernels

extension Configuration {
    /// What a file says of context and scaling.
    struct Context {
        /// Tokens the model was trained for.
        var original: Int
        /// Tokens allowed.
        var length: Int
        /// nil where nothing is scaled.
        var scaling: RotaryScaling?
        /// What a reader should know.
        var warnings: [String]
    }

    /// The base and the rotated dimensions that every kind of scaling is defined for.
    var isScalable: Bool { ropeTheta > 1 && rotaryDim > 2 }

    /// The rotary embedding in a few words.
    public var rotarySummary: String {
        let scaled = ropeScaling.map { ", \($0.kind.rawValue) \($0.factor) x \($0.originalContext)" } ?? ""
        return "\(rotaryDim) of \(headDim), base \(ropeTheta)\(scaled)"
    }

    /// The scaling of config.json: `rope_scaling`, or `rope_parameters` in newer files.
    ///
    /// - Parameter stated: The context the file states (`max_position_embeddings`, `seq_length`).
    static func context(_ stated: Int, configJSON source: ConfigurationSource) throws -> Context {
        for name in ["rope_scaling", "rope_parameters"] {
            guard let keys = try source.object(name) else { continue }
            guard let type = try keys.string("rope_type") ?? keys.string("type") else {
                if keys.has("factor") { throw keys.missing("rope_type") }
                continue
            }
            if type == "default" { continue }
            let kind = try RotaryScaling.Kind(type, key: "\(name).\(keys.spelled(["rope_type", "type"]))", source)
            let factor = try keys.factor("factor")
            let original = try keys.integer("original_max_position_embeddings", in: Bounds.context) ?? stated
            var attention = try keys.number("attention_factor", in: Bounds.attentionFactor)
            if attention == nil, kind == .yarn, let one = try keys.number("mscale", in: 0...1e3),
                let all = try keys.number("mscale_all_dim", in: 0...1e3), one > 0, all > 0
            {
                attention =
                    RotaryScaling.yarnMagnitude(factor, multiplier: one)
                    / RotaryScaling.yarnMagnitude(factor, multiplier: all)
            }
            let scaling = RotaryScaling(
                kind: kind, factor: factor, originalContext: original, attentionFactor: kind == .yarn ? attention : nil,
                betaFast: try keys.number("beta_fast", in: Bounds.turns) ?? 32,
                betaSlow: try keys.number("beta_slow", in: Bounds.turns) ?? 1,
                truncatesRamp: try keys.bool("truncate") ?? true)
            return try Context(stated, scaling, key: "\(name).factor", source)
        }
        return Context(original: stated, length: stated, scaling: nil, warnings: [])
    }

    /// The scaling of a GGUF file's `rope.scaling` keys. As llama.cpp reads them, a factor without a type is linear, and
    /// `attn_factor` multiplies the kind's own attention factor.
    static func context(_ stated: Int, gguf source: ConfigurationSource, prefix: String) throws -> Context {
        let keys = "\(prefix).rope.scaling."
        let factor = try source.factor(keys + "factor", "\(prefix).rope.scale_linear", absent: 1)
        let named = try source.string(keys + "type")
        guard let type = named ?? (factor == 1 ? nil : "linear"), type != "none" else {
            return Context(original: stated, length: stated, scaling: nil, warnings: [])
        }
        let kind = try RotaryScaling.Kind(type, key: keys + "type", source)
        if named != nil { _ = try source.factor(keys + "factor", "\(prefix).rope.scale_linear") }
        for (key, harmless) in [("yarn_ext_factor", 1.0), ("yarn_attn_factor", 1), ("yarn_log_multiplier", 0)] {
            if let value = try source.number(keys + key, in: -1e6...1e6), value != harmless {
                throw source.problem("\(keys)\(key) is \(value), which is not supported; expected \(harmless)")
            }
        }
        var scaling = RotaryScaling(
            kind: kind, factor: factor,
            originalContext: try source.integer(keys + "original_context_length", in: Bounds.context) ?? stated,
            betaFast: try source.number(keys + "yarn_beta_fast", in: Bounds.turns) ?? 32,
            betaSlow: try source.number(keys + "yarn_beta_slow", in: Bounds.turns) ?? 1)
        scaling.attentionFactor *= try source.number(keys + "attn_factor", in: Bounds.attentionFactor) ?? 1
        return try Context(stated, scaling, key: keys + "factor", source)
    }
}

extension Configuration.Context {
    /// A stated context that is not the original one is the stretched context, as far as the factor carries; one that is
    /// leaves it to the factor, as the published advice for GLM-4-0414 does.
    fileprivate init(_ stated: Int, _ scaling: RotaryScaling, key: String, _ source: ConfigurationSource) throws {
        guard scaling.betaFast >= scaling.betaSlow else {
            throw source.problem("beta_fast is \(scaling.betaFast), expected at least beta_slow, \(scaling.betaSlow)")
        }
        let reach = Double(scaling.originalContext) * scaling.factor
        guard reach <= Double(Bounds.context.upperBound) else {
            throw source.problem("\(key) is \(scaling.factor), too much for a context of \(scaling.originalContext)")
        }
        self.scaling = scaling
        original = scaling.originalContext
        length = stated == original ? Int(reach) : min(stated, Int(reach))
        warnings = []
        if stated != original, stated != Int(reach) {
            warnings.append(
                "\(key) \(scaling.factor) stretches \(original) tokens to \(Int(reach)), but the file states a context of \(stated): \(length) are allowed"
            )
        }
    }
}

extension RotaryScaling {
    /// Whether a scaling that came over the wire is one that a file could have given.
    var isInBounds: Bool {
        Bounds.ropeFactor.contains(factor) && Bounds.context.contains(originalContext)
            && 1e-6...1e6 ~= attentionFactor && Bounds.turns.contains(betaFast)
            && Bounds.turns.contains(betaSlow) && betaFast >= betaSlow
    }
}

extension RotaryScaling.Kind {
    /// The kind that a file names under `key`.
    fileprivate init(_ name: String, key: String, _ source: ConfigurationSource) throws {
        let known = Self.allCases.map(\.rawValue).joined(separator: ", ")
        if name == "dynamic" {
            throw source.problem(
                "\(key) dynamic is not supported: angles would change as a sequence grows; expected \(known), or remove it to run within the native context"
            )
        }
        guard let kind = Self(rawValue: name) else {
            throw source.problem(
                "\(key) \(name.printable) is not supported; expected \(known), or remove it to run within the native context"
            )
        }
        self = kind
    }
}

extension ConfigurationSource {
    /// A scaling's factor; without `absent` it must be there.
    fileprivate func factor(_ key: String, _ other: String? = nil, absent: Double? = nil) throws -> Double {
        let found = try number(key, in: Bounds.ropeFactor) ?? other.flatMap { try number($0, in: Bounds.ropeFactor) }
        guard let factor = found ?? absent else { throw missing(key) }
        return factor
    }
}
