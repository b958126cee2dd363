import Core
import GLM
import Glibc
import Testing
import Transport

@testable import Coordinator

@Suite("Jobs", .serialized)
struct JobTests {
    private let prompt: [TokenID] = (0..<30).map { ($0 * 37 + 11) % 200 }

    private func tokens(of events: AsyncStream<JobEvent>) async throws -> [TokenID] {
        var tokens: [TokenID] = []
        for await event in events {
            switch event {
            case .token(let drawn, _, _): tokens.append(drawn.token)
            case .failed(let problem): throw problem
            case .prefilled, .scored, .embedded, .finished: break
            }
        }
        return tokens
    }

    @Test(
        "jobs that share steps get what each would get alone, whatever their priority, and their events can be heard again"
    )
    func batched() async throws {
        let prompts = (0..<4).map { index in prompt.map { ($0 + TokenID(index) * 7) % 200 } }
        let answers = try prompts.map { try TestCluster.expected($0, tokens: 12) }
        try await TestCluster.with(layout: "2x2", chunk: 8) { cluster in
            var streams: [(JobID, AsyncStream<JobEvent>)] = []
            for (index, prompt) in prompts.enumerated() {
                var request = TestCluster.request(prompt, tokens: 12)
                request.options.priority = [0, 50, -100, 0][index]
                streams.append(try await cluster.coordinator.submit(request))
            }
            for (index, stream) in streams.enumerated() {
                #expect(try await tokens(of: stream.1) == answers[index])
                #expect(try await tokens(of: cluster.coordinator.events(of: stream.0)) == answers[index])
                let state = try await cluster.coordinator.job(stream.0)
                #expect(state.phase == .finished && state.finish == .length && state.prefill.tokens == 30)
            }
            #expect(await cluster.coordinator.jobs().count == 4)
        }
    }

    @Test("a cancelled job ends, and its room is given to the next")
    func cancelled() async throws {
        try await TestCluster.with(layout: "2x1") { cluster in
            let coordinator = cluster.coordinator
            let (first, events) = try await coordinator.submit(TestCluster.request(prompt, tokens: 1900))
            let (second, _) = try await coordinator.submit(TestCluster.request(prompt, tokens: 1900))
            let (third, thirdEvents) = try await coordinator.submit(TestCluster.request(prompt, tokens: 1900))
            #expect(try await coordinator.job(third).phase == .queued)
            try await coordinator.cancel(first)
            #expect(try await coordinator.job(first).phase == .cancelled)
            var last: JobEvent?
            for await event in events { last = event }
            if case .finished(.cancelled, _, _, _) = last {
            } else {
                Issue.record("ended with \(String(describing: last))")
            }
            for await event in thirdEvents {
                if case .token = event { break }
            }
            try await coordinator.cancel(second)
            try await coordinator.cancel(third)
        }
    }

    @Test("what cannot be done is refused in words")
    func refused() async throws {
        try await TestCluster.with(layout: "1x1") { cluster in
            func message(_ request: JobRequest) async -> String {
                do {
                    _ = try await cluster.coordinator.submit(request)
                    return ""
                } catch { return "\(error)" }
            }
            #expect(await message(TestCluster.request([], tokens: 1)).contains("empty"))
            #expect(await message(TestCluster.request([99_999], tokens: 1)).contains("out of range"))
            #expect(await message(TestCluster.request([-1], tokens: 1)).contains("out of range"))
            #expect(await message(TestCluster.request([1], tokens: 0)).contains("max_tokens"))
            let context = try await cluster.coordinator.model().contextLength
            let long = [TokenID](repeating: 1, count: context + 1)
            #expect(await message(TestCluster.request(long, tokens: 1)).contains("\(context + 1) tokens"))
            await #expect(throws: Problem.self) { try await cluster.coordinator.job(JobID("job-99")) }
        }
    }

    @Test("a job goes on with the same tokens when a lost worker returns, and others that waited are served too")
    func lost() async throws {
        let model = try TestCluster.model.get()
        let cluster = try TestCluster(layout: "2x1")
        let one = try cluster.worker("one", model: model)
        var two = try cluster.worker("two", model: model)
        try await cluster.ready()
        let (job, events) = try await cluster.coordinator.submit(TestCluster.request(prompt, tokens: 300))
        let (_, besides) = try await cluster.coordinator.submit(TestCluster.request([7, 8, 9], tokens: 20))
        var found: [TokenID] = []
        for await event in events {
            if case .token(let drawn, _, _) = event { found.append(drawn.token) }
            if case .failed(let problem) = event { Issue.record("\(problem)") }
            guard found.count == 100 || found.count == 200, case .token = event else { continue }
            two.stop()
            two.join()
            #expect(try await cluster.coordinator.job(job).phase == .decode)
            two = try cluster.worker("two", model: model)
        }
        #expect(try found == TestCluster.expected(prompt, tokens: 300))
        #expect(try await tokens(of: besides) == TestCluster.expected([7, 8, 9], tokens: 20))
        await cluster.stop()
        one.join()
        two.join()
    }

    @Test("a job that runs on a worker that is lost again and again fails and says why")
    func lostAgain() async throws {
        let model = try TestCluster.model.get()
        let cluster = try TestCluster(layout: "2x1")
        let one = try cluster.worker("one", model: model)
        var two = try cluster.worker("two", model: model)
        try await cluster.ready()
        let (_, events) = try await cluster.coordinator.submit(TestCluster.request(prompt, tokens: 1900))
        var problem: Problem?
        var count = 0
        for await event in events {
            if case .failed(let found) = event { problem = found }
            guard case .token = event else { continue }
            count += 1
            guard [20, 40, 60].contains(count) else { continue }
            two.stop()
            two.join()
            two = try cluster.worker("two", model: model)
        }
        // Its goodbye and the end of its connection race each other to the coordinator; both name it.
        let message = problem?.message ?? ""
        #expect(problem?.kind == .failed)
        #expect(message.contains("worker two") && message.contains("3. time"), "\(message)")
        for _ in 0..<500 where await cluster.coordinator.status().state != "ready" {
            try await Task.sleep(for: .milliseconds(10))
        }
        let (_, served) = try await cluster.coordinator.submit(TestCluster.request(prompt, tokens: 5))
        #expect(try await tokens(of: served).count == 5)
        await cluster.stop()
        one.join()
        two.join()
    }

    @Test("workers without the model fetch their slices, keep them, and give the same tokens")
    func fetched() async throws {
        let cache = try Endpoint.makePrivateFolder()
        var found: [[TokenID]] = []
        for cache in [cache, cache, nil] {
            let cluster = try TestCluster(layout: "2x2")
            let workers = try (0..<4).map { try cluster.worker("w\($0)", cache: cache) }
            try await cluster.ready()
            let (_, events) = try await cluster.coordinator.submit(TestCluster.request(prompt, tokens: 8))
            found.append(try await tokens(of: events))
            await cluster.stop()
            for worker in workers { worker.join() }
        }
        #expect(found[0].count == 8 && Set(found).count == 1)
    }

    @Test("what a client has heard is soon forgotten, what was asked to be kept is not")
    func forgotten() async throws {
        try await TestCluster.with(layout: "1x1") { cluster in
            let coordinator = cluster.coordinator
            let (kept, _) = try await coordinator.submit(TestCluster.request([5], tokens: 1))
            var heard: [JobID] = []
            for number in 0..<401 {
                var passing = TestCluster.request([TokenID(number % 200), 9], tokens: 1)
                passing.endsWithClient = true
                let (job, events) = try await coordinator.submit(passing)
                #expect(try await tokens(of: events).count == 1)
                heard.append(job)
            }
            let known = Set(await coordinator.jobs().map(\.id))
            #expect(known.contains(kept) && known.isSuperset(of: heard.suffix(200)))
            #expect(known.count == 202)
            await #expect(throws: Problem.self) { try await coordinator.job(heard[0]) }
        }
    }

    @Test("a worker with another model is refused and told why")
    func otherModel() async throws {
        let folder = try Endpoint.makePrivateFolder() + "/other"
        try RandomModel.make(folder: folder, preset: .tiny, layers: 2, type: .f32, seed: 9)
        let cluster = try TestCluster(layout: "1x1")
        let worker = try cluster.worker("stranger", model: folder)
        worker.join()
        #expect(worker.problem?.kind == .refused && worker.problem?.message.contains("another model") == true)
        await cluster.stop()
    }

    @Test("a grid that the model cannot be cut into is refused before anything starts")
    func badLayout() {
        #expect(throws: Problem.self) { try TestCluster(layout: "5x1") }
    }
}
