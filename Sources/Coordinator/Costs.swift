public import Cluster
public import Core
public import GLM

extension ModelShape {
    /// The dimensions of a model whose weights take what `needs` says.
    public init(_ configuration: Configuration, needs: ModelNeeds) {
        self.init(
            layers: configuration.layers, hidden: configuration.hidden, heads: configuration.heads,
            kvHeads: configuration.kvHeads, headDim: configuration.headDim, ffn: configuration.ffn,
            vocabulary: configuration.vocabulary, weightBytes: 1)
        weightBytes = Double(needs.layerBytes) / Double(layerWeights)
    }
}

extension Plan {
    /// What each worker of the plan computes and holds; `about` tells a worker's offer and how fast it is.
    public func parts(
        _ configuration: Configuration, kvType: KVType, about: (WorkerID) -> (offer: Offer, rates: WorkerRates)
    ) -> [[WorkerPart]] {
        places.map { stage in
            stage.map { place in
                let slice = place.slice
                let shares = Shares(configuration, leaves: slice.leaves)
                let (offer, rates) = about(place.worker)
                return WorkerPart(
                    worker: place.worker, host: offer.host, threads: offer.threads, memory: offer.memory, rates: rates,
                    layers: slice.layers.count, heads: shares.heads, kvHeads: shares.kvHeads, ffn: shares.ffn.count,
                    vocabulary: slice.isLast ? slice.vocabulary.count : 0, roots: shares.subtrees.count,
                    share: Stage.kvShare(configuration, slice: slice), weightBytes: place.weightBytes,
                    pageBytes: Stage.kvPageBytes(configuration, slice: slice, kvType: kvType))
            }
        }
    }
}
