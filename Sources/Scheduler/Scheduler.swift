public import Core

/// Which sequences advance in a step, and by how many tokens: continuous batching.
///
/// A plain value. Decoding sequences go first and share a step; what is left of the budget goes to prompts, a chunk at
/// a time, so that a long prompt never stops other answers. As many steps are in flight as there are stages. A prompt's
/// next chunk enters the first stage while the one before is further on; an answer's next token waits for the one before.
/// Answers share a step where they can: all of them read the weights together. So they are spread over no more steps
/// than stages can compute at once. Where the budget is too small for all, priorities say who goes first.
public struct Scheduler: Sendable {
    /// How steps are cut.
    public struct Settings: Hashable, Sendable {
        /// Tokens of a step at most.
        public var chunk: Int
        /// How long a step may take while somebody decodes: their next token waits for it. While nobody does, ten times as long:
        /// who comes or cancels waits for it.
        public var latency: Duration
        /// Stages of the plan: so many steps are in flight at once.
        public var stages: Int
        /// How many of them compute at once, when some share their host's processors: so many steps hold answers.
        public var stagesAtOnce: Int

        /// Steps of at most `chunk` tokens, and fewer where they would take longer than `latency`.
        public init(chunk: Int = 512, latency: Duration = .milliseconds(250), stages: Int = 1, stagesAtOnce: Int = .max)
        {
            self.chunk = max(1, chunk)
            self.latency = latency
            self.stages = max(1, stages)
            self.stagesAtOnce = min(max(1, stagesAtOnce), self.stages)
        }
    }

    /// What a sequence is run for.
    public enum Purpose: Hashable, Sendable {
        /// To continue it.
        case generate(Drawing)
        /// To read it: how likely its tokens were is all that is asked.
        case read
        /// For its embedding.
        case embed(Embedding)
        /// For the logits of all its tokens, so many at a time whoever else shares the step.
        case logits(chunk: Int)
    }

    /// What a finished step brought.
    public enum Progress: Hashable, Sendable {
        /// So many tokens of the sequence are computed, prompt and answer.
        case computed(SequenceID, tokens: Int)
        /// So many tokens of the prompt are done.
        case prefilled(SequenceID, tokens: Int, of: Int)
        /// How likely the tokens from place `first` on were.
        case scored(SequenceID, first: Int, [ScoredToken])
        /// All of a sequence is read whose purpose that was.
        case read(SequenceID)
        /// The sequence's embedding: it is over.
        case embedded(SequenceID, [Float])
        /// A token was drawn: the sequence goes on with `proceed`, or ends with `end`.
        case drawn(SegmentResult)
        /// Logits of the sequence's next tokens.
        case logits(SegmentResult, isLast: Bool)
    }

    private struct Running {
        var sequence: SequenceID
        var prompt: [TokenID]
        var purpose: Purpose
        var priority: Int
        var attention: AttentionMode
        /// Alternatives beside each of the first `scored` tokens, when log-probabilities are wanted.
        var alternatives: Int?
        var scored = 0
        /// Tokens that it may come to have, and what guesses the next ones, where that is wanted.
        var total: Int
        var speculates: Bool
        var lookup: PromptLookup?
        var sent = 0
        var done = 0
        var next: TokenID?

        var isPrefilling: Bool { sent < prompt.count }
        var isDecoding: Bool { done >= prompt.count }
        var hasOwnChunk: Bool {
            if case .logits = purpose { true } else { false }
        }

        func output(isLast: Bool) -> Segment.Output {
            switch purpose {
            case .logits: return .logits
            case .read: return .none
            case .embed(let embedding):
                return isLast || embedding == .mean ? .embed(embedding, goesOn: !isLast) : .none
            case .generate(var drawing):
                guard isLast else { return .none }
                // Workers saw no tokens that were found in the KV cache, so they hear once what stands before.
                drawing.past = Past(drawing.options, tokens: prompt, promptTokens: drawing.promptTokens)
                return .sample(drawing)
            }
        }

        /// What is asked about the tokens behind each of `places`.
        func scoring(_ places: Range<Int>) -> Segment.Scoring? {
            guard let alternatives else { return nil }
            let targets = prompt[places.lowerBound + 1..<max(places.lowerBound + 1, min(places.upperBound + 1, scored))]
            return targets.isEmpty ? nil : Segment.Scoring(targets: Array(targets), alternatives: alternatives)
        }
    }

    /// How steps are cut.
    public let settings: Settings
    /// The plan the steps belong to.
    public let epoch: UInt32
    /// Steps made so far.
    public private(set) var steps: UInt64 = 0
    private var running: [Running] = []
    private var changes: [KVChange] = []
    private var inFlight: [Step] = []
    /// Those of them that answers have tokens in.
    private var answering: Set<UInt64> = []
    /// Tokens of prompts in a step now: while somebody decodes, and while nobody does.
    public private(set) var sharedChunk: Int
    /// The same while nobody decodes.
    public private(set) var soloChunk: Int

    /// No sequences yet.
    public init(settings: Settings, epoch: UInt32) {
        self.settings = settings
        self.epoch = epoch
        sharedChunk = max(1, settings.chunk / 4)
        soloChunk = settings.chunk
    }

    /// Whether nobody runs and nothing is on its way.
    public var isQuiet: Bool { running.isEmpty && inFlight.isEmpty && changes.isEmpty }
    /// How many steps are on their way.
    public var stepsInFlight: Int { inFlight.count }
    /// The sequences that run, by their priority, then in the order in which they came.
    public var sequences: [SequenceID] { running.map(\.sequence) }

    /// Adds a sequence that has room in the KV cache, of which the first `cached` tokens are there.
    ///
    /// - Parameters:
    ///   - alternatives: How many to report with the log-probability of each of the first `scored` tokens; nil for none.
    ///   - total: How many tokens it may come to have.
    ///   - speculates: Whether its next tokens may be guessed.
    ///   - priority: The lowest goes first.
    public mutating func add(
        _ sequence: SequenceID, prompt: [TokenID], cached: Int = 0, purpose: Purpose,
        attention: AttentionMode = .exact, alternatives: Int? = nil, scored: Int = 0, total: Int = .max,
        speculates: Bool = false, priority: Int = 0
    ) {
        running.insert(
            Running(
                sequence: sequence, prompt: prompt, purpose: purpose, priority: priority, attention: attention,
                alternatives: alternatives, scored: scored, total: total, speculates: speculates, sent: cached,
                done: cached),
            at: running.firstIndex { $0.priority > priority } ?? running.endIndex)
    }

    /// What the next step does to the KV cache before anything else, after what was said before.
    public mutating func change(_ changes: [KVChange]) { self.changes += changes }

    /// Tokens of a running sequence that are computed.
    public func computed(_ sequence: SequenceID) -> Int {
        running.first { $0.sequence == sequence }?.done ?? 0
    }

    /// Continues a sequence with what was drawn for it: a token, and those behind guesses that were right.
    public mutating func proceed(_ sequence: SequenceID, with tokens: [TokenID]) {
        guard let index = running.firstIndex(where: { $0.sequence == sequence }) else { return }
        running[index].next = tokens.last
        guard running[index].speculates else { return }
        if running[index].lookup == nil { running[index].lookup = PromptLookup(running[index].prompt) }
        running[index].lookup?.append(tokens)
    }

    /// Ends a sequence: it is in no step that is made from now on.
    public mutating func end(_ sequence: SequenceID) { running.removeAll { $0.sequence == sequence } }

    /// The next step, or nil when as many are in flight as may be or nobody can advance.
    public mutating func next() -> Step? {
        guard inFlight.count < settings.stages else { return nil }
        let answers = decodes()
        let segments = answers + prefills()
        guard !segments.isEmpty || !changes.isEmpty else { return nil }
        steps += 1
        let step = Step(number: steps, epoch: epoch, changes: changes, segments: segments)
        changes = []
        inFlight.append(step)
        if !answers.isEmpty { answering.insert(step.number) }
        return step
    }

    /// The tokens drawn last of as many sequences as one of `stagesAtOnce` steps should take.
    private mutating func decodes() -> [Segment] {
        guard answering.count < settings.stagesAtOnce else { return [] }
        let decoding = running.count { $0.isDecoding }
        let share = min((decoding + settings.stagesAtOnce - 1) / settings.stagesAtOnce, settings.chunk)
        // Guesses take what the step's budget leaves beside one token of everybody.
        let most = min(PromptLookup.most, settings.chunk / max(share, 1) - 1)
        var segments: [Segment] = []
        for index in running.indices where segments.count < share {
            guard case .generate(let drawing) = running[index].purpose, let token = running[index].next else {
                continue
            }
            let start = running[index].sent
            // The last token that may be drawn is not computed: nothing is gained by a guess of it.
            let limit = min(most, running[index].total - 2 - start)
            let guesses = running[index].lookup?.guess(limit: limit) ?? []
            segments.append(
                Segment(
                    sequence: running[index].sequence, start: start, tokens: [token] + guesses,
                    output: .sample(drawing), attention: running[index].attention, guesses: guesses.count))
            running[index].next = nil
            running[index].sent += 1 + guesses.count
        }
        return segments
    }

    /// Chunks of prompts: equal shares of the budget, so that a short prompt does not wait for a long one of its priority; what those of
    /// one priority leave is shared by the next.
    private mutating func prefills() -> [Segment] {
        var waiting: [Int: Int] = [:]
        var left = 0
        for entry in running where entry.isPrefilling && !entry.hasOwnChunk {
            waiting[entry.priority, default: 0] += 1
            left += entry.prompt.count - entry.sent
        }
        let isShared = running.contains(where: \.isDecoding)
        var budget = isShared ? sharedChunk : min(soloChunk, pipelined(left))
        var segments: [Segment] = []
        for index in running.indices where running[index].isPrefilling {
            let entry = running[index]
            let left = entry.prompt.count - entry.sent
            let count: Int
            switch entry.purpose {
            case .logits(let chunk):
                count = min(max(1, chunk), left)
            case .generate, .read, .embed:
                // At least sixteen, so that matrices are worth reading, but something for everybody behind.
                let peers = waiting[entry.priority] ?? 1
                count = min(max(budget / peers, min(budget - peers + 1, 16), min(budget, 1)), left)
                budget -= count
                waiting[entry.priority] = peers - 1
            }
            guard count > 0 else { continue }
            segments.append(
                Segment(
                    sequence: entry.sequence, start: entry.sent,
                    tokens: Array(entry.prompt[entry.sent..<entry.sent + count]),
                    output: entry.output(isLast: count == left), attention: entry.attention,
                    scoring: entry.scoring(entry.sent..<entry.sent + count)))
            running[index].sent += count
        }
        return segments
    }

    /// Tokens of prompts in a step, when `left` are to be read by stages that compute at once.
    ///
    /// The last stage waits for the first chunk, the first one does nothing while the last chunk ends: `stages` - 1 steps are lost, the
    /// shorter the better. But each step costs something whatever it holds. The sum is least at the root of their ratio.
    private func pipelined(_ left: Int) -> Int {
        guard settings.stagesAtOnce > 1 else { return .max }
        let best = (Double(left) * Self.stepCost / Double(settings.stagesAtOnce - 1)).squareRoot()
        return max(Int(best), Self.leastChunk)
    }

    /// What a step costs whatever it holds, in tokens' work: weights are read, and processes wait for each other's messages.
    private static let stepCost = 16.0

    /// The fewest tokens of prompts that a step is cut down to, so that a prompt always advances.
    private static let leastChunk = 16

    /// Makes the next prompts' chunks larger or smaller by how long one took.
    private mutating func adapt(to took: Duration, _ step: Step) {
        let certain = step.segments.map { $0.tokens.count - $0.guesses }
        let prompts = certain.reduce(0) { $0 + ($1 > 1 ? $1 : 0) }
        guard prompts > 0, took > .zero else { return }
        let isShared = certain.contains(1)
        let limit = isShared ? settings.latency : settings.latency * 10
        let fits = Double(prompts) * (limit / took)
        func next(_ chunk: Int) -> Int {
            let least = min(Self.leastChunk, settings.chunk)
            // A step that was not full says nothing about larger ones.
            let wish =
                fits < Double(chunk) ? fits : prompts * 2 >= chunk ? min(fits, Double(chunk) * 1.5) : Double(chunk)
            return min(max(Int(wish), least), settings.chunk)
        }
        if isShared { sharedChunk = next(sharedChunk) } else { soloChunk = next(soloChunk) }
    }

    /// Step `number` left the last stage with these results, `took` after it was made.
    ///
    /// - Throws: when a result that the step asked for is missing.
    public mutating func finished(
        _ number: UInt64, results: [SegmentResult], took: Duration = .zero
    ) throws -> [Progress] {
        guard let at = inFlight.firstIndex(where: { $0.number == number }) else { return [] }
        let step = inFlight.remove(at: at)
        answering.remove(number)
        adapt(to: took, step)
        var bySequence: [SequenceID: SegmentResult] = [:]
        for result in results { bySequence[result.sequence] = result }
        var progress: [Progress] = []
        for segment in step.segments {
            guard let index = running.firstIndex(where: { $0.sequence == segment.sequence }) else { continue }
            let total = running[index].prompt.count
            let wasPrompt = running[index].done < total
            let result = bySequence[segment.sequence]
            // Guesses that were wrong are as if they had never been sent.
            let wrong = segment.guesses - (result?.more.count ?? 0)
            guard wrong >= 0 else {
                throw Problem.failed("step \(number) came back with more right guesses than it was sent")
            }
            running[index].lookup?.judge(guessed: segment.guesses, right: segment.guesses - wrong)
            running[index].sent -= wrong
            running[index].done += segment.tokens.count - wrong
            let done = running[index].done
            progress.append(.computed(segment.sequence, tokens: done))
            if wasPrompt { progress.append(.prefilled(segment.sequence, tokens: done, of: total)) }
            if let scoring = segment.scoring {
                guard let result, result.scored.count == scoring.targets.count else {
                    throw Self.missing(segment, number)
                }
                progress.append(.scored(segment.sequence, first: segment.start + 1, result.scored))
            }
            switch segment.output {
            case .none:
                if case .read = running[index].purpose, done >= total { progress.append(.read(segment.sequence)) }
            case .embed(_, goesOn: true): break
            case .embed(_, goesOn: false):
                guard let result, !result.embedding.isEmpty else { throw Self.missing(segment, number) }
                progress.append(.embedded(segment.sequence, result.embedding))
            case .sample:
                guard let result, result.drawn != nil else { throw Self.missing(segment, number) }
                progress.append(.drawn(result))
            case .logits:
                guard let result, !result.logits.isEmpty else { throw Self.missing(segment, number) }
                progress.append(.logits(result, isLast: done >= total))
            }
        }
        return progress
    }

    private static func missing(_ segment: Segment, _ number: UInt64) -> Problem {
        .failed("step \(number) came back without the result of sequence \(segment.sequence.number)")
    }
}
