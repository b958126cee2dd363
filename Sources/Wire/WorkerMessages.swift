public import Core

/// How a worker introduces itself.
public struct WorkerHello: Sendable, Hashable {
    /// Its name.
    public var worker: WorkerID
    /// Its compute threads.
    public var threads: Int
    /// Bytes of memory it offers for weights and KV pages.
    public var memoryBytes: Int
    /// Where its data link listens.
    public var dataEndpoint: String
    /// The CURVE public key of its data link (Z85), or empty when that is open.
    public var dataPublicKey: String
    /// The digest of its own copy of the model, or empty when it has none.
    public var modelDigest: String
    /// The instruction set its kernels use.
    public var instructionSet: String
    /// Bytes that its KV pool may take, or nil when the coordinator is to choose.
    public var kvMemoryBytes: Int?
    /// Bytes of a file that its KV pool may take besides.
    public var kvSpillBytes: Int
    /// Processors of its host, which other workers may share, or nil when it does not say.
    public var processors: Int?
    /// Whether it can measure its links.
    public var measuresLinks: Bool
    /// The NUMA nodes that it keeps to, like `0,2`, or empty where its host has one.
    public var numaNodes: String

    /// A hello.
    public init(
        worker: WorkerID, threads: Int, memoryBytes: Int, dataEndpoint: String, dataPublicKey: String = "",
        modelDigest: String = "", instructionSet: String = "", kvMemoryBytes: Int? = nil,
        kvSpillBytes: Int = 0, processors: Int? = nil, measuresLinks: Bool = false,
        numaNodes: String = ""
    ) {
        self.worker = worker
        self.threads = threads
        self.memoryBytes = memoryBytes
        self.dataEndpoint = dataEndpoint
        self.dataPublicKey = dataPublicKey
        self.modelDigest = modelDigest
        self.instructionSet = instructionSet
        self.kvMemoryBytes = kvMemoryBytes
        self.kvSpillBytes = kvSpillBytes
        self.processors = processors
        self.measuresLinks = measuresLinks
        self.numaNodes = numaNodes
    }
}

/// A worker holds its slice.
public struct Ready: Sendable, Hashable {
    /// The plan.
    public var epoch: UInt32
    /// Bytes of its weights.
    public var weightBytes: Int
    /// Pages of its KV pool, and bytes of one.
    public var kvPages: Int
    /// Bytes of a page.
    public var kvPageBytes: Int
    /// The keys of the pages on its disk, or nil when it keeps none there.
    public var stored: [PageKey]?

    /// A worker that is ready.
    public init(epoch: UInt32, weightBytes: Int, kvPages: Int, kvPageBytes: Int, stored: [PageKey]? = nil) {
        self.epoch = epoch
        self.weightBytes = weightBytes
        self.kvPages = kvPages
        self.kvPageBytes = kvPageBytes
        self.stored = stored
    }
}

/// What came out of a step.
public struct StepDone: Sendable, Hashable {
    /// The plan.
    public var epoch: UInt32
    /// The step.
    public var number: UInt64
    /// One for each segment that asked for something, in the step's order.
    public var results: [SegmentResult]
    /// Time spent computing.
    public var computeMicroseconds: Int
    /// Time spent waiting for other workers.
    public var waitMicroseconds: Int
    /// Of that, waiting for the stage before.
    public var inputWaitMicroseconds: Int

    /// A step's outcome.
    public init(
        epoch: UInt32, number: UInt64, results: [SegmentResult], computeMicroseconds: Int = 0,
        waitMicroseconds: Int = 0, inputWaitMicroseconds: Int = 0
    ) {
        self.epoch = epoch
        self.number = number
        self.results = results
        self.computeMicroseconds = computeMicroseconds
        self.waitMicroseconds = waitMicroseconds
        self.inputWaitMicroseconds = inputWaitMicroseconds
    }
}

/// A worker's sign of life.
public struct WorkerHeartbeat: Sendable, Hashable {
    /// The plan it works on, 0 while it has none.
    public var epoch: UInt32
    /// What it does: `idle`, `loading 43%`, `step 17: 512 tokens`.
    public var activity: String
    /// Pages of its KV pool in use.
    public var kvUsed: Int
    /// Those of them that are a file's.
    public var kvSpilled: Int
    /// Steps since it started.
    public var stepsDone: UInt64
    /// What it has sent to other workers since it started.
    public var traffic: Traffic
    /// What is wrong with its disk, or an empty text.
    public var diskTrouble: String
    /// The most memory that its process ever held.
    public var peakMemoryBytes: Int

    /// A heartbeat.
    public init(
        epoch: UInt32, activity: String, kvUsed: Int = 0, kvSpilled: Int = 0, stepsDone: UInt64 = 0,
        traffic: Traffic = Traffic(), diskTrouble: String = "", peakMemoryBytes: Int = 0
    ) {
        self.epoch = epoch
        self.activity = activity
        self.kvUsed = kvUsed
        self.kvSpilled = kvSpilled
        self.stepsDone = stepsDone
        self.traffic = traffic
        self.diskTrouble = diskTrouble
        self.peakMemoryBytes = peakMemoryBytes
    }
}

/// An order to measure the link to another worker of the plan, which is told the same of this one.
public struct Probe: Sendable, Hashable {
    /// The plan.
    public var epoch: UInt32
    /// The measurement; both sides know its messages by it.
    public var number: UInt64
    /// The other worker's stage.
    public var stage: Int
    /// The other worker's rank.
    public var rank: Int
    /// Whether this worker sends and measures, or answers what comes.
    public var begins: Bool

    /// An order.
    public init(epoch: UInt32, number: UInt64, stage: Int, rank: Int, begins: Bool) {
        self.epoch = epoch
        self.number = number
        self.stage = stage
        self.rank = rank
        self.begins = begins
    }
}

/// Which part of which tensor a worker wants.
public struct Fetch: Sendable, Hashable {
    /// The tensor's name in the checkpoint.
    public var tensor: String
    /// The rows.
    public var rows: Range<Int>
    /// The columns, or nil for whole rows.
    public var columns: Range<Int>?

    /// A wish.
    public init(tensor: String, rows: Range<Int>, columns: Range<Int>? = nil) {
        self.tensor = tensor
        self.rows = rows
        self.columns = columns
    }
}

/// Part of a tensor, as stored: `rows` times `rowBytes` bytes.
public struct Piece: Sendable, Hashable {
    /// Rows.
    public var rows: Int
    /// Bytes of one row.
    public var rowBytes: Int
    /// The rows' bytes, one row after the other.
    public var bytes: [UInt8]

    /// A piece; `bytes` must hold `rows * rowBytes`.
    public init(rows: Int, rowBytes: Int, bytes: [UInt8]) {
        self.rows = rows
        self.rowBytes = rowBytes
        self.bytes = bytes
    }
}

/// The coordinator's answer to a worker it accepts.
public struct Welcome: Sendable, Hashable {
    /// How often both sides send a heartbeat; three missed ones mean that the other side is gone.
    public var heartbeatInterval: Duration
    /// The model's name.
    public var model: String

    /// A welcome.
    public init(heartbeatInterval: Duration, model: String) {
        self.heartbeatInterval = heartbeatInterval
        self.model = model
    }
}

/// A worker of the plan, as the others reach it.
public struct Peer: Sendable, Hashable {
    /// Its stage.
    public var stage: Int
    /// Its rank in the stage.
    public var rank: Int
    /// Its name.
    public var worker: WorkerID
    /// Where its data link listens.
    public var dataEndpoint: String
    /// Its data link's CURVE public key (Z85), or empty.
    public var dataPublicKey: String

    /// A peer.
    public init(stage: Int, rank: Int, worker: WorkerID, dataEndpoint: String, dataPublicKey: String = "") {
        self.stage = stage
        self.rank = rank
        self.worker = worker
        self.dataEndpoint = dataEndpoint
        self.dataPublicKey = dataPublicKey
    }
}

/// A worker's part in a new plan.
public struct Assignment: Sendable, Hashable {
    /// The plan's number.
    public var epoch: UInt32
    /// Its grid.
    public var layout: Layout
    /// What the worker computes.
    public var slice: Slice
    /// Everybody in the plan, the worker itself included.
    public var peers: [Peer]
    /// The model's configuration and tensor list, in the form that the loader of both sides agrees on.
    public var modelDescription: [UInt8]
    /// How weights are held in memory; nil means as stored.
    public var weightType: WeightType?
    /// How keys and values are held; nil means what goes with the weights.
    public var kvType: KVType?
    /// Pages of its KV pool.
    public var kvPages: Int
    /// How many of them are memory; the others are a file's.
    public var kvMemoryPages: Int
    /// The model's digest.
    public var digest: String
    /// Whether the plan in force runs on until this one is activated.
    public var isInBackground: Bool
    /// Tokens from this one on stand for nothing and are never drawn; nil when all may be.
    public var drawableTokens: Int?

    /// An assignment.
    public init(
        epoch: UInt32, layout: Layout, slice: Slice, peers: [Peer], modelDescription: [UInt8],
        weightType: WeightType? = nil, kvType: KVType? = nil, kvPages: Int, kvMemoryPages: Int? = nil, digest: String,
        isInBackground: Bool = false, drawableTokens: Int? = nil
    ) {
        self.epoch = epoch
        self.layout = layout
        self.slice = slice
        self.peers = peers
        self.modelDescription = modelDescription
        self.weightType = weightType
        self.kvType = kvType
        self.kvPages = kvPages
        self.kvMemoryPages = kvMemoryPages ?? kvPages
        self.digest = digest
        self.isInBackground = isInBackground
        self.drawableTokens = drawableTokens
    }
}
