public import Core
public import Tokenization
public import Transport

/// What a coordinator is told when it starts.
public struct CoordinatorSettings: Sendable {
    /// The model: a folder or a GGUF file.
    public var model: String
    /// Its tokenizer, or nil when it has none: then answers are tokens without text.
    public var tokenizer: Tokenizer?
    /// The name it is served under, or nil for its own.
    public var name: String?
    /// Where workers and gateways connect to: `tcp://HOST:PORT` or `ipc://PATH`.
    public var endpoints: [String]
    /// The cluster's keys, or none.
    public var security: Security
    /// Whether it may listen where others can reach it without keys.
    public var insecure: Bool
    /// The grid, or nil to choose one.
    public var layout: Layout?
    /// How many workers to wait for when there is no layout.
    public var workers: Int
    /// The weights' type in memory; nil keeps what the model has.
    public var weightType: WeightType?
    /// How keys and values are held; nil means what goes with the weights.
    public var kvType: KVType?
    /// Tokens of KV cache on every worker; nil takes what the workers' memory allows.
    public var kvTokens: Int?
    /// Whether workers that are spare are taken into the layout when a prompt needs their memory.
    public var scalesItself: Bool
    /// Tokens of a step while nobody decodes.
    public var chunk: Int
    /// How long a step may take while somebody decodes.
    public var latency: Duration
    /// Time between heartbeats; a worker that misses three is out.
    public var heartbeat: Duration
    /// The file of the journal, the API keys and what gateways keep, or nil to keep jobs in memory only.
    public var store: String?
    /// How long the answers of jobs that are over are remembered.
    public var retention: Duration
    /// How many jobs may wait.
    public var longestQueue: Int
    /// What it says while it runs, a line at a time.
    public var log: @Sendable (String) -> Void
    /// What it writes down about jobs: what happened, and the facts by name.
    public var record: @Sendable (String, [(String, String)]) -> Void

    /// Settings.
    public init(
        model: String, tokenizer: Tokenizer? = nil, name: String? = nil, endpoints: [String],
        security: Security = .open, insecure: Bool = false,
        layout: Layout? = nil, workers: Int = 1, weightType: WeightType? = nil, kvType: KVType? = nil,
        kvTokens: Int? = nil, scalesItself: Bool = false,
        chunk: Int = 512, latency: Duration = .milliseconds(250), heartbeat: Duration = .seconds(1),
        store: String? = nil, retention: Duration = .seconds(7 * 86_400), longestQueue: Int = 1000,
        record: @escaping @Sendable (String, [(String, String)]) -> Void = { _, _ in },
        log: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.model = model
        self.tokenizer = tokenizer
        self.name = name
        self.endpoints = endpoints
        self.security = security
        self.insecure = insecure
        self.layout = layout
        self.workers = workers
        self.weightType = weightType
        self.kvType = kvType
        self.kvTokens = kvTokens
        self.scalesItself = scalesItself
        self.chunk = chunk
        self.latency = latency
        self.heartbeat = heartbeat
        self.store = store
        self.retention = retention
        self.longestQueue = longestQueue
        self.record = record
        self.log = log
    }
}
