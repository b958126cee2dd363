public import Checkpoint
public import Core

/// One process that does everything: the slice of all layers, all leaves and the whole vocabulary.
///
/// It is the reference for every layout: the same stage that workers run, alone. One thread uses it at a time.
public final class Generator {
    /// The model.
    public let description: ModelDescription
    /// The stage that computes it.
    public let stage: Stage
    private let collective = SoloCollective()
    private var stepNumber: UInt64 = 0
    private var sequenceNumber: UInt64 = 0

    /// Loads a checkpoint whole, with room for `kvTokens` tokens of KV cache.
    public init(
        _ checkpoint: Checkpoint, type: WeightType? = nil, kvType: KVType? = nil, kvTokens: Int, threads: Int,
        progress: (Double) -> Void = { _ in }
    ) throws {
        description = try ModelDescription(checkpoint)
        let configuration = description.configuration
        stage = try Stage(
            description: description,
            slice: .whole(layers: configuration.layers, vocabulary: configuration.vocabulary), source: checkpoint,
            type: type, kvType: kvType,
            kvPages: KVShare.whole(kvHeads: configuration.kvHeads).capacity(tokens: kvTokens), threads: threads,
            progress: progress)
    }

    /// The logits [tokens, vocabulary] of the first sequence, computed in chunks; the others share its steps.
    public func logits(
        of sequences: [[TokenID]], chunk: Int, attention: AttentionMode = .exact
    ) throws -> [Float] {
        for sequence in sequences { try description.configuration.check(prompt: sequence) }
        let ids = sequences.map { _ in nextSequence() }
        var wanted: [Float] = []
        for start in stride(from: 0, to: sequences.map(\.count).max() ?? 0, by: chunk) {
            var segments: [Segment] = []
            for (index, tokens) in sequences.enumerated() where start < tokens.count {
                segments.append(
                    Segment(
                        sequence: ids[index], start: start,
                        tokens: Array(tokens[start..<min(start + chunk, tokens.count)]), output: .logits,
                        attention: attention))
            }
            for result in try run(segments) where result.sequence == ids[0] { wanted += result.logits }
        }
        try release(ids)
        return wanted
    }

    /// Continues `prompt`; `deliver` hears each token and says whether to go on.
    ///
    /// - Returns: why it ended. An end-of-sequence token is delivered, then ends it.
    public func generate(
        _ prompt: [TokenID], options: GenerationOptions, chunk: Int, deliver: (ScoredToken) throws -> Bool
    ) throws -> FinishReason {
        let configuration = description.configuration
        try configuration.check(prompt: prompt)
        let room = configuration.contextLength - prompt.count
        let limit = min(options.maxTokens ?? room, room)
        guard limit > 0 else { return .length }
        let ends = Set(options.ignoresEndOfSequence ? [] : configuration.stopTokens).union(options.stopTokenIDs)
        var drawing = Drawing(options, promptTokens: prompt.count, stopTokens: configuration.stopTokens)
        drawing.past = Past(options.sampling, tokens: prompt, promptTokens: prompt.count)
        let id = nextSequence()
        defer { try? release([id]) }
        // One segment for all steps: what is in its list of tokens changes, not where the list lies.
        var segments = [Segment(sequence: id, start: 0, tokens: [], output: .none, attention: options.attention)]
        for start in stride(from: 0, to: prompt.count, by: chunk) {
            let end = min(start + chunk, prompt.count)
            segments[0].start = start
            segments[0].tokens.removeAll(keepingCapacity: true)
            segments[0].tokens += prompt[start..<end]
            if end < prompt.count { _ = try run(segments) }
        }
        segments[0].output = .sample(drawing)
        drawing.past = nil
        var generated = 0
        var lookup = options.speculates ? PromptLookup(prompt) : nil
        while true {
            guard let result = try run(segments).first, let first = result.drawn else {
                throw Problem.failed("no token was drawn behind position \(segments[0].start)")
            }
            for index in 0...result.more.count {
                let drawn = index == 0 ? ScoredToken(first, top: result.top) : result.more[index - 1]
                generated += 1
                let goesOn = try deliver(drawn)
                if ends.contains(drawn.token.token) || !goesOn { return .stop }
                if generated == limit { return .length }
                lookup?.append(drawn.token.token)
            }
            lookup?.judge(guessed: segments[0].guesses, right: result.more.count)
            segments[0].start += segments[0].tokens.count - segments[0].guesses + result.more.count
            segments[0].output = .sample(drawing)
            segments[0].tokens.removeAll(keepingCapacity: true)
            segments[0].tokens.append((result.more.last?.token ?? first).token)
            segments[0].guesses = lookup?.guess(limit: limit - generated - 1, onto: &segments[0].tokens) ?? 0
        }
    }

    /// Runs one step.
    public func run(_ segments: [Segment], changes: [KVChange] = []) throws -> [SegmentResult] {
        stepNumber += 1
        let step = Step(number: stepNumber, epoch: 1, changes: changes, segments: segments)
        guard case .results(let results) = try stage.run(step, input: nil, collective: collective) else { return [] }
        return results
    }

    /// A sequence that was not used before.
    public func nextSequence() -> SequenceID {
        sequenceNumber += 1
        return SequenceID(sequenceNumber)
    }

    /// Frees the pages of sequences.
    public func release(_ ids: [SequenceID]) throws {
        _ = try run([], changes: ids.flatMap { [.close($0), .drop(PageRun($0, 0..<Int.max))] })
    }
}

extension Configuration {
    /// Refuses a prompt that is empty, too long or has tokens out of range.
    public func check(prompt: [TokenID]) throws {
        guard !prompt.isEmpty else { throw Problem.invalid("the prompt is empty; give at least one token") }
        guard prompt.count <= contextLength else {
            throw Problem.invalid(
                "the prompt has \(prompt.count) tokens, the model's context holds \(contextLength); shorten the prompt")
        }
        for (index, token) in prompt.enumerated() where token < 0 || Int(token) >= vocabulary {
            throw Problem.invalid(
                "token \(token) at position \(index) is out of range; the vocabulary has \(vocabulary) tokens, 0 to \(vocabulary - 1)"
            )
        }
    }
}
