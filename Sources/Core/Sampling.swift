/// How the next token is drawn from the logits.
public struct SamplingOptions: Hashable, Sendable {
    /// 0 takes the most likely token; ties go to the lowest id.
    public var temperature: Float
    /// Keeps the fewest tokens whose probabilities sum to at least this, 0 < topP <= 1.
    public var topP: Float
    /// Keeps so many tokens; 0 keeps all.
    public var topK: Int
    /// Keys the random numbers, together with the position: the same seed draws the same tokens.
    public var seed: UInt64
    /// How many alternatives to report with each token, or nil for no log-probabilities at all.
    public var logprobs: Int?

    /// Greedy unless said otherwise.
    public init(temperature: Float = 0, topP: Float = 1, topK: Int = 0, seed: UInt64 = 0, logprobs: Int? = nil) {
        self.temperature = temperature
        self.topP = topP
        self.topK = topK
        self.seed = seed
        self.logprobs = logprobs
    }
}

/// Which keys a token attends to.
public enum AttentionMode: String, Sendable, CaseIterable {
    /// All that stand before it.
    case exact
    /// Those of some pages: the first, the last, and of the others the ones that promise most.
    case sparse
}

/// What a job asks for besides its prompt.
public struct GenerationOptions: Hashable, Sendable {
    /// How tokens are drawn.
    public var sampling: SamplingOptions
    /// At most so many tokens are generated; nil means as many as the context allows.
    public var maxTokens: Int?
    /// Generation ends before the first of these strings.
    public var stop: [String]
    /// Whether end-of-sequence tokens end nothing.
    public var ignoresEndOfSequence: Bool
    /// Whether KV pages of earlier prompts that begin alike are used; the answer has the same bits without.
    public var reusesPrefix: Bool
    /// Which keys its tokens attend to.
    public var attention: AttentionMode

    /// Greedy, to the end of the context, unless said otherwise.
    public init(
        sampling: SamplingOptions = SamplingOptions(), maxTokens: Int? = nil, stop: [String] = [],
        ignoresEndOfSequence: Bool = false, reusesPrefix: Bool = true, attention: AttentionMode = .exact
    ) {
        self.sampling = sampling
        self.maxTokens = maxTokens
        self.stop = stop
        self.ignoresEndOfSequence = ignoresEndOfSequence
        self.reusesPrefix = reusesPrefix
        self.attention = attention
    }
}

/// A token and the natural logarithm of its probability.
public struct TokenLogprob: Hashable, Sendable {
    /// The token.
    public var token: TokenID
    /// ln of its probability under the unmodified logits.
    public var logprob: Float

    /// A token with its log-probability.
    public init(token: TokenID, logprob: Float) {
        self.token = token
        self.logprob = logprob
    }
}
