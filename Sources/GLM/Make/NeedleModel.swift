public import Checkpoint
public import Core
import Glibc

/// A GLM whose weights are computed, not trained: it recalls the value of `key=ddd` from any distance.
///
/// Layer 0's four heads look one to four tokens back, by rotary angles alone, and copy those tokens' codes; its
/// feed-forward writes, behind every `=`, the key's code with the sign of each digit. The last layer's heads find the
/// place where key and sign match, and its feed-forward passes the token there on to the output. Every head, both KV
/// groups and every page matter, so a page routed wrongly or a merge done wrongly gives a wrong answer.
public struct NeedleModel {
    private static let heads = 4
    private static let kvHeads = 2
    private static let headDim = 32
    private static let hidden = 160
    private static let ffn = 256
    private static let pairs = 8
    private static let base = 10_000.0
    /// Amplitude of a rotary pair in the offset heads' scores, in nats.
    private static let peak = 80.0
    /// Score of a full match in the recall heads, in nats.
    private static let match = 90.0
    /// Steepness of the gates.
    private static let sharp = 4.0

    // The residual stream: five fields of sixteen for the codes of the token 0 to 4 places back, then these.
    private static let keyField = 80
    private static let queryField = 96
    private static let recallField = 112
    private static let outputField = 128
    private static let one = 144

    /// The keys that the model knows.
    public static let keys = [
        "amber", "basil", "cedar", "delta", "ember", "flint", "grove", "heron", "ivory", "jetty", "knoll", "lotus",
        "maple", "noble", "ocean", "pearl", "quill", "raven", "sable", "topaz", "umber", "vigil", "wharf", "xenon",
        "yacht", "zebra", "birch", "crane", "dusky", "eagle", "frost", "gleam",
    ]

    private let model: MadeModel
    /// The tensors that are not all zero, or all one for norms.
    private var weights: [String: [Double]] = [:]
    private var shapes: [String: [Int]] = [:]

    /// Writes a needle model to `folder`. Layers beyond two do nothing: they stand between the two that work, so that
    /// hidden states cross all of them.
    public static func make(
        folder: String, layers: Int = 2, type: WeightType = .f32, format: Checkpoint.Format? = nil
    ) throws {
        guard (2...1024).contains(layers) else {
            throw Problem.invalid("a needle model has 2 to 1024 layers, not \(layers)")
        }
        let format = format ?? (type.isInteger ? .gguf : .safetensors)
        let needle = NeedleModel(layers: layers)
        let writer = try needle.model.begin(folder: folder, type: type, format: format)
        for tensor in needle.model.tensors {
            let stored = try MadeModel.storedType(type, format)
            let own = tensor.shape.count == 1 && format == .gguf ? StoredType.f32 : stored
            var bytes: [UInt8] = []
            StoredEncoding.append(needle.values(of: tensor.name, tensor.shape), as: own, to: &bytes)
            try writer.write(bytes)
        }
        try writer.finish()
    }

    private func values(of name: String, _ shape: [Int]) -> [Float] {
        if let values = weights[name] { return values.map { Float($0) } }
        return [Float](repeating: name.hasSuffix("norm.weight") ? 1 : 0, count: shape.reduce(1, *))
    }

    /// The vocabulary: the bytes, then every key's beginnings, the key, and the key behind a space.
    private static func vocabulary() -> [[UInt8]] {
        var tokens = MadeModel.byteOrder.map { [$0] }
        for key in keys {
            let bytes = Array(key.utf8)
            for length in 2...bytes.count where !tokens.contains(Array(bytes.prefix(length))) {
                tokens.append(Array(bytes.prefix(length)))
            }
            tokens.append([UInt8(ascii: " ")] + bytes)
        }
        return tokens
    }

    private init(layers: Int) {
        let tokens = Self.vocabulary()
        let count = tokens.count + MadeModel.specials.count
        let rows = (count + 31) / 32 * 32
        var rank: [[UInt8]: Int] = [:]
        for (i, token) in tokens.enumerated() { rank[token] = i }
        func rankOf(_ text: String) -> Int { rank[Array(text.utf8)] ?? 0 }
        let dot = rankOf(".")
        let configuration = Configuration(
            architecture: .glm, name: "needle", layers: layers, hidden: Self.hidden, heads: Self.heads,
            kvHeads: Self.kvHeads, headDim: Self.headDim, ffn: Self.ffn, vocabulary: rows, contextLength: 1_048_576,
            eps: 1.5625e-7, ropeTheta: Self.base, rotaryDim: 2 * Self.pairs, qkvBias: true, sandwichNorms: false,
            tiedEmbeddings: false, stopTokens: MadeModel.stops(afterRanks: tokens.count) + [TokenID(dot)])
        model = MadeModel(
            configuration: configuration, tokens: tokens, chatTemplate: "plain", isRopeLiteral: true)
        shapes = Dictionary(uniqueKeysWithValues: model.tensors.map { ($0.name, $0.shape) })

        var keyRows: [Int: String] = [:]
        for key in Self.keys {
            for text in [key, " " + key] { keyRows[rankOf(text)] = key }
        }
        let codes = NeedleCodes.table(count: count, keys: keyRows)
        for (token, code) in codes.enumerated() {
            for (d, value) in code.enumerated() { set("model.embed_tokens.weight", token, d, value) }
        }
        for row in 0..<rows { set("model.embed_tokens.weight", row, Self.one, 1) }
        lookBack()
        markFacts(equals: codes[rankOf("=")], dot: codes[dot])
        recall(layer: layers - 1)
        passOn(layer: layers - 1, equals: codes[rankOf("=")])
        let norm = Self.norm(17 + 64 + 32 + 16 + 16)
        for (token, code) in codes.enumerated() where keyRows[token] == nil {
            for (d, value) in code.enumerated() { set("lm_head.weight", token, Self.outputField + d, value / norm) }
        }
        set("lm_head.weight", dot, Self.one, 4 / norm)
    }

    private mutating func set(_ name: String, _ row: Int, _ column: Int, _ value: Double) {
        let shape = shapes[name] ?? []
        weights[name, default: [Double](repeating: 0, count: shape.reduce(1, *))][row * (shape.last ?? 1) + column] =
            value
    }

    /// What RMSNorm multiplies by when the squared length is `square`.
    private static func norm(_ square: Double) -> Double { (Double(hidden) / square).squareRoot() }

    /// Layer 0's attention: head h looks h + 1 tokens back. Keys are one constant, rotated by position; the query is
    /// the same constant rotated the other way; values are the tokens' codes.
    private mutating func lookBack() {
        let attention = "model.layers.0.self_attn."
        let amplitude = (Self.peak * Double(Self.headDim).squareRoot()).squareRoot()
        for group in 0..<Self.kvHeads {
            for pair in 0..<Self.pairs {
                set(attention + "k_proj.bias", 0, group * Self.headDim + 2 * pair, amplitude)
            }
            for d in 0..<16 { set(attention + "v_proj.weight", group * Self.headDim + d, d, 1 / Self.norm(17)) }
        }
        for head in 0..<Self.heads {
            let back = head + 1
            for pair in 0..<Self.pairs {
                let angle = pow(Self.base, Double(-2 * pair) / Double(2 * Self.pairs)) * Double(back)
                set(attention + "q_proj.bias", 0, head * Self.headDim + 2 * pair, amplitude * cos(angle))
                set(attention + "q_proj.bias", 0, head * Self.headDim + 2 * pair + 1, -amplitude * sin(angle))
            }
            for d in 0..<16 { set(attention + "o_proj.weight", 16 * back + d, head * Self.headDim + d, 1) }
        }
    }

    /// Layer 0's feed-forward: where the token j places back is `=`, the signed code of the key before it goes to the
    /// key field (a value's digits) and to the query field (where the next digit is asked for); behind the third digit
    /// the output becomes `.`.
    private mutating func markFacts(equals: [Double], dot: [Double]) {
        let scale = Self.norm(17 + 64)
        var n = 0
        for d in 0..<16 {
            for j in 1...3 {
                let field = [(Self.keyField + d, NeedleCodes.slots[j - 1][d])]
                gate(0, n, after: equals, j, from: 16 * (j + 1) + d, to: field, scale)
                n += 1
            }
            for j in 0...2 {
                let field = [(Self.queryField + d, NeedleCodes.slots[j][d])]
                gate(0, n, after: equals, j, from: 16 * (j + 1) + d, to: field, scale)
                n += 1
            }
        }
        gate(0, n, after: equals, 3, from: Self.one, to: dot.enumerated().map { (Self.outputField + $0, $1) }, scale)
    }

    /// Row `n` of a feed-forward: open where the token `back` places back has the code `code`; passes one element on.
    private mutating func gate(
        _ layer: Int, _ n: Int, after code: [Double], _ back: Int, from source: Int, to targets: [(Int, Double)],
        _ scale: Double
    ) {
        let mlp = "model.layers.\(layer).mlp."
        for (d, value) in code.enumerated() {
            set(mlp + "gate_up_proj.weight", n, 16 * back + d, Self.sharp * value / scale)
        }
        set(mlp + "gate_up_proj.weight", n, Self.one, -Self.sharp * 12 / scale)
        set(mlp + "gate_up_proj.weight", Self.ffn + n, source, 1 / scale)
        for (target, value) in targets { set(mlp + "down_proj.weight", target, n, value / (Self.sharp * 4)) }
    }

    /// The last layer's attention: each head finds the place whose key field equals the query field and delivers four
    /// of the sixteen elements of the code there, so that all heads and both KV groups are needed.
    private mutating func recall(layer: Int) {
        let attention = "model.layers.\(layer).self_attn."
        let norm = Self.norm(17 + 64 + 32)
        let gain = (Self.match / 16 * Double(Self.headDim).squareRoot()).squareRoot() / norm
        let still = 2 * Self.pairs
        for group in 0..<Self.kvHeads {
            for d in 0..<16 {
                set(attention + "k_proj.weight", group * Self.headDim + still + d, Self.keyField + d, gain)
                set(attention + "v_proj.weight", group * Self.headDim + d, d, 1 / norm)
            }
        }
        let share = 16 / Self.heads
        for head in 0..<Self.heads {
            for d in 0..<16 {
                set(attention + "q_proj.weight", head * Self.headDim + still + d, Self.queryField + d, gain)
            }
            for d in head * share..<(head + 1) * share {
                set(attention + "o_proj.weight", Self.recallField + d, head * Self.headDim + d, 1)
            }
        }
    }

    /// The last layer's feed-forward: what was recalled goes to the output where the query was active.
    private mutating func passOn(layer: Int, equals: [Double]) {
        let scale = Self.norm(17 + 64 + 32 + 16)
        for d in 0..<16 {
            for j in 0...2 {
                gate(
                    layer, 3 * d + j, after: equals, j, from: Self.recallField + d, to: [(Self.outputField + d, 1)],
                    scale)
            }
        }
    }
}
