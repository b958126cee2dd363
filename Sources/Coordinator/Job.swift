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
    private let stopTokens: Set<TokenID>
    private var detokenizer: Detokenizer?
    private var scanner: StopScanner
    private let acceptedAt: ContinuousClock.Instant
    private var startedAt: ContinuousClock.Instant?
    private var computingSince: ContinuousClock.Instant?
    private var firstTokenAt: ContinuousClock.Instant?
    private var losses = 0
    /// What a pair of tokens in attention costs, in a token's other work.
    private let attentionRatio: Double

    init(
        _ id: JobID, sequence: SequenceID, request: JobRequest, limit: Int, stopTokens: Set<TokenID>,
        tokenizer: Tokenizer?, attentionRatio: Double = 0, accepted: Double, now: ContinuousClock.Instant
    ) {
        self.request = request
        self.limit = limit
        self.sequence = sequence
        self.stopTokens = request.options.ignoresEndOfSequence ? [] : stopTokens
        detokenizer = tokenizer.map { Detokenizer($0) }
        scanner = StopScanner(request.options.stop)
        acceptedAt = now
        self.attentionRatio = attentionRatio
        state = JobState(
            id: id, phase: .queued, prefill: PrefillProgress(total: request.prompt.count), accepted: accepted,
            attention: request.options.attention)
    }

    var id: JobID { state.id }
    var isOver: Bool { state.phase == .finished || state.phase == .failed || state.phase == .cancelled }

    /// Lets go of the prompt when nothing needs it any more: thousands of jobs are remembered, and one may have a million tokens.
    mutating func forgetPrompt() {
        if isOver { request.prompt = [] }
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
        events.append(.prefilled(state.prefill))
    }

    /// The work of a sequence's first tokens: linear in them, and quadratic for attention.
    private func cost(_ tokens: Int) -> Double {
        Double(tokens) + attentionRatio * Double(tokens) * Double(tokens) / 2
    }

    /// A token was drawn; true when the answer goes on with it.
    mutating func drew(_ result: SegmentResult, now: ContinuousClock.Instant) -> Bool {
        guard !isOver, let drawn = result.drawn else { return false }
        state.phase = .decode
        state.tokens.append(drawn.token)
        if firstTokenAt == nil {
            firstTokenAt = now
            state.timings.prefill = now - (startedAt ?? now)
        }
        state.timings.decode = now - (firstTokenAt ?? now)
        if stopTokens.contains(drawn.token) {
            events.append(.token(drawn, text: "", top: result.top))
            finish(.stop)
            return false
        }
        let (text, stopped) = scanner.next(detokenizer?.next(drawn.token) ?? "")
        state.text += text
        events.append(.token(drawn, text: text, top: result.top))
        if stopped {
            finish(.stop, holdsText: false)
            return false
        }
        if state.tokens.count >= limit {
            finish(.length)
            return false
        }
        return true
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
        events.append(.finished(reason, text: rest, usage, state.timings))
    }

    /// It ends with a problem.
    mutating func fail(_ problem: Problem) {
        guard !isOver else { return }
        state.phase = .failed
        state.finish = .error
        state.problem = problem
        events.append(.failed(problem))
    }
}
