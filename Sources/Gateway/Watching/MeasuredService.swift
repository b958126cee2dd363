import Core
import HTTPTypes
import Telemetry

/// A cluster whose answers are measured on their way through: latencies to the meters, spans to the trace.
///
/// A job takes its request's name along. Whether anybody reads an answer makes no difference: it is watched to its end.
struct MeasuredService: ClusterService {
    let service: any ClusterService
    let traces: TraceFile?
    let meters = RequestMeters()

    func submit(_ request: JobRequest) async throws -> (JobID, AsyncStream<JobEvent>) {
        let scope = RequestScope.current ?? RequestScope([:])
        var request = request
        request.requestID = scope.id
        let (job, events) = try await service.submit(request)
        let (stream, sink) = AsyncStream.makeStream(of: JobEvent.self)
        let (meters, traces) = (meters, traces)
        Task {
            var watch = AnswerWatch(scope: scope, job: job, meters: meters)
            for await event in events {
                watch.saw(event)
                sink.yield(event)
            }
            sink.finish()
            if let traces, scope.trace.isSampled { traces.write(watch.spans) }
        }
        return (job, stream)
    }

    func model() async throws -> ModelCard { try await service.model() }
    func events(of job: JobID) async throws -> AsyncStream<JobEvent> { try await service.events(of: job) }
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
private struct AnswerWatch {
    private let scope: RequestScope
    private let job: JobID
    private let meters: RequestMeters
    private let submitted = Moment()
    private var lastToken: ContinuousClock.Instant?
    private var firstTokenSeconds: Double?
    private var end: (finish: FinishReason, usage: Usage, timings: Timings)?
    private var problem: Problem?

    init(scope: RequestScope, job: JobID, meters: RequestMeters) {
        self.scope = scope
        self.job = job
        self.meters = meters
    }

    mutating func saw(_ event: JobEvent) {
        let now = ContinuousClock.now
        switch event {
        case .prefilled, .scored, .embedded: break
        case .token:
            if let lastToken {
                meters.nextToken(after: (now - lastToken) / .seconds(1))
            } else {
                let seconds = scope.arrived.seconds
                firstTokenSeconds = seconds
                meters.firstToken(after: seconds)
            }
            lastToken = now
        case .finished(let finish, _, let usage, let timings):
            end = (finish, usage, timings)
            meters.ended(
                after: scope.arrived.seconds, queued: timings.queued / .seconds(1),
                prefill: timings.prefill / .seconds(1), decode: timings.decode / .seconds(1),
                promptTokens: usage.promptTokens, generatedTokens: usage.completionTokens)
        case .failed(let problem): self.problem = problem
        }
    }

    /// The job and its three parts, as far as they are known.
    var spans: [Span] {
        let now = submitted.epoch(after: submitted.seconds)
        var whole = Span(scope.trace, within: scope.trace.spanID, name: "job", start: submitted.epoch, end: now)
        whole.attributes = [("job", .string(job.name)), ("request.id", .string(scope.id))]
        whole.problem = problem?.message
        guard let (finish, usage, timings) = end else { return [whole] }
        whole.attributes += [
            ("gen_ai.usage.input_tokens", .integer(usage.promptTokens)),
            ("gen_ai.usage.output_tokens", .integer(usage.completionTokens)),
            ("cached_tokens", .integer(usage.cachedTokens)),
            ("gen_ai.response.finish_reasons", .string(finish.rawValue)),
        ]
        if let firstTokenSeconds {
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
