/// One forward pass through all stages: the scheduler's decision, the workers' order.
public struct Step: Hashable, Sendable {
    /// Counts up by one within an epoch.
    public var number: UInt64
    /// The plan this step belongs to; frames of an older one are dropped.
    public var epoch: UInt32
    /// What happens to the KV cache before the segments run, in this order.
    public var changes: [KVChange]
    /// What is computed, in this order.
    public var segments: [Segment]
    /// Of sequences that the step opens, the requests that they answer: for log lines.
    public var requests: [SequenceID: String]

    /// A step.
    public init(
        number: UInt64, epoch: UInt32, changes: [KVChange] = [], segments: [Segment],
        requests: [SequenceID: String] = [:]
    ) {
        self.number = number
        self.epoch = epoch
        self.changes = changes
        self.segments = segments
        self.requests = requests
    }

    /// Tokens in all segments.
    public var tokenCount: Int { segments.reduce(0) { $0 + $1.tokens.count } }
}

/// Consecutive tokens of one sequence: a chunk of its prompt, or the token drawn last.
public struct Segment: Hashable, Sendable {
    /// What the last stage does with the segment's hidden states.
    public enum Output: Hashable, Sendable {
        /// Nothing: the middle of a prompt.
        case none
        /// Draws the token after the last one.
        case sample(Drawing)
        /// Returns the logits of every token.
        case logits
        /// Returns the embedding of the sequence, which ends here, or `goesOn` with the next segment.
        case embed(Embedding, goesOn: Bool)
    }

    /// Asks how likely the tokens of a text were.
    public struct Scoring: Hashable, Sendable {
        /// What follows the segment's first tokens, one for each.
        public var targets: [TokenID]
        /// How many of the most likely tokens to report beside each.
        public var alternatives: Int

        /// A question.
        public init(targets: [TokenID], alternatives: Int) {
            self.targets = targets
            self.alternatives = alternatives
        }
    }

    /// Whose tokens these are.
    public var sequence: SequenceID
    /// The position of the first.
    public var start: Int
    /// The tokens.
    public var tokens: [TokenID]
    /// What the last stage does.
    public var output: Output
    /// Which keys the tokens attend to; the same in all segments of a sequence.
    public var attention: AttentionMode
    /// Whose log-probabilities are wanted besides, if any.
    public var scoring: Scoring?
    /// How many of the last tokens are guesses: a token is drawn behind each of them too, as long as those before were right.
    ///
    /// The sequence's next segment begins behind the last guess that was right.
    public var guesses: Int

    /// A segment.
    public init(
        sequence: SequenceID, start: Int, tokens: [TokenID], output: Output, attention: AttentionMode = .exact,
        scoring: Scoring? = nil, guesses: Int = 0
    ) {
        self.sequence = sequence
        self.start = start
        self.tokens = tokens
        self.output = output
        self.attention = attention
        self.scoring = scoring
        self.guesses = guesses
    }
}

/// What the last stage found for one segment.
public struct SegmentResult: Hashable, Sendable {
    /// Whose.
    public var sequence: SequenceID
    /// The token drawn, with its log-probability when asked for, else 0.
    public var drawn: TokenLogprob?
    /// The most likely tokens, best first, when asked for.
    public var top: [TokenLogprob]
    /// What was drawn behind each guess that was right, in order.
    public var more: [ScoredToken]
    /// The logits [tokens, vocabulary] of a segment that asked for them, else empty.
    public var logits: [Float]
    /// The tokens that a segment asked about, in order.
    public var scored: [ScoredToken]
    /// The embedding [hidden] that the sequence asked for, else empty.
    public var embedding: [Float]

    /// A result.
    public init(
        sequence: SequenceID, drawn: TokenLogprob?, top: [TokenLogprob] = [], more: [ScoredToken] = [],
        logits: [Float] = [], scored: [ScoredToken] = [], embedding: [Float] = []
    ) {
        self.sequence = sequence
        self.drawn = drawn
        self.top = top
        self.more = more
        self.logits = logits
        self.scored = scored
        self.embedding = embedding
    }

    /// Everything that was drawn, in order.
    public var draws: [ScoredToken] { drawn.map { [ScoredToken($0, top: top)] + more } ?? [] }
}
