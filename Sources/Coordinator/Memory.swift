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
        case .q5: 22.0 / 32
        case .q5m: 24.0 / 32
        case .q4k: 148.0 / 256
        case .q5k: 180.0 / 256
        case .q6k: 210.0 / 256
        }
    }
}

extension Plan {
    /// Pages of the KV pool of every worker, and how many of them are memory.
    ///
    /// With `kvTokens` each has its part of so many tokens, else what its memory holds; more than four whole contexts, or 65,536
    /// tokens, is not reserved.
    func kvPages(
        _ description: ModelDescription, kvType: KVType, kvTokens: Int?, offer: (WorkerID) -> Offer?
    ) throws -> [WorkerID: (pages: Int, memory: Int)] {
        let most = kvTokens ?? max(description.configuration.contextLength.multipliedClamping(by: 4), 65_536)
        var pages: [WorkerID: (pages: Int, memory: Int)] = [:]
        for place in allPlaces {
            let share = Stage.kvShare(description.configuration, slice: place.slice)
            let pageBytes = Stage.kvPageBytes(description.configuration, slice: place.slice, kvType: kvType)
            let free = offer(place.worker)?.kvBytes(besideWeights: place.weightBytes) ?? 0
            let wanted = share.capacity(tokens: most)
            let own = kvTokens == nil ? min(wanted, free / max(pageBytes, 1)) : wanted
            guard share.tokens(inPages: own, atMost: most) >= Slots.pageTokens || wanted == 0 else {
                throw Problem.invalid(
                    "layout \(layout) does not fit: worker \(place.worker) has \(bytesInWords(free)) for KV cache beside \(bytesInWords(place.weightBytes)) of weights, and a page takes \(bytesInWords(pageBytes)); give it more --memory or add workers"
                )
            }
            let memory = offer(place.worker)?.kvMemoryBytes(besideWeights: place.weightBytes) ?? 0
            let isSpilled = kvTokens == nil && offer(place.worker)?.kvSpill ?? 0 > 0
            pages[place.worker] = (own, isSpilled ? min(own, memory / max(pageBytes, 1)) : own)
        }
        return pages
    }

    /// Tokens of the longest sequence that fits when every worker gives its KV pool what it can.
    func capacity(_ description: ModelDescription, kvType: KVType, offer: (WorkerID) -> Offer?) -> Int {
        let most = description.configuration.contextLength.multipliedClamping(by: 4)
        return allPlaces.map { place in
            let share = Stage.kvShare(description.configuration, slice: place.slice)
            let pageBytes = Stage.kvPageBytes(description.configuration, slice: place.slice, kvType: kvType)
            let free = offer(place.worker)?.kvBytes(besideWeights: place.weightBytes) ?? 0
            return share.tokens(inPages: free / max(pageBytes, 1), atMost: most)
        }.min() ?? 0
    }
}

extension Int {
    fileprivate func multipliedClamping(by factor: Int) -> Int {
        let (product, overflow) = multipliedReportingOverflow(by: factor)
        return overflow ? .max : product
    }
}
