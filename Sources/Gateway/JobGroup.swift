import Core
import Synchronization

/// Jobs that answer one request, their events as one stream; they live until somebody leaves the group, or drops it.
///
/// Of several copies of one prompt the first reads it; the others follow when its first token is there and find its KV
/// pages, unless the prompt is too short to fill any.
struct JobGroup: Sendable {
    /// An event of one of the jobs, which is known by its place among the requests.
    struct Event: Sendable {
        var index: Int
        var event: JobEvent
        /// When the gateway was told.
        var heard: ContinuousClock.Instant
    }

    /// The first job, whose name the answer bears.
    let first: JobID
    /// What happens to all of them.
    let signals: Signals<Event>
    private let open: OpenJobs

    /// Prompts of so many tokens fill two pages: they are read once.
    private static let worthSharing = 128

    /// What the jobs are made from, and where their events go.
    private struct Course: Sendable {
        let requests: [JobRequest]
        let service: any ClusterService
        let signals = Signals<Event>()
    }

    /// Submits the first of every `copies` requests, or throws what the first refusal says.
    init(_ requests: [JobRequest], copies: Int, service: any ClusterService) async throws {
        let course = Course(requests: requests, service: service)
        let open = OpenJobs(service: service)
        var leaders: [JobID] = []
        for index in stride(from: 0, to: requests.count, by: copies) {
            let followers = index + 1..<index + copies
            let isShort = requests[index].prompt.count < Self.worthSharing
            let hasFollowers = Mutex(!isShort)
            let leader = try await Self.submit(index, of: course, open) { [weak open] event in
                if case .prefilled = event { return }
                let isFirst = hasFollowers.withLock { waiting in
                    defer { waiting = false }
                    return waiting
                }
                if isFirst, let open { Self.submit(followers, of: course, open) }
            }
            leaders.append(leader)
            if isShort { Self.submit(followers, of: course, open) }
        }
        guard let first = leaders.first else { throw Problem.failed("a request without prompts") }
        self.first = first
        self.open = open
        signals = course.signals
    }

    /// Waits for the whole answer.
    func answer(_ builder: AnswerBuilder) async throws -> Answer {
        defer { leave() }
        var builder = builder
        for await signal in signals.stream {
            guard case .event(let event) = signal else { continue }
            _ = try builder.take(event.event, of: event.index)
            if builder.isComplete { return builder.answer }
        }
        try Task.checkCancellation()
        throw Answer.interrupted
    }

    /// Nobody waits for the answer any more: what has not ended is cancelled.
    func leave() { open.cancel() }

    /// Submits a request. Its listener outlives the group, and so does not hold it.
    private static func submit(
        _ index: Int, of course: Course, _ open: OpenJobs, seeing: @escaping @Sendable (JobEvent) -> Void = { _ in }
    ) async throws -> JobID {
        let request = course.requests[index]
        let job = try await course.service.submit(request) { [weak open] event in
            if let event {
                course.signals.hear(Event(index: index, event: event, heard: .now))
                seeing(event)
            }
            if event?.isLast ?? true { end(index, of: course, open) }
        }
        // Who does not end with its reader is not held by one.
        if request.endsWithClient { open.began(index, job) }
        return job
    }

    /// Submits the copies of a prompt; a refusal is an event among the others.
    private static func submit(_ followers: Range<Int>, of course: Course, _ open: OpenJobs) {
        for index in followers {
            Task {
                do {
                    _ = try await submit(index, of: course, open)
                } catch {
                    let problem = error as? Problem ?? .failed("\(error)")
                    course.signals.hear(Event(index: index, event: .failed(problem), heard: .now))
                    end(index, of: course, open)
                }
            }
        }
    }

    private static func end(_ index: Int, of course: Course, _ open: OpenJobs?) {
        if open?.ended(index) == course.requests.count { course.signals.hear(nil) }
    }
}
