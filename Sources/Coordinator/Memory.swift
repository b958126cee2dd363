import Checkpoint
public import Cluster
public import Core
public import GLM

extension ModelNeeds {
    /// What a model needs when its weights are held as `type`, or as they are stored.
    public init(_ description: ModelDescription, type: WeightType?) {
        let c = description.configuration
        let stored = description.tensors.values
        let bytes = stored.reduce(0.0) { $0 + Double($1.byteCount ?? 0) }
        let elements = stored.reduce(0.0) { $0 + Double($1.elementCount ?? 0) }
        let storedSize = elements > 0 ? bytes / elements : 4
        let size = type.map(Self.bytesPerWeight) ?? storedSize
        let (hidden, width) = (Double(c.hidden), Double(c.headDim))
        let attention = hidden * width * Double(2 * c.heads + 2 * c.kvHeads)
        let vocabulary = Double(c.vocabulary) * hidden
        self.init(
            layers: c.layers, kvHeads: c.kvHeads, vocabulary: c.vocabulary,
            layerBytes: Int((attention + 3 * hidden * Double(c.ffn)) * size),
            embeddingBytes: Int(vocabulary * storedSize), outputBytes: Int(vocabulary * size))
    }

    private static func bytesPerWeight(_ type: WeightType) -> Double {
        switch type {
        case .f32: 4
        case .bf16, .f16: 2
        case .q8: 34.0 / 32
        case .q4: 18.0 / 32
        case .q4m: 20.0 / 32
        }
    }
}

extension Plan {
    /// Tokens of KV cache that every worker of the plan has memory for, besides its weights.
    ///
    /// More than four whole contexts, or 65,536 tokens, is not reserved.
    func kvTokens(
        _ description: ModelDescription, kvType: KVType, memory: (WorkerID) -> Int
    ) throws -> Int {
        var tokens = max(description.configuration.contextLength.multipliedClamping(by: 4), 65_536)
        for place in allPlaces {
            let share = Stage.kvShare(description.configuration, slice: place.slice)
            let pageBytes = Stage.kvPageBytes(description.configuration, slice: place.slice, kvType: kvType)
            let free = Self.kvBudget(memory: memory(place.worker), weightBytes: place.weightBytes)
            let fits = share.tokens(inPages: free / pageBytes, atMost: tokens)
            guard fits >= Slots.pageTokens else {
                throw Problem.invalid(
                    "layout \(layout) does not fit: worker \(place.worker) has no memory for KV cache beside \(place.weightBytes) bytes of weights; give it more --memory or add workers"
                )
            }
            tokens = min(tokens, fits)
        }
        return tokens
    }
}

extension Int {
    fileprivate func multipliedClamping(by factor: Int) -> Int {
        let (product, overflow) = multipliedReportingOverflow(by: factor)
        return overflow ? .max : product
    }
}
