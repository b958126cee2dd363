import Core

/// The tokens before a place of one sequence, as penalties count them.
///
/// A sequence that goes on behind an earlier place (what was computed beyond it was not accepted) forgets what came after.
struct PastTokens {
    private let prompt: Set<TokenID>
    private let promptTokens: Int
    private var generated: [TokenID]
    private var counts: [TokenID: Int] = [:]

    init(_ past: Past, promptTokens: Int) {
        prompt = Set(past.prompt)
        self.promptTokens = promptTokens
        generated = []
        for token in past.generated { add(token) }
    }

    /// The position behind the last token.
    var end: Int { promptTokens + generated.count }

    /// Forgets the tokens from `position` on.
    mutating func cut(at position: Int) {
        while end > position, let token = generated.popLast() {
            let left = (counts[token] ?? 0) - 1
            counts[token] = left > 0 ? left : nil
        }
    }

    /// One more token was generated.
    mutating func add(_ token: TokenID) {
        generated.append(token)
        counts[token, default: 0] += 1
    }

    /// Applies the penalties of `options` to `logits`, the first of which is token `first`.
    ///
    /// - Source: the formulas of vLLM (`apply_penalties`): repetition (Keskar et al. 2019) over prompt and answer, then frequency
    ///   and presence (OpenAI's) over the answer alone.
    func penalise(_ logits: UnsafeMutableBufferPointer<Float>, first: Int, _ options: SamplingOptions) {
        func change(_ token: TokenID, _ body: (Float) -> Float) {
            let index = Int(token) - first
            if logits.indices.contains(index) { logits[index] = body(logits[index]) }
        }
        if options.repetitionPenalty != 1 {
            let penalty = options.repetitionPenalty
            func repeated(_ logit: Float) -> Float { logit > 0 ? logit / penalty : logit * penalty }
            for token in prompt { change(token, repeated) }
            for token in counts.keys where !prompt.contains(token) { change(token, repeated) }
        }
        for (token, count) in counts {
            change(token) { $0 - options.frequencyPenalty * Float(count) - options.presencePenalty }
        }
    }
}

extension Drawing {
    /// Whether a token at `position` is drawn from other logits than the model's.
    func changesLogits(at position: Int) -> Bool {
        !options.logitBias.isEmpty || options.hasPenalties || holdsBack(at: position) || mask(at: position) != nil
    }

    private func holdsBack(at position: Int) -> Bool { position < heldUntil && !heldBack.isEmpty }

    /// Makes the model's logits those that the token at `position` is drawn from; the first of `logits` is token `first`.
    func change(_ logits: UnsafeMutableBufferPointer<Float>, first: Int, past: PastTokens?, position: Int) {
        for (token, bias) in options.logitBias where logits.indices.contains(Int(token) - first) {
            logits[Int(token) - first] += bias
        }
        if holdsBack(at: position) {
            for token in heldBack where logits.indices.contains(Int(token) - first) {
                logits[Int(token) - first] = -.infinity
            }
        }
        past?.penalise(logits, first: first, options)
        if let mask = mask(at: position) { mask.forbid(logits, first: first) }
    }
}

extension TokenMask {
    /// Takes every chance from tokens that may not be drawn; the first of `logits` is token `first`.
    fileprivate func forbid(_ logits: UnsafeMutableBufferPointer<Float>, first: Int) {
        let words = words
        for index in logits.indices {
            let token = first + index
            let isPermitted = token >> 6 < words.count && words[token >> 6] >> UInt64(token & 63) & 1 != 0
            if !isPermitted { logits[index] = -.infinity }
        }
    }
}
