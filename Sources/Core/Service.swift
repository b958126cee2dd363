/// What a gateway can ask of a cluster. The coordinator offers it; a gateway reaches it over ZeroMQ.
public protocol ClusterService: Sendable {
    /// The model that is served, or a problem (`unavailable`) while there is none.
    func model() async throws -> ModelCard
    /// Accepts a job, or throws; `listener` is told its events, the first perhaps before this returns.
    func submit(_ request: JobRequest, listener: @escaping JobListener) async throws -> JobID
    /// Tells `listener` the events of a job from its beginning, replayed, then live.
    func events(of job: JobID, listener: @escaping JobListener) async throws
    /// Ends a job within one step.
    func cancel(_ job: JobID) async throws
    /// Every job the coordinator remembers, newest first.
    func jobs() async throws -> [JobState]
    /// One job.
    func job(_ id: JobID) async throws -> JobState
    /// The cluster as it is now.
    func status() async throws -> ClusterStatus
    /// The last steps, oldest first: who computed and who waited when.
    func steps() async throws -> [StepRecord]
    /// Measures the links between all workers of the layout, one pair after the other; steps wait for a pair that has one to do.
    func measureLinks() async throws -> [LinkRate]
    /// Begins to load another layout while jobs run on; nil chooses one for all workers. It returns at once.
    func scale(to layout: Layout?) async throws
    /// Takes a worker out of the layout, without a loss: it can be ended when the status says `drained`. It returns at once.
    func drain(_ worker: WorkerID) async throws
    /// The API keys that the cluster knows, the revoked ones too; none at all where it keeps no store.
    func keys() async throws -> [APIKey]
    /// Keeps a record durably, in the place of one of the same name.
    func keep(_ record: Record) async throws
    /// A record, with its data unless that is not wanted, or nil when there is none.
    func record(_ name: Record.Name, withData: Bool) async throws -> Record?
    /// The records of a kind whose ids begin with `prefix`, without their data, oldest first.
    func records(_ kind: String, prefix: String) async throws -> [Record]
    /// Deletes a record, if there is one.
    func forget(_ name: Record.Name) async throws
}

/// Is told a job's events in order, one at a time, and nil behind the last. It is called where others wait, so it must not.
public typealias JobListener = @Sendable (JobEvent?) -> Void

/// Events as streams, for whoever has time.
extension ClusterService {
    /// Accepts a job, or throws; its events follow. Ending the stream early does not cancel the job.
    public func submit(_ request: JobRequest) async throws -> (JobID, AsyncStream<JobEvent>) {
        let (stream, sink) = AsyncStream.makeStream(of: JobEvent.self)
        return (try await submit(request) { $0.map { _ = sink.yield($0) } ?? sink.finish() }, stream)
    }

    /// The events of a job from its beginning, replayed, then live.
    public func events(of job: JobID) async throws -> AsyncStream<JobEvent> {
        let (stream, sink) = AsyncStream.makeStream(of: JobEvent.self)
        try await events(of: job) { $0.map { _ = sink.yield($0) } ?? sink.finish() }
        return stream
    }
}

/// A service that keeps nothing.
extension ClusterService {
    /// No keys.
    public func keys() async throws -> [APIKey] { [] }
    /// Refuses.
    public func keep(_ record: Record) async throws { throw Record.noStore }
    /// Refuses.
    public func record(_ name: Record.Name, withData: Bool) async throws -> Record? { throw Record.noStore }
    /// Refuses.
    public func records(_ kind: String, prefix: String) async throws -> [Record] { throw Record.noStore }
    /// Refuses.
    public func forget(_ name: Record.Name) async throws { throw Record.noStore }
}

/// The model that a cluster serves, as a gateway needs it.
public struct ModelCard: Hashable, Sendable {
    /// The name in `/v1/models`.
    public var name: String
    /// The longest sequence, in tokens.
    public var contextLength: Int
    /// Rows of the vocabulary.
    public var vocabularySize: Int
    /// The tokenizer with its chat template, as `Tokenization.Tokenizer.serialized` writes it; empty when the model has none.
    public var tokenizer: [UInt8]
    /// A digest of configuration and weights, in hexadecimal.
    public var digest: String

    /// A card.
    public init(name: String, contextLength: Int, vocabularySize: Int, tokenizer: [UInt8], digest: String) {
        self.name = name
        self.contextLength = contextLength
        self.vocabularySize = vocabularySize
        self.tokenizer = tokenizer
        self.digest = digest
    }
}

/// A job as a gateway submits it.
public struct JobRequest: Hashable, Sendable {
    /// The prompt.
    public var prompt: [TokenID]
    /// How to continue it.
    public var options: GenerationOptions
    /// Whether the job is cancelled when the gateway that submitted it is gone.
    public var endsWithClient: Bool
    /// The API key it was asked with, by its id; empty where no key is needed.
    public var owner: String
    /// A name that its asker gave it, unique: asking twice makes one job. Empty when it has none.
    public var tag: String
    /// What the client's request is called in the log lines of every role, or an empty text.
    public var requestID: String

    /// A request.
    public init(
        prompt: [TokenID], options: GenerationOptions, endsWithClient: Bool, owner: String = "", tag: String = "",
        requestID: String = ""
    ) {
        self.prompt = prompt
        self.options = options
        self.endsWithClient = endsWithClient
        self.owner = owner
        self.tag = tag
        self.requestID = requestID
    }
}

/// How far a prompt has been read.
public struct PrefillProgress: Hashable, Sendable {
    /// Tokens that are done, and those of the whole prompt.
    public var tokens: Int
    /// Tokens of the prompt.
    public var total: Int
    /// Of those done, found in the KV cache and not computed.
    public var cached: Int
    /// Computed tokens a second since the prompt was begun; 0 while there is none.
    public var tokensPerSecond: Double
    /// Seconds until the prompt is read, since a token costs more the more tokens stand before it; 0 when that is not known.
    public var secondsLeft: Double

    /// A moment of a prefill.
    public init(
        tokens: Int = 0, total: Int, cached: Int = 0, tokensPerSecond: Double = 0, secondsLeft: Double = 0
    ) {
        self.tokens = tokens
        self.total = total
        self.cached = cached
        self.tokensPerSecond = tokensPerSecond
        self.secondsLeft = secondsLeft
    }
}

/// What happens to a job, in order.
public enum JobEvent: Hashable, Sendable {
    /// More tokens of the prompt are done.
    case prefilled(PrefillProgress)
    /// Log-probabilities of the prompt's tokens from place `first` on; the token at place 0 has none.
    case scored(first: Int, [ScoredToken])
    /// The prompt's embedding.
    case embedded([Float])
    /// A token was drawn. `text` is what it adds to the answer: never half a character, nothing past a stop string,
    /// empty for special tokens.
    case token(TokenLogprob, text: String, top: [TokenLogprob])
    /// The end. `text` is what was held back and is now certain.
    case finished(FinishReason, text: String, Usage, Timings)
    /// The end, with a problem.
    case failed(Problem)
}

extension JobEvent {
    /// Whether it has a number: all that is the same whenever it comes. A prompt's progress is another when it is read again.
    public var isNumbered: Bool {
        switch self {
        case .token, .scored, .embedded, .finished, .failed: true
        case .prefilled: false
        }
    }
}

/// A job as `glm jobs` shows it.
public struct JobState: Hashable, Sendable {
    /// How far it is.
    public enum Phase: String, Sendable, CaseIterable {
        /// Waits for room.
        case queued
        /// Its prompt is being read.
        case prefill
        /// It is answering.
        case decode
        /// Done; see the finish reason.
        case finished
        /// Failed; see the problem.
        case failed
        /// Cancelled.
        case cancelled
    }

    /// Its name.
    public var id: JobID
    /// How far it is.
    public var phase: Phase
    /// The prompt, and how far it has been read.
    public var prefill: PrefillProgress
    /// What was generated so far.
    public var tokens: [TokenID]
    /// The same as text.
    public var text: String
    /// Why it ended, when it has.
    public var finish: FinishReason?
    /// What went wrong, when something did.
    public var problem: Problem?
    /// Seconds since 1970 when it was accepted.
    public var accepted: Double
    /// Where the time went.
    public var timings: Timings
    /// Which keys its tokens attend to.
    public var attention: AttentionMode
    /// The API key it was asked with, by its id; empty where no key was needed.
    public var owner: String
    /// Its priority; the lowest is served first.
    public var priority: Int
    /// Where it stands among those that wait, 1 being the next; nil when it does not wait.
    public var queuePosition: Int?
    /// Seconds until it is expected to start, when it waits and that can be said.
    public var secondsToStart: Double?

    /// A state.
    public init(
        id: JobID, phase: Phase, prefill: PrefillProgress, tokens: [TokenID] = [],
        text: String = "", finish: FinishReason? = nil, problem: Problem? = nil, accepted: Double,
        timings: Timings = Timings(), attention: AttentionMode = .exact, owner: String = "", priority: Int = 0,
        queuePosition: Int? = nil, secondsToStart: Double? = nil
    ) {
        self.id = id
        self.phase = phase
        self.prefill = prefill
        self.tokens = tokens
        self.text = text
        self.finish = finish
        self.problem = problem
        self.accepted = accepted
        self.timings = timings
        self.attention = attention
        self.owner = owner
        self.priority = priority
        self.queuePosition = queuePosition
        self.secondsToStart = secondsToStart
    }
}

/// A cluster at one moment, as `glm status` shows it.
public struct ClusterStatus: Hashable, Sendable {
    /// A worker, or a member that is no worker yet.
    public struct Member: Hashable, Sendable {
        /// Its name.
        public var worker: WorkerID
        /// `joining`, `loading`, `ready`, `spare`, `draining`, `drained` or `failed`.
        public var state: String
        /// The stage it is in, when it has one.
        public var stage: Int?
        /// Its rank in the stage.
        public var rank: Int?
        /// Its layers.
        public var layers: Range<Int>?
        /// Its leaves.
        public var leaves: Range<Int>?
        /// Bytes of memory it offered.
        public var memory: Int
        /// Bytes of weights it holds.
        public var weightBytes: Int
        /// Its KV pool.
        public var kv: KVUse
        /// The share of its last steps' time that it computed, 0 to 1.
        public var busy: Double
        /// The most memory that it ever held, in bytes.
        public var peakMemory: Int
        /// What it has sent to other workers since it started.
        public var traffic: Traffic
        /// Compute threads.
        public var threads: Int
        /// The NUMA nodes that it keeps to, like `0,2`, or empty where its host has one.
        public var numaNodes: String
        /// What it does now: `idle`, `loading 43%`, `step 17: 512 tokens`.
        public var activity: String

        /// A member.
        public init(
            worker: WorkerID, state: String, stage: Int?, rank: Int?, layers: Range<Int>?, leaves: Range<Int>?,
            memory: Int, weightBytes: Int, kv: KVUse = KVUse(), busy: Double = 0, peakMemory: Int = 0,
            traffic: Traffic = Traffic(), threads: Int, numaNodes: String = "",
            activity: String
        ) {
            self.worker = worker
            self.state = state
            self.stage = stage
            self.rank = rank
            self.layers = layers
            self.leaves = leaves
            self.memory = memory
            self.weightBytes = weightBytes
            self.kv = kv
            self.busy = busy
            self.peakMemory = peakMemory
            self.traffic = traffic
            self.threads = threads
            self.numaNodes = numaNodes
            self.activity = activity
        }
    }

    /// The model's name.
    public var model: String
    /// Its digest.
    public var digest: String
    /// The grid in use, or nil while there is none.
    public var layout: Layout?
    /// The grid that is being loaded to take its place, when there is one.
    public var nextLayout: Layout?
    /// The plan's number.
    public var epoch: UInt32
    /// Whether jobs run: `ready`, or what it waits for.
    public var state: String
    /// Everybody.
    public var members: [Member]
    /// Jobs that wait.
    public var queuedJobs: Int
    /// Jobs that run.
    public var runningJobs: Int
    /// Steps so far in this epoch.
    public var steps: UInt64
    /// What was done since the coordinator started.
    public var totals: ClusterTotals

    /// A status.
    public init(
        model: String, digest: String, layout: Layout?, nextLayout: Layout? = nil, epoch: UInt32, state: String,
        members: [Member],
        queuedJobs: Int, runningJobs: Int, steps: UInt64, totals: ClusterTotals = ClusterTotals()
    ) {
        self.model = model
        self.digest = digest
        self.layout = layout
        self.nextLayout = nextLayout
        self.epoch = epoch
        self.state = state
        self.members = members
        self.queuedJobs = queuedJobs
        self.runningJobs = runningJobs
        self.steps = steps
        self.totals = totals
    }
}
