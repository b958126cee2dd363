public import Core

/// What a worker brings to the cluster.
public struct Offer: Hashable, Sendable {
    /// Who.
    public var worker: WorkerID
    /// Bytes it may use for weights and KV cache.
    public var memory: Int
    /// Compute threads.
    public var threads: Int
    /// Workers of one host are placed side by side, so that the ranks of a stage talk over the shortest way.
    public var host: String
    /// Bytes that its KV pool may take, or nil for what its weights leave.
    public var kvMemory: Int?
    /// Bytes of a file that its KV pool may take besides: slower.
    public var kvSpill: Int
    /// Processors of its host, which other workers may share, or nil when that is not known.
    public var processors: Int?

    /// An offer.
    public init(
        worker: WorkerID, memory: Int, threads: Int, host: String = "", kvMemory: Int? = nil,
        kvSpill: Int = 0, processors: Int? = nil
    ) {
        self.worker = worker
        self.memory = memory
        self.threads = threads
        self.host = host
        self.kvMemory = kvMemory
        self.kvSpill = kvSpill
        self.processors = processors
    }
}

extension Offer {
    /// Bytes of memory for KV cache beside `weightBytes` of weights.
    public func kvMemoryBytes(besideWeights weightBytes: Int) -> Int {
        kvMemory ?? Plan.kvBudget(memory: memory, weightBytes: weightBytes)
    }

    /// Bytes for KV cache beside `weightBytes` of weights, in memory and in a file.
    public func kvBytes(besideWeights weightBytes: Int) -> Int {
        kvMemoryBytes(besideWeights: weightBytes) + kvSpill
    }
}

/// What a model asks of a cluster, in bytes as the weights will be held.
public struct ModelNeeds: Hashable, Sendable {
    /// Layers.
    public var layers: Int
    /// Key-value heads: more ranks than these hold some heads twice.
    public var kvHeads: Int
    /// Rows of the output matrix.
    public var vocabulary: Int
    /// Weights of one layer.
    public var layerBytes: Int
    /// The embedding, which the first stage holds.
    public var embeddingBytes: Int
    /// The output matrix, which the last stage divides among its ranks.
    public var outputBytes: Int

    /// A model's needs.
    public init(
        layers: Int, kvHeads: Int, vocabulary: Int, layerBytes: Int, embeddingBytes: Int, outputBytes: Int
    ) {
        self.layers = layers
        self.kvHeads = kvHeads
        self.vocabulary = vocabulary
        self.layerBytes = layerBytes
        self.embeddingBytes = embeddingBytes
        self.outputBytes = outputBytes
    }
}

/// A number of bytes for people: `3.2 GB`.
public func bytesInWords(_ bytes: Int) -> String {
    var unit = 1
    var name = "bytes"
    for (size, next) in [(1_000, "kB"), (1_000_000, "MB"), (1_000_000_000, "GB")] where bytes >= size {
        unit = size
        name = next
    }
    guard unit > 1 else { return "\(bytes) \(name)" }
    let tenths = bytes / (unit / 10)
    return "\(tenths / 10).\(tenths % 10) \(name)"
}
