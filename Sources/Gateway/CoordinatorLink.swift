public import Core
import Synchronization
public import Transport
import Wire

/// A coordinator on the other end of a ZeroMQ connection, as the service it offers.
///
/// Every question has a number, and its answers carry it. When the connection is lost, open questions fail as
/// `unavailable` and open event streams end with that problem; the connection is tried again by itself.
public final class CoordinatorLink: ClusterService {
    /// What an open question waits for.
    private enum Open {
        case answer(CheckedContinuation<Message, any Error>)
        case stream(
            CheckedContinuation<(JobID, AsyncStream<JobEvent>), any Error>, AsyncStream<JobEvent>,
            AsyncStream<JobEvent>.Continuation)
        case events(AsyncStream<JobEvent>.Continuation)
    }

    private struct State {
        var next: UInt64 = 0
        var open: [UInt64: Open] = [:]
    }

    /// The open questions: the client's thread answers what tasks have asked.
    private final class Desk: Sendable {
        let state = Mutex(State())
        let log: @Sendable (String) -> Void

        init(log: @escaping @Sendable (String) -> Void) { self.log = log }

        func add(_ open: Open) -> UInt64 {
            state.withLock { state in
                state.next += 1
                state.open[state.next] = open
                return state.next
            }
        }

        func take(_ number: UInt64) -> Open? { state.withLock { $0.open.removeValue(forKey: number) } }

        func hear(_ event: Client.Event, endpoint: String) {
            switch event {
            case .connected: log("connected to the coordinator at \(endpoint)")
            case .disconnected:
                log("the coordinator at \(endpoint) is gone; trying again")
                failAll(.unavailable("the connection to the coordinator was lost; try again"))
            case .refused(let reason): log("\(endpoint): \(reason)")
            case .unsent(let frames):
                guard let number = (try? Message.decode(frames))?.request else { return }
                fail(number, .unavailable("the coordinator at \(endpoint) is not there; is it running?"))
            case .message(let frames):
                do {
                    hear(try Message.decode(frames))
                } catch {
                    log("the coordinator sent something unreadable: \(error)")
                }
            }
        }

        private func hear(_ message: Message) {
            if case .refused(let problem) = message { return failAll(problem) }
            guard let number = message.request else { return }
            switch message {
            case .problem(_, let problem): fail(number, problem)
            case .accepted(_, let id): begin(number, id)
            case .event(_, let id, _, let event):
                begin(number, id)
                let sink = state.withLock { state -> AsyncStream<JobEvent>.Continuation? in
                    if case .events(let sink) = state.open[number] { sink } else { nil }
                }
                sink?.yield(event)
            case .eventsEnd(_, let id):
                begin(number, id)
                if case .events(let sink) = take(number) { sink.finish() }
            default:
                guard case .answer(let continuation) = take(number) else { return }
                continuation.resume(returning: message)
            }
        }

        /// The first answer to a question for events: from now on they flow.
        private func begin(_ number: UInt64, _ id: JobID) {
            let waiting = state.withLock { state -> Open? in
                guard case .stream(_, _, let sink) = state.open[number] else { return nil }
                return state.open.updateValue(.events(sink), forKey: number)
            }
            if case .stream(let continuation, let stream, _) = waiting { continuation.resume(returning: (id, stream)) }
        }

        func fail(_ number: UInt64, _ problem: Problem) {
            switch take(number) {
            case .answer(let continuation): continuation.resume(throwing: problem)
            case .stream(let continuation, _, let sink):
                continuation.resume(throwing: problem)
                sink.finish()
            case .events(let sink):
                sink.yield(.failed(problem))
                sink.finish()
            case nil: break
            }
        }

        func failAll(_ problem: Problem) {
            for number in state.withLock({ Array($0.open.keys) }).sorted() { fail(number, problem) }
        }
    }

    private let client: Client
    private let desk: Desk

    /// Begins to connect to the coordinator at `endpoint`; `log` hears of connections made and lost.
    public init(
        endpoint: String, name: String, security: Security = .open, log: @escaping @Sendable (String) -> Void = { _ in }
    ) throws {
        let desk = Desk(log: log)
        self.desk = desk
        client = try Client(
            context: try Context(security: security) { log($0) }, endpoint: endpoint,
            greeting: Message.gatewayHello(name: name).encode()
        ) { desk.hear($0, endpoint: endpoint) }
    }

    /// Closes the connection; open questions fail.
    public func close() {
        client.close()
        desk.failAll(.unavailable("the gateway ends"))
    }

    /// The model that is served, or a problem while no jobs can run.
    public func model() async throws -> ModelCard {
        guard case .modelIs(_, let card) = try await ask({ .model(request: $0) }) else { throw Self.surprise }
        return card
    }

    /// Accepts a job, or throws; its events follow.
    public func submit(_ request: JobRequest) async throws -> (JobID, AsyncStream<JobEvent>) {
        try await stream { .submit(request: $0, request) }
    }

    /// The events of a job from its beginning, replayed, then live.
    public func events(of job: JobID) async throws -> AsyncStream<JobEvent> {
        try await stream { .events(request: $0, job) }.1
    }

    /// Ends a job within one step.
    public func cancel(_ job: JobID) async throws {
        guard case .done = try await ask({ .cancel(request: $0, job) }) else { throw Self.surprise }
    }

    /// Every job that is remembered, newest first.
    public func jobs() async throws -> [JobState] {
        guard case .jobList(_, let jobs) = try await ask({ .jobs(request: $0) }) else { throw Self.surprise }
        return jobs
    }

    /// One job.
    public func job(_ id: JobID) async throws -> JobState {
        guard case .jobIs(_, let job) = try await ask({ .job(request: $0, id) }) else { throw Self.surprise }
        return job
    }

    /// The cluster as it is now.
    public func status() async throws -> ClusterStatus {
        guard case .statusIs(_, let status) = try await ask({ .status(request: $0) }) else { throw Self.surprise }
        return status
    }

    /// The last steps, oldest first.
    public func steps() async throws -> [StepRecord] {
        guard case .stepsAre(_, let records) = try await ask({ .steps(request: $0) }) else { throw Self.surprise }
        return records
    }

    /// Begins to load another layout; nil has one chosen.
    public func scale(to layout: Layout?) async throws {
        guard case .done = try await ask({ .scale(request: $0, layout) }) else { throw Self.surprise }
    }

    /// Takes a worker out of the layout.
    public func drain(_ worker: WorkerID) async throws {
        guard case .done = try await ask({ .drain(request: $0, worker) }) else { throw Self.surprise }
    }

    private static let surprise = Problem.failed(
        "the coordinator answered another question than was asked; run the same release on both")

    private func ask(_ message: (UInt64) -> Message) async throws -> Message {
        try await withCheckedThrowingContinuation { continuation in
            client.send(message(desk.add(.answer(continuation))).encode())
        }
    }

    private func stream(
        _ message: (UInt64) -> Message
    ) async throws -> (JobID, AsyncStream<JobEvent>) {
        let (stream, sink) = AsyncStream.makeStream(of: JobEvent.self)
        return try await withCheckedThrowingContinuation { continuation in
            client.send(message(desk.add(.stream(continuation, stream, sink))).encode())
        }
    }
}

extension Message {
    /// The number of the question that the message asks or answers.
    fileprivate var request: UInt64? {
        switch self {
        case .model(let number), .submit(let number, _), .events(let number, _), .cancel(let number, _),
            .jobs(let number), .job(let number, _), .status(let number), .scale(let number, _),
            .drain(let number, _), .modelIs(let number, _),
            .accepted(let number, _), .problem(let number, _), .event(let number, _, _, _), .eventsEnd(let number, _),
            .done(let number), .jobList(let number, _), .jobIs(let number, _), .statusIs(let number, _),
            .steps(let number), .stepsAre(let number, _):
            number
        default: nil
        }
    }
}
