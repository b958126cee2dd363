/// One step as the coordinator saw it; times are counted from the coordinator's start.
public struct StepRecord: Hashable, Sendable {
    /// One worker's part of a step.
    public struct Part: Hashable, Sendable {
        /// Who.
        public var worker: WorkerID
        /// Its stage and rank.
        public var stage: Int
        /// Its rank in the stage.
        public var rank: Int
        /// When the coordinator heard that it was done.
        public var end: Duration
        /// Waiting for the stage before, at the part's beginning.
        public var inputWait: Duration
        /// Waiting for the other ranks of its stage, in pieces between its computing.
        public var rankWait: Duration
        /// Computing.
        public var compute: Duration

        /// A part.
        public init(
            worker: WorkerID, stage: Int, rank: Int, end: Duration, inputWait: Duration, rankWait: Duration,
            compute: Duration
        ) {
            self.worker = worker
            self.stage = stage
            self.rank = rank
            self.end = end
            self.inputWait = inputWait
            self.rankWait = rankWait
            self.compute = compute
        }
    }

    /// The plan that it belongs to.
    public var epoch: UInt32
    /// Its number in the plan.
    public var number: UInt64
    /// When it was sent to the workers.
    public var sent: Duration
    /// When its results were there, or nil while it is on its way.
    public var done: Duration?
    /// Tokens of prompts.
    public var promptTokens: Int
    /// Sequences that are answering, a token each.
    public var decodes: Int
    /// The workers' parts, in the order in which they were done.
    public var parts: [Part]

    /// A step that was sent.
    public init(
        epoch: UInt32, number: UInt64, sent: Duration, done: Duration? = nil, promptTokens: Int, decodes: Int,
        parts: [Part] = []
    ) {
        self.epoch = epoch
        self.number = number
        self.sent = sent
        self.done = done
        self.promptTokens = promptTokens
        self.decodes = decodes
        self.parts = parts
    }
}
