import Core
import Testing

@testable import Coordinator

/// Another layout while jobs run: no token is lost, none is another.
@Suite("Scaling", .serialized)
struct ScaleTests {
    private let prompt: [TokenID] = (0..<100).map { ($0 * 37 + 11) % 200 }

    /// Waits until the cluster has this layout.
    private func layout(_ text: String, _ cluster: TestCluster) async throws {
        for _ in 0..<2000 {
            let status = await cluster.coordinator.status()
            if status.layout?.description == text, status.nextLayout == nil, status.state == "ready" { return }
            try await Task.sleep(for: .milliseconds(5))
        }
        throw Problem.failed("the layout is \(await cluster.coordinator.status())")
    }

    /// Waits until so many workers are here, in the layout or spare.
    private func members(_ count: Int, _ cluster: TestCluster) async throws {
        for _ in 0..<4000 {
            if await cluster.coordinator.status().members.count == count { return }
            try await Task.sleep(for: .milliseconds(5))
        }
        throw Problem.failed("the members are \(await cluster.coordinator.status().members)")
    }

    @Test("jobs go on over a change of the layout and back, with the same tokens, and those that wait too")
    func goesOn() async throws {
        let tokens = try TestCluster.expected(prompt, tokens: 1500)
        let model = try TestCluster.model.get()
        let cluster = try TestCluster(layout: "1x2", kvTokens: 4096)
        let workers = try (0..<4).map { try cluster.worker("w\($0)", model: $0 < 3 ? model : nil) }
        try await cluster.ready()
        try await members(4, cluster)
        let (_, events) = try await cluster.coordinator.submit(TestCluster.request(prompt, tokens: 1500))
        let (_, second) = try await cluster.coordinator.submit(TestCluster.request(Array(prompt[..<70]), tokens: 1500))
        let (_, third) = try await cluster.coordinator.submit(TestCluster.request(prompt + [1, 2], tokens: 1500))
        var found: [TokenID] = []
        for await event in events {
            switch event {
            case .token(let drawn, _, _):
                found.append(drawn.token)
                if found.count == 20 { try await cluster.coordinator.scale(to: Layout("2x2")) }
                if found.count == 700 {
                    try await layout("2x2", cluster)
                    try await cluster.coordinator.drain(WorkerID("w1"))
                }
            case .failed(let problem): throw problem
            case .prefilled, .scored, .embedded, .finished: break
            }
        }
        #expect(found == tokens)
        for (stream, prompt) in [(second, Array(prompt[..<70])), (third, prompt + [1, 2])] {
            var found: [TokenID] = []
            for await event in stream {
                if case .token(let drawn, _, _) = event { found.append(drawn.token) }
                if case .failed(let problem) = event { throw problem }
            }
            #expect(try found == TestCluster.expected(prompt, tokens: 1500))
        }
        for _ in 0..<1000 where await cluster.coordinator.status().nextLayout != nil {
            try await Task.sleep(for: .milliseconds(5))
        }
        let status = await cluster.coordinator.status()
        #expect(status.members.first { $0.worker.name == "w1" }?.state == "drained")
        #expect(status.layout?.workers == 3)
        await cluster.stop()
        for worker in workers { worker.join() }
    }

    @Test(
        "a prompt that does not fit is refused with what would do; with more workers it is answered, and others go on")
    func grows() async throws {
        let model = try TestCluster.model.get()
        let cluster = try TestCluster(layout: "1x2", kvTokens: nil, scalesItself: true)
        var workers = try (0..<2).map { try cluster.worker("w\($0)", model: model, kvMemory: 1_600_000) }
        try await cluster.ready()
        let long = (0..<1800).map { (place: Int) -> TokenID in TokenID((place * 13 + place / 7) % 200) }
        let problem = await #expect(throws: Problem.self) {
            _ = try await cluster.coordinator.submit(TestCluster.request(long, tokens: 8))
        }
        #expect(problem?.message.contains("2 more such workers would do") == true, "\(String(describing: problem))")
        let (_, other) = try await cluster.coordinator.submit(TestCluster.request(prompt, tokens: 900))
        let listening = Task {
            var found: [TokenID] = []
            for await event in other {
                if case .token(let drawn, _, _) = event { found.append(drawn.token) }
                if case .failed(let problem) = event { throw problem }
            }
            return found
        }
        workers += try (2..<4).map { try cluster.worker("w\($0)", model: model, kvMemory: 1_600_000) }
        try await members(4, cluster)
        let (_, events) = try await cluster.coordinator.submit(TestCluster.request(long, tokens: 8))
        var found: [TokenID] = []
        for await event in events {
            if case .token(let drawn, _, _) = event { found.append(drawn.token) }
            if case .failed(let problem) = event { throw problem }
        }
        #expect(try found == TestCluster.expected(long, tokens: 8))
        #expect(try await listening.value == TestCluster.expected(prompt, tokens: 900))
        #expect(await cluster.coordinator.status().layout?.workers == 4)
        await cluster.stop()
        for worker in workers { worker.join() }
    }

    @Test("what cannot be is refused, and a worker that is lost while it loads costs nothing")
    func refused() async throws {
        let model = try TestCluster.model.get()
        let cluster = try TestCluster(layout: "1x1", kvTokens: 4096)
        let first = try cluster.worker("w0", model: model)
        try await cluster.ready()
        await #expect(throws: Problem.self) { try await cluster.coordinator.scale(to: Layout("2x2")) }
        await #expect(throws: Problem.self) { try await cluster.coordinator.scale(to: Layout("1x1")) }
        await #expect(throws: Problem.self) { try await cluster.coordinator.drain(WorkerID("w0")) }
        await #expect(throws: Problem.self) { try await cluster.coordinator.drain(WorkerID("nobody")) }
        let (_, events) = try await cluster.coordinator.submit(TestCluster.request(prompt, tokens: 300))
        let second = try cluster.worker("w1", model: model)
        try await members(2, cluster)
        try await cluster.coordinator.scale(to: Layout("2x1"))
        second.stop()
        second.join()
        // Lost before it took over, the job never notices; after that, the layout needs two workers, and the job waits for this one.
        let third = try cluster.worker("w1", model: model)
        var found: [TokenID] = []
        for await event in events {
            if case .token(let drawn, _, _) = event { found.append(drawn.token) }
        }
        #expect(try found == TestCluster.expected(prompt, tokens: 300))
        await cluster.stop()
        first.join()
        third.join()
    }
}
