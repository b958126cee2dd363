public import Core
import Synchronization
public import Transport
import Wire

/// A coordinator on the other end of a ZeroMQ connection, as the service it offers.
///
/// Every question has a number, and its answers carry it. When the connection is lost, open questions fail as
/// `unavailable`, and so do the event streams of jobs that are lost with it; those of jobs that are kept pause, and go on where they
/// were when the coordinator is there again. The connection is tried again by itself.
public final class CoordinatorLink: ClusterService {
    /// What an open question waits for.
    private enum Open {
        case answer(CheckedContinuation<Message, any Error>)
        case job(CheckedContinuation<JobID, any Error>, JobListener)
        case events(EventFeed)
    }

    private struct State {
        var next: UInt64 = 0
        var open: [UInt64: Open] = [:]
        /// Counts the connections that were made or lost.
        var turns = 0
    }

    /// The open questions: the client's thread answers what tasks have asked.
    private final class Desk: Sendable {
        let state = Mutex(State())
        let log: @Sendable (String) -> Void
        /// Sends to the coordinator, once there is a client.
        let send = Mutex<@Sendable (Message) -> Void>({ _ in })

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
            case .connected:
                log("connected to the coordinator at \(endpoint)")
                resume()
            case .disconnected:
                log("the coordinator at \(endpoint) is gone; trying again")
                pause()
            case .refused(let reason): log("\(endpoint): \(reason)")
            case .unsent(let frames):
                // A feed that is asked for again waits for the next connection.
                guard let number = (try? Message.decode(frames))?.request, !isPaused(number) else { return }
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
            case .accepted(_, let id, let isKept): begin(number, id, isKept: isKept)
            case .event(_, _, let place, let event):
                state.withLock { state in
                    guard case .events(var feed) = state.open[number] else { return }
                    feed.take(event, number: place)
                    state.open[number] = .events(feed)
                }
            case .eventsEnd: if case .events(let feed) = take(number) { feed.listener(nil) }
            default:
                guard case .answer(let continuation) = take(number) else { return }
                continuation.resume(returning: message)
            }
        }

        /// The first answer to a question for events: from now on they flow.
        private func begin(_ number: UInt64, _ id: JobID, isKept: Bool) {
            let waiting = state.withLock { state -> Open? in
                guard case .job(_, let listener) = state.open[number] else { return nil }
                return state.open.updateValue(
                    .events(EventFeed(job: id, isKept: isKept, listener: listener)), forKey: number)
            }
            if case .job(let continuation, _) = waiting { continuation.resume(returning: id) }
        }

        func fail(_ number: UInt64, _ problem: Problem) {
            switch take(number) {
            case .answer(let continuation): continuation.resume(throwing: problem)
            case .job(let continuation, _): continuation.resume(throwing: problem)
            case .events(let feed):
                feed.listener(.failed(feed.isPaused && problem.kind == .notFound ? EventFeed.lost : problem))
                feed.listener(nil)
            case nil: break
            }
        }

        private func isPaused(_ number: UInt64) -> Bool {
            state.withLock { state in
                if case .events(let feed) = state.open[number] { feed.isPaused } else { false }
            }
        }

        /// The connection is lost: the feeds of jobs that are kept wait for the next, not for ever; all else fails.
        private func pause() {
            let (lost, turn) = state.withLock { state in
                state.turns += 1
                var lost: [UInt64] = []
                for (number, open) in state.open {
                    if case .events(var feed) = open, feed.isKept {
                        feed.isPaused = true
                        state.open[number] = .events(feed)
                    } else {
                        lost.append(number)
                    }
                }
                return (lost.sorted(), state.turns)
            }
            let problem = Problem.unavailable("the connection to the coordinator was lost; try again")
            for number in lost { fail(number, problem) }
            Task {
                try? await Task.sleep(for: EventFeed.patience)
                if state.withLock({ $0.turns == turn }) { failAll(problem) }
            }
        }

        /// A connection stands: the feeds that wait are asked for again.
        private func resume() {
            let paused = state.withLock { state in
                state.turns += 1
                return state.open.compactMap { number, open in
                    if case .events(let feed) = open, feed.isPaused { (number, feed.job) } else { nil }
                }
            }
            let send = send.withLock { $0 }
            for (number, job) in paused.sorted(by: { $0.0 < $1.0 }) { send(.events(request: number, job)) }
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
        let client = client
        desk.send.withLock { send in send = { message in client.send(message.encode()) } }
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
    public func submit(_ request: JobRequest, listener: @escaping JobListener) async throws -> JobID {
        try await listen(listener) { .submit(request: $0, request) }
    }

    /// Tells the events of a job from its beginning, replayed, then live.
    public func events(of job: JobID, listener: @escaping JobListener) async throws {
        try Self.check(job.name)
        _ = try await listen(listener) { .events(request: $0, job) }
    }

    /// Ends a job within one step.
    public func cancel(_ job: JobID) async throws {
        try Self.check(job.name)
        guard case .done = try await ask({ .cancel(request: $0, job) }) else { throw Self.surprise }
    }

    /// Every job that is remembered, newest first.
    public func jobs() async throws -> [JobState] {
        guard case .jobList(_, let jobs) = try await ask({ .jobs(request: $0) }) else { throw Self.surprise }
        return jobs
    }

    /// One job.
    public func job(_ id: JobID) async throws -> JobState {
        try Self.check(id.name)
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

    /// Measures the links between all workers of the layout.
    public func measureLinks() async throws -> [LinkRate] {
        guard case .linksAre(_, let rates) = try await ask({ .links(request: $0) }) else { throw Self.surprise }
        return rates
    }

    /// Begins to load another layout; nil has one chosen.
    public func scale(to layout: Layout?) async throws {
        guard case .done = try await ask({ .scale(request: $0, layout) }) else { throw Self.surprise }
    }

    /// Takes a worker out of the layout.
    public func drain(_ worker: WorkerID) async throws {
        try Self.check(worker.name)
        guard case .done = try await ask({ .drain(request: $0, worker) }) else { throw Self.surprise }
    }

    /// The API keys that the cluster knows.
    public func keys() async throws -> [APIKey] {
        guard case .keysAre(_, let keys) = try await ask({ .keys(request: $0) }) else { throw Self.surprise }
        return keys
    }

    /// Keeps a record durably.
    public func keep(_ record: Record) async throws {
        guard case .done = try await ask({ .keep(request: $0, record) }) else { throw Self.surprise }
    }

    /// A record, or nil.
    public func record(_ name: Record.Name, withData: Bool) async throws -> Record? {
        try Self.check(name.id)
        guard case .recordsAre(_, let found) = try await ask({ .record(request: $0, name, withData: withData) })
        else { throw Self.surprise }
        return found.first
    }

    /// The records of a kind whose ids begin with a prefix.
    public func records(_ kind: String, prefix: String) async throws -> [Record] {
        guard case .recordsAre(_, let found) = try await ask({ .records(request: $0, Record.Name(kind, prefix)) })
        else { throw Self.surprise }
        return found
    }

    /// Deletes a record.
    public func forget(_ name: Record.Name) async throws {
        try Self.check(name.id)
        guard case .done = try await ask({ .forget(request: $0, name) }) else { throw Self.surprise }
    }

    /// Refuses a name that a client made up and that no message may hold.
    private static func check(_ name: String) throws {
        guard Message.canName(name) else {
            throw Problem.notFound("there is nothing of that name: it is more than one line, or too long for a name")
        }
    }

    private static let surprise = Problem.failed(
        "the coordinator answered another question than was asked; run the same release on both")

    private func ask(_ message: (UInt64) -> Message) async throws -> Message {
        try await withCheckedThrowingContinuation { continuation in
            send(desk.add(.answer(continuation)), message)
        }
    }

    private func listen(_ listener: @escaping JobListener, _ message: (UInt64) -> Message) async throws -> JobID {
        try await withCheckedThrowingContinuation { continuation in
            send(desk.add(.job(continuation, listener)), message)
        }
    }

    /// Sends a question, or fails it at once: the coordinator cannot answer what it cannot read.
    private func send(_ number: UInt64, _ message: (UInt64) -> Message) {
        let frames = message(number).encode()
        do {
            _ = try Message.decode(frames)
            client.send(frames)
        } catch {
            desk.fail(number, .invalid("the coordinator cannot be asked this: \(error)"))
        }
    }
}

extension Message {
    /// The number of the question that the message asks or answers.
    fileprivate var request: UInt64? {
        switch self {
        case .model(let number), .submit(let number, _), .events(let number, _), .cancel(let number, _),
            .jobs(let number), .job(let number, _), .status(let number), .scale(let number, _),
            .drain(let number, _), .modelIs(let number, _), .keys(let number), .keep(let number, _),
            .record(let number, _, _), .records(let number, _), .forget(let number, _), .keysAre(let number, _),
            .recordsAre(let number, _), .accepted(let number, _, _), .problem(let number, _),
            .event(let number, _, _, _), .eventsEnd(let number, _),
            .done(let number), .jobList(let number, _), .jobIs(let number, _), .statusIs(let number, _),
            .steps(let number), .stepsAre(let number, _), .links(let number), .linksAre(let number, _):
            number
        default: nil
        }
    }
}
