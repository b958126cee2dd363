import Checkpoint
import Core
import KVCache
import Kernels
import Threads

/// One decoder layer's share of weights.
struct LayerWeights: Sendable {
    let inputNorm: StoredVector  // [hidden]
    let q: PackedMatrix?  // [heads headDim, hidden]
    let k: PackedMatrix?  // [KV heads headDim, hidden]
    let v: PackedMatrix?  // [KV heads headDim, hidden]
    let o: PackedMatrix?  // [hidden, heads headDim]
    let afterAttentionNorm: StoredVector?  // [hidden], glm4 only
    let preFeedForwardNorm: StoredVector  // [hidden]
    let gate: PackedMatrix?  // [ffn, hidden]
    let up: PackedMatrix?  // [ffn, hidden]
    let down: PackedMatrix?  // [hidden, ffn]
    let afterFeedForwardNorm: StoredVector?  // [hidden], glm4 only

    /// All packed matrices that are there.
    var matrices: [PackedMatrix] { [q, k, v, o, gate, up, down].compactMap { $0 } }
}

/// Everything of the checkpoint that one worker computes with. A rank whose leaves are empty holds no matrices there.
struct SliceWeights: Sendable {
    let layers: [LayerWeights]
    /// The last stage's norm, [hidden].
    let finalNorm: StoredVector?
    /// The rank's rows of the output matrix, [vocabulary share, hidden].
    let output: PackedMatrix?

    /// Bytes in memory.
    var byteCount: Int {
        matrices.reduce(0) { $0 + $1.byteCount }
    }

    /// Every packed matrix.
    let matrices: [PackedMatrix]

    /// Reads and packs a slice, or takes what `cache` has of it. `progress` hears shares of the whole, from 0 to 1.
    init(
        _ description: ModelDescription, slice: Slice, shares: Shares, source: any TensorSource, type: WeightType?,
        cache: PackedCache?, team: Team, progress: (Double) -> Void
    ) throws {
        let configuration = description.configuration
        let names = try TensorNames(configuration: configuration, tensors: description.tensors)
        let headDim = configuration.headDim
        let heads = shares.heads.lowerBound * headDim..<shares.heads.upperBound * headDim
        let kvHeads = shares.kvHeads.lowerBound * headDim..<shares.kvHeads.upperBound * headDim
        let ffn = shares.ffn
        let all = 0..<configuration.hidden
        func pack(
            _ place: MatrixPlace, _ rows: Range<Int>, columns: Range<Int>? = nil, bias: MatrixPlace? = nil
        ) throws -> PackedMatrix? {
            if rows.isEmpty || columns?.isEmpty == true { return nil }
            return try PackedMatrix(
                place, rows: rows, columns: columns, biasPlace: bias, source: source, type: type, cache: cache,
                team: team)
        }
        let steps = Double(slice.layers.count + (slice.isLast ? 1 : 0))
        var layers: [LayerWeights] = []
        for layer in slice.layers {
            layers.append(
                LayerWeights(
                    inputNorm: try StoredVector(names.inputNorm(layer), source: source),
                    q: try pack(names.q(layer), heads, bias: names.qBias(layer)),
                    k: try pack(names.k(layer), kvHeads, bias: names.kBias(layer)),
                    v: try pack(names.v(layer), kvHeads, bias: names.vBias(layer)),
                    o: try pack(names.o(layer), all, columns: heads),
                    afterAttentionNorm: try names.postSelfAttentionNorm(layer).map {
                        try StoredVector($0, source: source)
                    },
                    preFeedForwardNorm: try StoredVector(names.postAttentionNorm(layer), source: source),
                    gate: try pack(names.gate(layer), ffn), up: try pack(names.up(layer), ffn),
                    down: try pack(names.down(layer), all, columns: ffn),
                    afterFeedForwardNorm: try names.postMLPNorm(layer).map { try StoredVector($0, source: source) }))
            progress(Double(layers.count) / steps)
        }
        self.layers = layers
        if slice.isLast {
            finalNorm = try StoredVector(names.finalNorm, source: source)
            output = try pack(names.output, slice.vocabulary)
            progress(1)
        } else {
            finalNorm = nil
            output = nil
        }
        matrices = layers.flatMap(\.matrices) + (output.map { [$0] } ?? [])
    }
}
