import Core
import FoundationEssentials
import Glibc
import Testing
import Transport

@testable import Coordinator

/// Jobs that outlive their coordinator.
@Suite("Journal", .serialized, .timeLimit(.minutes(3)))
struct JournalTests {
    private let prompt: [TokenID] = (0..<30).map { ($0 * 37 + 11) % 200 }

    private func request(
        _ seed: UInt64, tokens: Int, endsWithClient: Bool = false, tag: String = "", owner: String = ""
    ) -> JobRequest {
        JobRequest(
            prompt: prompt,
            options: GenerationOptions(
                sampling: SamplingOptions(temperature: 1, seed: seed, logprobs: 2), maxTokens: tokens,
                ignoresEndOfSequence: true), endsWithClient: endsWithClient, owner: owner, tag: tag)
    }

    private func all(_ events: AsyncStream<JobEvent>) async -> [JobEvent] {
        var found: [JobEvent] = []
        for await event in events where event.isNumbered { found.append(event) }
        return found
    }

    private func tokens(_ events: [JobEvent]) -> [TokenID] {
        events.compactMap { if case .token(let drawn, _, _) = $0 { drawn.token } else { nil } }
    }

    /// Starts a cluster on the store, runs `body`, stops it.
    private func with(_ store: String?, longestQueue: Int = 1000, _ body: (Coordinator) async throws -> Void)
        async throws
    {
        let cluster = try TestCluster(layout: "1x2", kvTokens: 1024, store: store, longestQueue: longestQueue)
        let model = try TestCluster.model.get()
        let workers = try ["one", "two"].map { try cluster.worker($0, model: model) }
        do {
            try await cluster.ready()
            try await body(cluster.coordinator)
        } catch {
            await cluster.stop()
            throw error
        }
        await cluster.stop()
        for worker in workers { worker.join() }
    }

    @Test("jobs that run and jobs that wait go on with the next coordinator and draw the same; answers are remembered")
    func restart() async throws {
        let folder = try Endpoint.makePrivateFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let store = folder + "/store.db"
        var expected: [[JobEvent]] = []
        try await with(nil) { coordinator in
            for seed in 0..<4 as Range<UInt64> {
                expected.append(await all(try await coordinator.submit(request(seed, tokens: 300)).1))
            }
        }
        var ids: [JobID] = []
        try await with(store) { coordinator in
            let (done, events) = try await coordinator.submit(request(0, tokens: 300))
            #expect(tokens(await all(events)) == tokens(expected[0]))
            ids.append(done)
            // Three run side by side, in room for three; who waits has no room.
            var first: AsyncStream<JobEvent>?
            for seed in 1..<4 as Range<UInt64> {
                let (id, events) = try await coordinator.submit(request(seed, tokens: 300))
                ids.append(id)
                if first == nil { first = events }
            }
            var seen = 0
            for await case .token in try #require(first) {
                seen += 1
                if seen == 40 { break }
            }
        }
        try await with(store) { coordinator in
            let states = await coordinator.jobs()
            #expect(states.map(\.id) == ids.reversed())
            #expect(states.last?.phase == .finished)
            for (index, id) in ids.enumerated() {
                let events = await all(try await coordinator.events(of: id))
                #expect(tokens(events) == tokens(expected[index]), "\(id)")
                // The tokens with their probabilities and texts; times differ.
                #expect(events.dropLast() == expected[index].dropLast(), "\(id)")
                let state = try await coordinator.job(id)
                #expect(state.phase == .finished && state.finish == .length && state.tokens.count == 300)
            }
            let (next, _) = try await coordinator.submit(request(9, tokens: 1))
            #expect(!ids.contains(next))
        }
    }

    @Test(
        "a tag makes one job, also after a restart; a job that a client waits for is cancelled when nobody asks for it")
    func tags() async throws {
        let folder = try Endpoint.makePrivateFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let store = folder + "/store.db"
        var id = JobID("")
        try await with(store) { coordinator in
            let (first, events) = try await coordinator.submit(request(1, tokens: 5, tag: "b/1"))
            id = first
            let (again, _) = try await coordinator.submit(request(2, tokens: 50, tag: "b/1"))
            #expect(again == first)
            _ = await all(events)
        }
        try await with(store) { coordinator in
            let (again, events) = try await coordinator.submit(request(2, tokens: 50, tag: "b/1"))
            #expect(again == id)
            #expect(tokens(await all(events)).count == 5)
        }
    }

    @Test("an answer's end that its client did not hear is told by the next coordinator")
    func unheard() async throws {
        let folder = try Endpoint.makePrivateFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let store = folder + "/store.db"
        var id = JobID("")
        var told: [JobEvent] = []
        try await with(store) { coordinator in
            let (streamed, events) = try await coordinator.submit(request(1, tokens: 5, endsWithClient: true))
            id = streamed
            told = await all(events)
        }
        #expect(tokens(told).count == 5)
        try await with(store) { coordinator in
            let again = await all(try await coordinator.events(of: id))
            // Times are told in whole microseconds by then.
            #expect(again.count == told.count && again.dropLast() == told.dropLast())
            guard case .finished(.length, _, let usage, _) = again.last else {
                throw Problem.failed("no end: \(again)")
            }
            #expect(usage.completionTokens == 5)
        }
    }

    @Test("an answer that its client has heard leaves the disk, and the table where the disk alone had it")
    func heard() {
        var table = JobTable(remembered: 10, events: 100)
        func add(_ number: Int, ended: Double, endsWithClient: Bool) {
            let state = JobState(
                id: JobID("job-\(number)"), phase: .finished, prefill: PrefillProgress(total: 3), accepted: ended)
            table.add(Job(over: state, tag: "", ended: ended, endsWithClient: endsWithClient, now: .now))
        }
        add(1, ended: 10, endsWithClient: true)
        add(2, ended: 10, endsWithClient: false)
        add(3, ended: 20, endsWithClient: true)
        #expect(table.takeHeard(endedBefore: 10).isEmpty)
        #expect(table.takeHeard(endedBefore: 15) == [JobID("job-1")])
        #expect(table.all.map(\.id) == [JobID("job-3"), JobID("job-2")])
        #expect(table.takeHeard(endedBefore: 30) == [JobID("job-3")])
        #expect(table.takeHeard(endedBefore: 30).isEmpty)
    }

    @Test("beyond the queue a job is refused with the time to try again, and its place is told to who waits")
    func queue() async throws {
        try await with(nil, longestQueue: 2) { coordinator in
            var ids: [JobID] = []
            for seed in 0..<5 as Range<UInt64> {
                ids.append(try await coordinator.submit(request(seed, tokens: 300)).0)
                guard await coordinator.status().queuedJobs < 2 else { break }
            }
            let problem = await #expect(throws: Problem.self) { try await coordinator.submit(request(9, tokens: 300)) }
            #expect(problem?.kind == .busy && problem?.retryAfter ?? 0 >= 1)
            let last = try await coordinator.job(try #require(ids.last))
            #expect(last.phase == .queued && last.queuePosition == 2)
            for id in ids { try await coordinator.cancel(id) }
        }
    }
}
