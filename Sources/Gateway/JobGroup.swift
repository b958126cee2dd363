import Core

/// Jobs that answer one request, their events as one stream; they live as long as somebody reads it.
///
/// Of several copies of one prompt the first reads it; the others follow when its first token is there and find its KV
/// pages, unless the prompt is too short to fill any.
struct JobGroup: Sendable {
    /// An event of one of the jobs, which is known by its place among the requests.
    struct Event: Sendable {
        var index: Int
        var event: JobEvent
    }

    /// The first job, whose name the answer bears.
    let first: JobID
    /// What happens to all of them.
    let events: AsyncStream<Event>

    private struct Running: Sendable {
        let index: Int
        let lease: JobLease
        let events: AsyncStream<JobEvent>
    }

    /// Prompts of so many tokens fill two pages: they are read once.
    private static let worthSharing = 128

    /// Submits the first of every `copies` requests, or throws what the first refusal says.
    init(_ requests: [JobRequest], copies: Int, service: any ClusterService) async throws {
        var leaders: [Running] = []
        for index in stride(from: 0, to: requests.count, by: copies) {
            leaders.append(try await Self.submit(requests[index], index, service))
        }
        guard let first = leaders.first?.lease.job else { throw Problem.failed("a request without prompts") }
        self.first = first
        let (events, sink) = AsyncStream<Event>.makeStream()
        self.events = events
        let numbered = Array(requests.enumerated())
        let pump = Task { [leaders] in
            await withTaskGroup(of: Void.self) { group in
                for leader in leaders {
                    let followers = numbered[leader.index + 1..<leader.index + copies]
                    group.addTask { await Self.lead(leader, followers: followers, service: service, to: sink) }
                }
            }
            sink.finish()
        }
        // Nobody reads any more, or all is read.
        sink.onTermination = { _ in pump.cancel() }
    }

    private static func submit(
        _ request: JobRequest, _ index: Int, _ service: any ClusterService
    ) async throws -> Running {
        let (job, events) = try await service.submit(request)
        let lease = JobLease(job: job, service: service)
        // Who does not end with its reader is not held by one.
        if !request.endsWithClient { lease.finish() }
        return Running(index: index, lease: lease, events: events)
    }

    /// Passes on a job's events, and starts the copies of its prompt when that can share its pages.
    private static func lead(
        _ leader: Running, followers: ArraySlice<(offset: Int, element: JobRequest)>, service: any ClusterService,
        to sink: AsyncStream<Event>.Continuation
    ) async {
        await withTaskGroup(of: Void.self) { group in
            var waiting = followers
            func start() {
                for (index, request) in waiting {
                    group.addTask {
                        do {
                            await pass(try await submit(request, index, service), to: sink)
                        } catch let problem as Problem {
                            sink.yield(Event(index: index, event: .failed(problem)))
                        } catch {
                            sink.yield(Event(index: index, event: .failed(.failed("\(error)"))))
                        }
                    }
                }
                waiting = []
            }
            if let prompt = followers.first?.element.prompt, prompt.count < worthSharing { start() }
            await pass(leader, to: sink) { event in
                if case .prefilled = event { return }
                start()
            }
        }
    }

    private static func pass(
        _ job: Running, to sink: AsyncStream<Event>.Continuation, seeing: (JobEvent) -> Void = { _ in }
    ) async {
        for await event in job.events {
            if event.isLast { job.lease.finish() }
            sink.yield(Event(index: job.index, event: event))
            seeing(event)
        }
    }
}
