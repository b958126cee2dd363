/// How the next token is drawn from the logits.
///
/// In this order, as vLLM does: `logitBias` is added, the penalties are applied, `temperature` divides, then `minP`, `topK` and
/// `topP` keep what may be drawn, each of what the one before has kept.
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
    /// Keeps the tokens that are at least this times as likely as the most likely one, 0...1; 0 keeps all.
    public var minP: Float
    /// Logits of tokens that stand in the prompt or the answer are divided by this where they are positive, else multiplied; above 0.
    public var repetitionPenalty: Float
    /// Taken from the logits of tokens that stand in the answer.
    public var presencePenalty: Float
    /// Taken from a token's logit for each time that it stands in the answer.
    public var frequencyPenalty: Float
    /// Added to tokens' logits.
    public var logitBias: [TokenID: Float]

    /// Greedy unless said otherwise.
    public init(
        temperature: Float = 0, topP: Float = 1, topK: Int = 0, seed: UInt64 = 0, logprobs: Int? = nil, minP: Float = 0,
        repetitionPenalty: Float = 1, presencePenalty: Float = 0, frequencyPenalty: Float = 0,
        logitBias: [TokenID: Float] = [:]
    ) {
        self.temperature = temperature
        self.topP = topP
        self.topK = topK
        self.seed = seed
        self.logprobs = logprobs
        self.minP = minP
        self.repetitionPenalty = repetitionPenalty
        self.presencePenalty = presencePenalty
        self.frequencyPenalty = frequencyPenalty
        self.logitBias = logitBias
    }

    /// Whether it matters which tokens stand before.
    public var hasPenalties: Bool { repetitionPenalty != 1 || presencePenalty != 0 || frequencyPenalty != 0 }
}

/// Which keys a token attends to.
public enum AttentionMode: String, Sendable, CaseIterable {
    /// All that stand before it.
    case exact
    /// Those of some pages: the first, the last, and of the others the ones that promise most.
    case sparse
}

/// A text as one vector: the last layer's output behind the final norm.
public enum Embedding: String, Sendable, CaseIterable {
    /// The mean over all tokens.
    case mean
    /// That of the last token.
    case last
}

/// What a job asks for besides its prompt.
public struct GenerationOptions: Hashable, Sendable {
    /// How tokens are drawn.
    public var sampling: SamplingOptions
    /// At most so many tokens are generated; nil means as many as the context allows. 0 needs `promptLogprobs`.
    public var maxTokens: Int?
    /// Generation ends before the first of these strings.
    public var stop: [String]
    /// Whether end-of-sequence tokens end nothing.
    public var ignoresEndOfSequence: Bool
    /// Whether KV pages of earlier prompts that begin alike are used; the answer has the same bits without.
    public var reusesPrefix: Bool
    /// Which keys its tokens attend to.
    public var attention: AttentionMode
    /// Tokens that end the answer besides the model's own; they end it whatever `ignoresEndOfSequence` says.
    public var stopTokenIDs: [TokenID]
    /// No token that ends the answer is drawn, and no stop string is looked for, before so many tokens are generated.
    public var minTokens: Int
    /// How many alternatives to report with each token of the prompt from the second on, or nil for nothing about the prompt.
    public var promptLogprobs: Int?
    /// Nothing is generated; the prompt's embedding is the answer.
    public var embedding: Embedding?
    /// What the answer must look like; nil when it may be anything.
    public var grammar: AnswerGrammar?
    /// Whether next tokens may be guessed and several be computed at once; the answer has the same bits without.
    public var speculates: Bool
    /// Whose turn it is where not everybody can have one: the lowest number's, then that of who came first. It changes nobody's tokens.
    public var priority: Int

    /// The priorities that there are; 0 is everybody's.
    public static let priorities = -100...100

    /// Greedy, to the end of the context, unless said otherwise.
    public init(
        sampling: SamplingOptions = SamplingOptions(), maxTokens: Int? = nil, stop: [String] = [],
        ignoresEndOfSequence: Bool = false, reusesPrefix: Bool = true, attention: AttentionMode = .exact,
        stopTokenIDs: [TokenID] = [], minTokens: Int = 0, promptLogprobs: Int? = nil, embedding: Embedding? = nil,
        grammar: AnswerGrammar? = nil, speculates: Bool = true, priority: Int = 0
    ) {
        self.sampling = sampling
        self.maxTokens = maxTokens
        self.stop = stop
        self.ignoresEndOfSequence = ignoresEndOfSequence
        self.reusesPrefix = reusesPrefix
        self.attention = attention
        self.stopTokenIDs = stopTokenIDs
        self.minTokens = minTokens
        self.promptLogprobs = promptLogprobs
        self.embedding = embedding
        self.grammar = grammar
        self.speculates = speculates
        self.priority = priority
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

/// A token with the log-probabilities that were asked for.
public struct ScoredToken: Hashable, Sendable {
    /// The token, with its log-probability when asked for, else 0.
    public var token: TokenLogprob
    /// The most likely tokens of its place, best first, when asked for.
    public var top: [TokenLogprob]

    /// A token and its alternatives.
    public init(_ token: TokenLogprob, top: [TokenLogprob] = []) {
        self.token = token
        self.top = top
    }
}
