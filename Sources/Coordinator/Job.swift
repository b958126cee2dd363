import Core
import Tokenization

/// One job: what was asked, how far it is, and everything that happened to it.
///
/// A plain value. Its methods take what happened and append the events that follow; the coordinator tells those who
/// listen. Whether an answer goes on is decided here and nowhere else.
struct Job {
    let request: JobRequest
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
    private var firstTokenAt: ContinuousClock.Instant?

    init(
        _ id: JobID, sequence: SequenceID, request: JobRequest, limit: Int, stopTokens: Set<TokenID>,
        tokenizer: Tokenizer?, accepted: Double, now: ContinuousClock.Instant
    ) {
        self.request = request
        self.limit = limit
        self.sequence = sequence
        self.stopTokens = request.options.ignoresEndOfSequence ? [] : stopTokens
        detokenizer = tokenizer.map { Detokenizer($0) }
        scanner = StopScanner(request.options.stop)
        acceptedAt = now
        state = JobState(id: id, phase: .queued, promptTokens: request.prompt.count, accepted: accepted)
    }

    var id: JobID { state.id }
    var isOver: Bool { state.phase == .finished || state.phase == .failed || state.phase == .cancelled }

    /// Its first step is made.
    mutating func start(now: ContinuousClock.Instant) {
        guard state.phase == .queued else { return }
        state.phase = .prefill
        startedAt = now
        state.timings.queued = now - acceptedAt
    }

    /// So many tokens of the prompt are done.
    mutating func prefilled(_ tokens: Int) {
        guard !isOver else { return }
        state.prefilledTokens = tokens
        events.append(.prefilled(tokens: tokens, of: request.prompt.count))
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
        let usage = Usage(promptTokens: request.prompt.count, completionTokens: state.tokens.count)
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
