/// How the last stage draws the tokens of one sequence.
public struct Drawing: Hashable, Sendable {
    /// How tokens are drawn.
    public var options: SamplingOptions
    /// Tokens of the prompt: those behind them were generated.
    public var promptTokens: Int
    /// Tokens that are not drawn yet, since they would end the answer.
    public var heldBack: [TokenID]
    /// The first position at which those may be drawn.
    public var heldUntil: Int
    /// What stands before the first token that is drawn; only with that one, and only where penalties need it.
    public var past: Past?
    /// Which tokens may be drawn at positions from `maskedFrom` on, one mask for each; anything may where there is none.
    public var masks: [TokenMask] = []
    /// The position of the first mask.
    public var maskedFrom = 0

    /// The mask of a position, if it has one.
    public func mask(at position: Int) -> TokenMask? {
        masks.indices.contains(position - maskedFrom) ? masks[position - maskedFrom] : nil
    }

    /// Draws with `options`, and holds nothing back unless said otherwise.
    public init(
        _ options: SamplingOptions = SamplingOptions(), promptTokens: Int = 0, heldBack: [TokenID] = [],
        heldUntil: Int = 0, past: Past? = nil
    ) {
        self.options = options
        self.promptTokens = promptTokens
        self.heldBack = heldBack
        self.heldUntil = heldUntil
        self.past = past
    }

    /// What a job's options mean for a prompt of `promptTokens` tokens, of a model whose answers end with `stopTokens`.
    public init(_ options: GenerationOptions, promptTokens: Int, stopTokens: some Sequence<TokenID>) {
        self.init(options.sampling, promptTokens: promptTokens)
        guard options.minTokens > 0 else { return }
        heldBack = Set(stopTokens).union(options.stopTokenIDs).sorted()
        heldUntil = promptTokens + options.minTokens
    }
}

/// The tokens that penalties look at.
public struct Past: Hashable, Sendable {
    /// Each token of the prompt once, rising; empty where only generated tokens count.
    public var prompt: [TokenID]
    /// The generated tokens, in order.
    public var generated: [TokenID]

    /// A past.
    public init(prompt: [TokenID] = [], generated: [TokenID] = []) {
        self.prompt = prompt
        self.generated = generated
    }

    /// The past that `options` need of a sequence whose first `promptTokens` tokens are its prompt.
    public init?(_ options: SamplingOptions, tokens: [TokenID], promptTokens: Int) {
        guard options.hasPenalties else { return nil }
        let end = min(promptTokens, tokens.count)
        self.init(
            prompt: options.repetitionPenalty == 1 ? [] : Set(tokens[..<end]).sorted(),
            generated: Array(tokens[end...]))
    }
}
