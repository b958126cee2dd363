import CWire
import Core

/// How tokens are drawn, and what was found about them.
extension Encoder {
    mutating func sampling(_ options: SamplingOptions) -> UnsafeMutablePointer<Wire__Sampling> {
        let made = arena.new(wire__sampling__init)
        made.pointee.temperature = options.temperature
        made.pointee.top_p = options.topP
        made.pointee.top_k = UInt64(clamping: options.topK)
        made.pointee.seed = options.seed
        made.pointee.wants_logprobs = options.logprobs == nil ? 0 : 1
        made.pointee.logprobs = UInt32(clamping: options.logprobs ?? 0)
        made.pointee.min_p = options.minP
        made.pointee.repetition_penalty = options.repetitionPenalty
        made.pointee.presence_penalty = options.presencePenalty
        made.pointee.frequency_penalty = options.frequencyPenalty
        let biases = options.logitBias.sorted { $0.key < $1.key }
        made.pointee.n_bias_tokens = biases.count
        made.pointee.bias_tokens = arena.place(biases.map(\.key))
        made.pointee.n_biases = biases.count
        made.pointee.biases = arena.place(biases.map(\.value))
        return made
    }

    mutating func segment(_ segment: Segment) -> UnsafeMutablePointer<Wire__Segment>? {
        let made = arena.new(wire__segment__init)
        made.pointee.sequence = segment.sequence.number
        made.pointee.start = UInt64(clamping: segment.start)
        made.pointee.token_count = UInt64(segment.tokens.count)
        made.pointee.guesses = UInt64(clamping: segment.guesses)
        made.pointee.is_sparse = segment.attention == .sparse ? 1 : 0
        switch segment.output {
        case .none: made.pointee.output = WIRE__OUTPUT__OUTPUT_NONE
        case .logits: made.pointee.output = WIRE__OUTPUT__OUTPUT_LOGITS
        case .embed(let embedding, let goesOn):
            made.pointee.output = WIRE__OUTPUT__OUTPUT_EMBED
            made.pointee.embedding = self.embedding(embedding)
            made.pointee.embedding_goes_on = goesOn ? 1 : 0
        case .sample(let drawing):
            made.pointee.output = WIRE__OUTPUT__OUTPUT_SAMPLE
            made.pointee.sampling = sampling(drawing.options)
            made.pointee.prompt_tokens = UInt64(clamping: drawing.promptTokens)
            made.pointee.n_held_back = drawing.heldBack.count
            made.pointee.held_back = arena.place(drawing.heldBack)
            made.pointee.held_until = UInt64(clamping: drawing.heldUntil)
            if let past = drawing.past {
                let placed = arena.new(wire__past__init)
                placed.pointee.prompt = blob(words: past.prompt)
                placed.pointee.generated = blob(words: past.generated)
                made.pointee.past = placed
            }
            made.pointee.n_masks = drawing.masks.count
            made.pointee.masks = arena.place(drawing.masks.map { mask($0) })
            made.pointee.masked_from = UInt64(clamping: drawing.maskedFrom)
        }
        if let wanted = segment.scoring {
            let scoring = arena.new(wire__scoring__init)
            scoring.pointee.n_targets = wanted.targets.count
            scoring.pointee.targets = arena.place(wanted.targets)
            scoring.pointee.alternatives = UInt32(clamping: wanted.alternatives)
            made.pointee.scoring = scoring
        }
        return made
    }

    func embedding(_ embedding: Embedding) -> Wire__Embedding {
        wireValue(embedding, in: Embedding.wire, unspecified: WIRE__EMBEDDING__EMBEDDING_UNSPECIFIED)
    }

    /// Tokens that all have the same number of alternatives.
    mutating func scores(_ scored: [ScoredToken]) -> UnsafeMutablePointer<Wire__Scores> {
        let made = arena.new(wire__scores__init)
        let all = scored.flatMap { [$0.token] + $0.top }
        made.pointee.width = UInt32(clamping: 1 + (scored.first?.top.count ?? 0))
        made.pointee.tokens = blob(words: all.map(\.token))
        made.pointee.logprobs = blob(words: all.map(\.logprob))
        return made
    }
}
