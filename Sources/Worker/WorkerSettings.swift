public import Core
public import Threads
public import Transport

/// What a worker is told when it starts.
public struct WorkerSettings: Sendable {
    /// Where the coordinator listens.
    public var coordinator: String
    /// The cluster's keys, or none.
    public var security: Security
    /// Its name, unique in the cluster.
    public var name: WorkerID
    /// Compute threads.
    public var threads: Int
    /// Bytes it offers for weights and KV cache.
    public var memory: Int
    /// Its own copy of the model, or nil to get its slice from the coordinator.
    public var model: String?
    /// Where its data link listens: `tcp://HOST:0` or `ipc://*`.
    public var dataEndpoint: String
    /// Whether the data link may listen where others can reach it without keys.
    public var insecure: Bool
    /// The folder for weights that came from the coordinator, or nil to keep them in memory only.
    public var cache: String?
    /// Bytes that its KV pool may take, or nil for what goes with `memory`.
    public var kvMemory: Int?
    /// Bytes of a file that its KV pool may take besides, 0 for none.
    public var kvSpill: Int
    /// Bytes of KV pages to keep on disk, or nil for none.
    public var kvDisk: Int?
    /// The folder for those.
    public var kvFolder: String?
    /// The NUMA nodes that it keeps to, or nil where there is nothing to choose.
    public var place: Placement?
    /// The processor of each compute thread, or nil where they may move.
    public var pins: [Int?]?
    /// What it says while it runs, a line at a time.
    public var log: @Sendable (String) -> Void
    /// What it writes down about sequences: what happened, and the facts by name.
    public var record: @Sendable (String, [(String, String)]) -> Void

    /// Settings.
    public init(
        coordinator: String, security: Security = .open, name: WorkerID, threads: Int, memory: Int,
        model: String? = nil, dataEndpoint: String, insecure: Bool = false, cache: String? = nil,
        kvMemory: Int? = nil, kvSpill: Int = 0, kvDisk: Int? = nil, kvFolder: String? = nil,
        place: Placement? = nil, pins: [Int?]? = nil,
        record: @escaping @Sendable (String, [(String, String)]) -> Void = { _, _ in },
        log: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.coordinator = coordinator
        self.security = security
        self.name = name
        self.threads = threads
        self.memory = memory
        self.model = model
        self.dataEndpoint = dataEndpoint
        self.insecure = insecure
        self.cache = cache
        self.kvMemory = kvMemory
        self.kvSpill = kvSpill
        self.kvDisk = kvDisk
        self.kvFolder = kvFolder
        self.place = place
        self.pins = pins
        self.record = record
        self.log = log
    }
}
