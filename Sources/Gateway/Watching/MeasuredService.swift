import Core
import HTTPTypes
import Synchronization
import Telemetry

/// A cluster whose answers are measured on their way through: latencies to the meters, spans to the trace.
///
/// A job takes its request's name along. Whether anybody reads an answer makes no difference: it is watched to its end.
struct MeasuredService: ClusterService {
    let service: any ClusterService
    let traces: TraceFile?
    let meters = RequestMeters()

    func submit(_ request: JobRequest, listener: @escaping JobListener) async throws -> JobID {
        let scope = RequestScope.current ?? RequestScope([:])
        var request = request
        request.requestID = scope.id
        let watch = AnswerWatch(scope: scope, meters: meters, traces: traces)
        let job = try await service.submit(request) { event in
            watch.saw(event)
            listener(event)
        }
        watch.knows(job)
        return job
    }

    func model() async throws -> ModelCard { try await service.model() }
    func events(of job: JobID, listener: @escaping JobListener) async throws {
        try await service.events(of: job, listener: listener)
    }
    func cancel(_ job: JobID) async throws { try await service.cancel(job) }
    func jobs() async throws -> [JobState] { try await service.jobs() }
    func job(_ id: JobID) async throws -> JobState { try await service.job(id) }
    func status() async throws -> ClusterStatus { try await service.status() }
    func steps() async throws -> [StepRecord] { try await service.steps() }
    func measureLinks() async throws -> [LinkRate] { try await service.measureLinks() }
    func scale(to layout: Layout?) async throws { try await service.scale(to: layout) }
    func drain(_ worker: WorkerID) async throws { try await service.drain(worker) }
    func keys() async throws -> [APIKey] { try await service.keys() }
    func keep(_ record: Record) async throws { try await service.keep(record) }
    func record(_ name: Record.Name, withData: Bool) async throws -> Record? {
        try await service.record(name, withData: withData)
    }
    func records(_ kind: String, prefix: String) async throws -> [Record] {
        try await service.records(kind, prefix: prefix)
    }
    func forget(_ name: Record.Name) async throws { try await service.forget(name) }
}

/// One answer as it passes.
private final class AnswerWatch: Sendable {
    private struct State {
        var job: JobID?
        var isOver = false
        var lastToken: ContinuousClock.Instant?
        var firstTokenSeconds: Double?
        var end: (finish: FinishReason, usage: Usage, timings: Timings)?
        var problem: Problem?
    }

    private let scope: RequestScope
    private let meters: RequestMeters
    private let traces: TraceFile?
    private let submitted = Moment()
    private let state = Mutex(State())

    init(scope: RequestScope, meters: RequestMeters, traces: TraceFile?) {
        self.scope = scope
        self.meters = meters
        self.traces = traces
    }

    func knows(_ job: JobID) { change { $0.job = job } }

    func saw(_ event: JobEvent?) {
        let now = ContinuousClock.now
        change { state in
            switch event {
            case .prefilled, .scored, .embedded: break
            case .token:
                if let lastToken = state.lastToken {
                    meters.nextToken(after: (now - lastToken) / .seconds(1))
                } else {
                    let seconds = scope.arrived.seconds
                    state.firstTokenSeconds = seconds
                    meters.firstToken(after: seconds)
                }
                state.lastToken = now
            case .finished(let finish, _, let usage, let timings):
                state.end = (finish, usage, timings)
                meters.ended(
                    after: scope.arrived.seconds, queued: timings.queued / .seconds(1),
                    prefill: timings.prefill / .seconds(1), decode: timings.decode / .seconds(1),
                    promptTokens: usage.promptTokens, generatedTokens: usage.completionTokens)
            case .failed(let problem): state.problem = problem
            case nil: state.isOver = true
            }
        }
    }

    /// Changes what is known; when that is all of it, the spans are written. An answer may be over before its job's name is here.
    private func change(_ body: (inout State) -> Void) {
        let known = state.withLock { state -> [Span]? in
            body(&state)
            guard traces != nil, scope.trace.isSampled, state.isOver, let job = state.job else { return nil }
            return spans(of: job, state)
        }
        if let known { traces?.write(known) }
    }

    /// The job and its three parts, as far as they are known.
    private func spans(of job: JobID, _ state: State) -> [Span] {
        let now = submitted.epoch(after: submitted.seconds)
        var whole = Span(scope.trace, within: scope.trace.spanID, name: "job", start: submitted.epoch, end: now)
        whole.attributes = [("job", .string(job.name)), ("request.id", .string(scope.id))]
        whole.problem = state.problem?.message
        guard let (finish, usage, timings) = state.end else { return [whole] }
        whole.attributes += [
            ("gen_ai.usage.input_tokens", .integer(usage.promptTokens)),
            ("gen_ai.usage.output_tokens", .integer(usage.completionTokens)),
            ("cached_tokens", .integer(usage.cachedTokens)),
            ("gen_ai.response.finish_reasons", .string(finish.rawValue)),
        ]
        if let firstTokenSeconds = state.firstTokenSeconds {
            whole.attributes.append(("gen_ai.latency.time_to_first_token", .real(firstTokenSeconds)))
        }
        var parts = [whole]
        var start = submitted.epoch
        for (name, duration) in [("queue", timings.queued), ("prefill", timings.prefill), ("decode", timings.decode)] {
            let end = start + Int64(duration / .nanoseconds(1))
            parts.append(Span(scope.trace, within: whole.spanID, name: name, start: start, end: end))
            start = end
        }
        return parts
    }
}
