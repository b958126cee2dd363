import Glibc

/// How a model's rotary angles are stretched beyond the context it was trained with.
///
/// Each kind is static: it changes short sequences too, and an angle depends on the position alone, so chunks, cached
/// keys and layouts agree. Formulas, and where each is rounded to f32: `_compute_linear_scaling_rope_parameters` and
/// `_compute_yarn_parameters` of transformers' modeling_rope_utils; the YaRN paper (arXiv 2309.00071).
public struct RotaryScaling: Sendable, Codable, Hashable {
    /// The kinds, named as config.json names them.
    public enum Kind: String, Sendable, Codable, CaseIterable {
        /// Every theta divided by the factor.
        case linear
        /// Low frequencies divided by the factor, high ones kept, a ramp between them.
        case yarn
        /// A larger base: base * factor^(rotaryDim / (rotaryDim - 2)), the paper's fixed "NTK-aware" interpolation.
        case ntk
    }

    /// What is done.
    public var kind: Kind
    /// How many times longer the context becomes, 1 or more.
    public var factor: Double
    /// The context the model was trained with, in tokens.
    public var originalContext: Int
    /// What cosines and sines are multiplied by.
    public var attentionFactor: Double
    /// YaRN: pairs that turn more often than this within the original context are kept.
    public var betaFast: Double
    /// YaRN: pairs that turn less often than this are divided by the factor.
    public var betaSlow: Double
    /// YaRN: whether the ramp's ends are moved out to whole pairs.
    public var truncatesRamp: Bool

    /// A scaling; a missing attention factor is the kind's own: YaRN's is 0.1 ln(factor) + 1.
    public init(
        kind: Kind, factor: Double, originalContext: Int, attentionFactor: Double? = nil, betaFast: Double = 32,
        betaSlow: Double = 1, truncatesRamp: Bool = true
    ) {
        self.kind = kind
        self.factor = factor
        self.originalContext = originalContext
        self.attentionFactor = attentionFactor ?? (kind == .yarn ? Self.yarnMagnitude(factor) : 1)
        self.betaFast = betaFast
        self.betaSlow = betaSlow
        self.truncatesRamp = truncatesRamp
    }

    /// YaRN's sharper attention for a factor, (0.1 m ln(factor) + 1), with a model's own multiplier m.
    public static func yarnMagnitude(_ factor: Double, multiplier: Double = 1) -> Double {
        factor <= 1 ? 1 : 0.1 * multiplier * log(factor) + 1
    }

    /// The base of the angles.
    func base(_ base: Double, rotaryDim: Int) -> Double {
        kind == .ntk ? base * pow(factor, Double(rotaryDim) / Double(rotaryDim - 2)) : base
    }

    /// The scaled thetas of the pairs whose 1 / theta are `powers`, in f32 as the reference computes them.
    func inverseFrequencies(powers: [Float], base: Double, rotaryDim: Int) -> [Float] {
        let factor = Float(factor)
        switch kind {
        case .ntk: return powers.map { 1 / $0 }
        case .linear: return powers.map { 1 / $0 / factor }
        case .yarn:
            var (low, high) = (pair(turning: betaFast, base, rotaryDim), pair(turning: betaSlow, base, rotaryDim))
            if truncatesRamp { (low, high) = (low.rounded(.down), high.rounded(.up)) }
            (low, high) = (max(low, 0), min(high, Double(rotaryDim - 1)))
            if low == high { high += 0.001 }
            return powers.enumerated().map { i, power in
                let ramp = min(max((Float(i) - Float(low)) / Float(high - low), 0), 1)
                let kept = 1 - ramp
                return 1 / (factor * power) * (1 - kept) + 1 / power * kept
            }
        }
    }

    /// The pair, as a fraction of pairs, that turns so many times within the original context.
    private func pair(turning turns: Double, _ base: Double, _ rotaryDim: Int) -> Double {
        Double(rotaryDim) * log(Double(originalContext) / (turns * 2 * .pi)) / (2 * log(base))
    }
}
