import Core
import Tokenization

/// One job: what was asked, how far it is, and everything that happened to it.
///
/// A plain value. Its methods take what happened and append the events that follow; the coordinator tells those who
/// listen. Whether an answer goes on is decided here and nowhere else.
struct Job {
    private(set) var request: JobRequest
    /// The tokens that may be generated.
    let limit: Int
    let sequence: SequenceID
    private(set) var state: JobState
    private(set) var events: [JobEvent] = []
    /// The number of the next event; the progress of its prompt is not numbered, since it is another when it is read again.
    private(set) var nextNumber = 0
    /// Whether its events are in the store and no longer here.
    let isArchived: Bool
    /// Seconds since 1970 when it ended.
    private(set) var ended: Double?
    private let stopTokens: Set<TokenID>
    private var detokenizer: Detokenizer?
    private var scanner: StopScanner
    private let acceptedAt: ContinuousClock.Instant
    private var startedAt: ContinuousClock.Instant?
    private var computingSince: ContinuousClock.Instant?
    private var firstTokenAt: ContinuousClock.Instant?
    private var losses = 0
    /// The first place of the prompt whose token was not told about.
    private var unscored = 1
    /// What a pair of tokens in attention costs, in a token's other work.
    private let attentionRatio: Double
    /// What holds the answer to its grammar; nil when there is none, or when the job is over.
    private var form: AnswerForm?

    init(
        _ id: JobID, sequence: SequenceID, request: JobRequest, limit: Int, stopTokens: Set<TokenID>,
        tokenizer: Tokenizer?, form: AnswerForm? = nil, attentionRatio: Double = 0, accepted: Double,
        now: ContinuousClock.Instant
    ) {
        self.request = request
        self.limit = limit
        self.sequence = sequence
        self.stopTokens = (request.options.ignoresEndOfSequence ? [] : stopTokens).union(request.options.stopTokenIDs)
        detokenizer = tokenizer.map { Detokenizer($0) }
        scanner = StopScanner(request.options.stop)
        acceptedAt = now
        isArchived = false
        self.attentionRatio = attentionRatio
        self.form = form
        state = JobState(
            id: id, phase: .queued, prefill: PrefillProgress(total: request.prompt.count), accepted: accepted,
            attention: request.options.attention, owner: request.owner, priority: request.options.priority)
    }

    /// A job that ended under an earlier coordinator; its events are in the store.
    init(over state: JobState, tag: String, ended: Double, endsWithClient: Bool, now: ContinuousClock.Instant) {
        request = JobRequest(
            prompt: [], options: GenerationOptions(), endsWithClient: endsWithClient, owner: state.owner, tag: tag)
        limit = 0
        sequence = SequenceID(0)
        stopTokens = []
        scanner = StopScanner([])
        acceptedAt = now
        isArchived = true
        attentionRatio = 0
        self.state = state
        self.ended = ended
    }

    var id: JobID { state.id }
    var isOver: Bool { state.phase == .finished || state.phase == .failed || state.phase == .cancelled }

    /// Lets go of the prompt when nothing needs it any more: thousands of jobs are remembered, and one may have a million tokens.
    mutating func forgetPrompt() {
        guard isOver else { return }
        request.prompt = []
        request.options.grammar = nil
        form = nil
    }

    /// What may be drawn next, and behind each of some guesses, as far as those fit; nothing where anything may.
    ///
    /// - Throws: when the answer cannot go on in its form.
    mutating func masks(guesses: some Sequence<TokenID>) throws -> [TokenMask] {
        guard !isOver, form != nil else { return [] }
        try form?.follow(state.tokens)
        return try form?.masks(guesses: guesses) ?? []
    }

    private mutating func say(_ event: JobEvent) {
        events.append(event)
        if event.isNumbered { nextNumber += 1 }
    }

    /// Takes up what was drawn under an earlier coordinator; false when the answer was complete with that.
    mutating func takeUp(_ earlier: [JobEvent], now: ContinuousClock.Instant) -> Bool {
        for event in earlier {
            switch event {
            case .token(let drawn, _, let top):
                guard drew(ScoredToken(drawn, top: top), now: now) else { return false }
            case .scored(let first, let tokens): scored(first: first, tokens)
            case .embedded(let values): embedded(values)
            case .prefilled, .finished, .failed: break
            }
        }
        guard !isOver else { return false }
        if !state.tokens.isEmpty { state.prefill.tokens = state.prefill.total }
        state.phase = .queued
        firstTokenAt = nil
        return true
    }

    /// Notes when it ended, once it has.
    mutating func noteEnd(_ seconds: Double) {
        if isOver, ended == nil { ended = seconds }
    }

    /// Seconds until it has all tokens that it may have, by the pace so far; nil while that is not known.
    var secondsLeft: Double? {
        switch state.phase {
        case .decode:
            let pace = state.timings.decode / .seconds(1) / Double(max(state.tokens.count - 1, 1))
            return state.tokens.count > 1 ? pace * Double(limit - state.tokens.count) : nil
        case .prefill: return state.prefill.secondsLeft > 0 ? state.prefill.secondsLeft : nil
        default: return nil
        }
    }

    /// Its first step is made.
    mutating func start(now: ContinuousClock.Instant) {
        guard state.phase == .queued else { return }
        state.phase = .prefill
        startedAt = now
        state.timings.queued = now - acceptedAt
    }

    /// A worker that it ran on is lost; returns how often that has happened.
    mutating func lostWorker() -> Int {
        losses += 1
        return losses
    }

    /// So many tokens of the prompt were found in the KV cache: they are not computed.
    mutating func found(_ cached: Int, now: ContinuousClock.Instant) {
        // One that answers already reads its own answer again: that is nobody's business.
        guard !isOver, state.tokens.isEmpty else { return }
        computingSince = now
        state.prefill.cached = cached
        state.prefill.tokens = cached
    }

    /// So many tokens of the prompt are done.
    mutating func prefilled(_ tokens: Int, now: ContinuousClock.Instant) {
        guard !isOver, state.tokens.isEmpty else { return }
        let seconds = (computingSince ?? now).duration(to: now) / .seconds(1)
        let cached = state.prefill.cached
        state.prefill.tokens = tokens
        let done = cost(tokens) - cost(cached)
        if seconds > 0, done > 0 {
            state.prefill.tokensPerSecond = Double(tokens - cached) / seconds
            state.prefill.secondsLeft = seconds * (cost(request.prompt.count) - cost(tokens)) / done
        }
        say(.prefilled(state.prefill))
    }

    /// The work of a sequence's first tokens: linear in them, and quadratic for attention.
    private func cost(_ tokens: Int) -> Double {
        Double(tokens) + attentionRatio * Double(tokens) * Double(tokens) / 2
    }

    /// A token was drawn; true when the answer goes on with it.
    mutating func drew(_ scored: ScoredToken, now: ContinuousClock.Instant) -> Bool {
        guard !isOver else { return false }
        let drawn = scored.token
        state.phase = .decode
        state.tokens.append(drawn.token)
        if firstTokenAt == nil {
            firstTokenAt = now
            state.timings.prefill = now - (startedAt ?? now)
        }
        state.timings.decode = now - (firstTokenAt ?? now)
        if stopTokens.contains(drawn.token) {
            say(.token(drawn, text: "", top: scored.top))
            finish(.stop)
            return false
        }
        let piece = detokenizer?.next(drawn.token) ?? ""
        // What must be generated is no end of the answer, whatever it looks like.
        let (text, stopped) =
            state.tokens.count <= request.options.minTokens ? (piece, false) : scanner.next(piece)
        state.text += text
        say(.token(drawn, text: text, top: scored.top))
        if stopped {
            finish(.stop, holdsText: false)
            return false
        }
        do {
            // Where nothing can follow, no step is spent on the token that would say so.
            try form?.follow(state.tokens)
            if form?.mustEnd == true {
                finish(.stop)
                return false
            }
        } catch {
            fail(error as? Problem ?? .failed("\(error)"))
            return false
        }
        if state.tokens.count >= limit {
            finish(.length)
            return false
        }
        return true
    }

    /// How likely tokens of the prompt were. After a change of the layout the prompt is read again: each is told once.
    mutating func scored(first: Int, _ tokens: [ScoredToken]) {
        let known = max(0, unscored - first)
        guard !isOver, known < tokens.count else { return }
        say(.scored(first: first + known, Array(tokens[known...])))
        unscored = first + tokens.count
    }

    /// The prompt's embedding is there, which is all that was wanted.
    mutating func embedded(_ values: [Float]) {
        guard !isOver else { return }
        say(.embedded(values))
        finish(.stop)
    }

    /// It ends well, or because somebody cancelled it.
    mutating func finish(_ reason: FinishReason, holdsText: Bool = true) {
        guard !isOver else { return }
        var rest = ""
        if holdsText {
            let (text, stopped) = scanner.next(detokenizer?.finish() ?? "")
            rest = stopped ? text : text + scanner.finish()
        }
        state.text += rest
        state.phase = reason == .cancelled ? .cancelled : .finished
        state.finish = reason
        let usage = Usage(
            promptTokens: state.prefill.total, completionTokens: state.tokens.count, cachedTokens: state.prefill.cached
        )
        say(.finished(reason, text: rest, usage, state.timings))
    }

    /// It ends with a problem.
    mutating func fail(_ problem: Problem) {
        guard !isOver else { return }
        state.phase = .failed
        state.finish = .error
        state.problem = problem
        say(.failed(problem))
    }
}
