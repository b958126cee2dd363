import CWire
import Core

/// How tokens are drawn, and what was found about them.
extension Decoder {
    func sampling(_ options: Wire__Sampling) throws -> SamplingOptions {
        guard options.temperature >= 0, options.temperature.isFinite, options.top_p > 0, options.top_p <= 1 else {
            throw Problem.invalid(
                "message: temperature \(options.temperature) and top_p \(options.top_p); expected 0 or more, and 0 to 1"
            )
        }
        let repetition = options.repetition_penalty == 0 ? 1 : options.repetition_penalty
        guard (0...1).contains(options.min_p), repetition > 0, repetition.isFinite, options.presence_penalty.isFinite,
            options.frequency_penalty.isFinite
        else {
            throw Problem.invalid(
                "message: min_p \(options.min_p) and penalties \(repetition), \(options.presence_penalty), \(options.frequency_penalty); expected 0 to 1, above 0, and numbers"
            )
        }
        let tokens = try ids(options.bias_tokens, count: options.n_bias_tokens)
        guard options.n_biases == tokens.count else {
            throw Problem.invalid("message: \(options.n_biases) biases for \(tokens.count) tokens")
        }
        var biases: [TokenID: Float] = [:]
        for (index, token) in tokens.enumerated() {
            guard options.biases[index].isFinite else { throw Problem.invalid("message: a bias that is no number") }
            biases[token] = options.biases[index]
        }
        return SamplingOptions(
            temperature: options.temperature, topP: options.top_p, topK: try count(options.top_k), seed: options.seed,
            logprobs: options.wants_logprobs != 0 ? try count(UInt64(options.logprobs), most: 1 << 20) : nil,
            minP: options.min_p, repetitionPenalty: repetition, presencePenalty: options.presence_penalty,
            frequencyPenalty: options.frequency_penalty, logitBias: biases)
    }

    mutating func output(_ segment: Wire__Segment) throws -> Segment.Output {
        switch segment.output {
        case WIRE__OUTPUT__OUTPUT_NONE: return .none
        case WIRE__OUTPUT__OUTPUT_LOGITS: return .logits
        case WIRE__OUTPUT__OUTPUT_EMBED:
            return .embed(
                try ours(segment.embedding, in: Embedding.wire, what: "embedding"),
                goesOn: segment.embedding_goes_on != 0)
        case WIRE__OUTPUT__OUTPUT_SAMPLE:
            var past: Past?
            if let placed = segment.past {
                past = Past(
                    prompt: try tokens(placed.pointee.prompt), generated: try tokens(placed.pointee.generated))
            }
            var drawing = Drawing(
                try sampling(the(segment.sampling)), promptTokens: try count(segment.prompt_tokens),
                heldBack: try ids(segment.held_back, count: segment.n_held_back),
                heldUntil: try count(segment.held_until), past: past)
            drawing.masks = try masks(segment)
            drawing.maskedFrom = try count(segment.masked_from)
            return .sample(drawing)
        default: throw Problem.invalid("message: output number \(segment.output.rawValue) is not known to this release")
        }
    }

    func scoring(_ scoring: Wire__Scoring, of length: Int) throws -> Segment.Scoring {
        guard scoring.n_targets <= length else {
            throw Problem.invalid("message: \(scoring.n_targets) tokens to score behind \(length)")
        }
        return Segment.Scoring(
            targets: try ids(scoring.targets, count: scoring.n_targets),
            alternatives: try count(UInt64(scoring.alternatives), most: 1 << 20))
    }

    mutating func scores(_ scores: Wire__Scores) throws -> [ScoredToken] {
        let tokens = try tokens(scores.tokens)
        let logprobs = try words(scores.logprobs, as: Float.self)
        let width = Int(scores.width)
        guard width > 0, tokens.count == logprobs.count, tokens.count % width == 0,
            !logprobs.contains(where: \.isNaN)
        else {
            throw Problem.invalid(
                "message: \(tokens.count) tokens in rows of \(width) with \(logprobs.count) log-probabilities")
        }
        return stride(from: 0, to: tokens.count, by: width).map { start in
            let row = (start..<start + width).map { TokenLogprob(token: tokens[$0], logprob: logprobs[$0]) }
            return ScoredToken(row[0], top: Array(row.dropFirst()))
        }
    }

    /// Token ids that stand in the header.
    func ids(_ pointer: UnsafeMutablePointer<Int32>?, count: Int) throws -> [TokenID] {
        guard let pointer else { return [] }
        let ids = Array(UnsafeBufferPointer(start: pointer, count: count))
        guard ids.allSatisfy({ $0 >= 0 }) else { throw Problem.invalid("message: a token below 0") }
        return ids
    }
}
