extension GenerationOptions {
    /// The most alternatives that are reported with a token.
    public static let mostAlternatives = 100

    /// Refuses what cannot be: numbers out of range, tokens that the vocabulary does not have.
    public func check(vocabulary: Int) throws {
        let s = sampling
        guard s.temperature >= 0, s.temperature.isFinite, s.topP > 0, s.topP <= 1, s.topK >= 0,
            (0...1).contains(s.minP), s.repetitionPenalty > 0, s.repetitionPenalty.isFinite,
            s.presencePenalty.isFinite, s.frequencyPenalty.isFinite, s.logitBias.values.allSatisfy(\.isFinite)
        else {
            throw Problem.invalid(
                "temperature must be 0 or more, top_p over 0 and at most 1, top_k 0 or more, min_p 0 to 1, repetition_penalty over 0, other penalties and logit_bias numbers"
            )
        }
        guard (0...Self.mostAlternatives).contains(s.logprobs ?? 0),
            (0...Self.mostAlternatives).contains(promptLogprobs ?? 0)
        else {
            throw Problem.invalid("logprobs and prompt_logprobs must be 0 to \(Self.mostAlternatives)")
        }
        guard maxTokens ?? 1 > (promptLogprobs == nil ? 0 : -1), minTokens >= 0, minTokens <= maxTokens ?? .max else {
            throw Problem.invalid(
                "max_tokens must be 1 or more (0 only where log-probabilities of the prompt are wanted), min_tokens 0 to max_tokens"
            )
        }
        guard Self.priorities.contains(priority) else {
            throw Problem.invalid(
                "priority must be \(Self.priorities.lowerBound) to \(Self.priorities.upperBound), found \(priority)")
        }
        guard embedding == nil || promptLogprobs == nil else {
            throw Problem.invalid("an embedding and log-probabilities of the prompt are two jobs; send them apart")
        }
        for token in stopTokenIDs + s.logitBias.keys.sorted() where token < 0 || Int(token) >= vocabulary {
            throw Problem.invalid(
                "token \(token) of logit_bias or stop_token_ids is out of range; the vocabulary has \(vocabulary) tokens, 0 to \(vocabulary - 1)"
            )
        }
    }

    /// Whether what is said about the prompt is an answer, even when nothing is generated.
    public var isReading: Bool { embedding != nil || promptLogprobs != nil }

    /// Whether pages of earlier prompts can be used: not where every token's result is wanted.
    public var sharesPages: Bool { reusesPrefix && promptLogprobs == nil && embedding != .mean }
}
