import Core
import Testing
import Threads
import Transport
import Wire

@testable import Coordinator
@testable import Worker

/// The links between the workers of a plan, measured while it is in force.
@Suite("Links", .serialized)
struct LinkTests {
    private let prompt: [TokenID] = (0..<100).map { ($0 * 37 + 11) % 200 }

    private func answer(_ cluster: TestCluster, tokens: Int) async throws -> [TokenID] {
        var found: [TokenID] = []
        for await event in try await cluster.coordinator.submit(TestCluster.request(prompt, tokens: tokens)).1 {
            if case .token(let drawn, _, _) = event { found.append(drawn.token) }
            if case .failed(let problem) = event { throw problem }
        }
        return found
    }

    /// Waits until so many links have been measured, and the next is being measured.
    private func measured(_ count: Int, _ cluster: TestCluster) async throws {
        for _ in 0..<10_000 {
            if await cluster.coordinator.linksMeasured == count { return }
            try await Task.sleep(for: .milliseconds(1))
        }
        throw Problem.failed("nobody measures: \(await cluster.coordinator.status())")
    }

    @Test(
        "every worker's link to every other has a rate; a job that runs meanwhile draws the tokens it would have drawn")
    func rates() async throws {
        let tokens = try TestCluster.expected(prompt, tokens: 300)
        try await TestCluster.with(layout: "2x2", heartbeat: .seconds(1)) { cluster in
            let job = Task { try await answer(cluster, tokens: 300) }
            let rates = try await cluster.coordinator.measureLinks()
            let names = ["w0", "w1", "w2", "w3"]
            let pairs = names.flatMap { from in names.filter { $0 != from }.map { "\(from)-\($0)" } }
            #expect(rates.map { "\($0.from)-\($0.to)" } == pairs)
            for rate in rates {
                let speed = rate.speed
                #expect(speed.roundTripNanoseconds > 0 && speed.rowRoundTripNanoseconds > 0, "\(rate)")
                #expect(speed.bytesPerSecond > 1_000_000 && speed.way == .ring, "\(rate)")
            }
            #expect(try await job.value == tokens)
        }
    }

    @Test(
        "one measurement at a time; a worker that is lost ends it, and the cluster serves again when another is there")
    func lost() async throws {
        let model = try TestCluster.model.get()
        let cluster = try TestCluster(layout: "1x3", heartbeat: .seconds(1))
        var workers = try (0..<3).map { try cluster.worker("w\($0)", model: model) }
        try await cluster.ready()
        let measurement = Task { try await cluster.coordinator.measureLinks() }
        // The second link is that from w0 to w2.
        try await measured(1, cluster)
        let busy = await #expect(throws: Problem.self) { _ = try await cluster.coordinator.measureLinks() }
        #expect(busy?.kind == .busy && busy?.retryAfter != nil)
        let last = workers.removeLast()
        last.stop()
        let lost = await #expect(throws: Problem.self) { _ = try await measurement.value }
        #expect(lost?.message.contains("the layout ended") == true, "\(String(describing: lost))")
        let early = await #expect(throws: Problem.self) { _ = try await cluster.coordinator.measureLinks() }
        #expect(early?.kind == .unavailable)
        workers.append(try cluster.worker("w2", model: model))
        for _ in 0..<2000 where await cluster.coordinator.status().state != "ready" {
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(try await answer(cluster, tokens: 50) == TestCluster.expected(prompt, tokens: 50))
        #expect(try await cluster.coordinator.measureLinks().count == 6)
        await cluster.stop()
        for worker in workers { worker.join() }
    }

    @Test("a layout of one worker has no link")
    func alone() async throws {
        try await TestCluster.with(layout: "1x1") { cluster in
            let problem = await #expect(throws: Problem.self) { _ = try await cluster.coordinator.measureLinks() }
            #expect(problem?.message.contains("no link") == true)
        }
    }

    @Test("sockets are measured where there is no shared memory, and nothing that was sent is left over")
    func sockets() throws {
        let context = try Context()
        let links = try (0..<2).map { _ in try DataLink(context: context, endpoint: "ipc://*", usesRings: false) }
        for link in links { try link.begin(epoch: 1, peers: links.map { DataPeer(endpoint: $0.endpoint) }) }
        func side(_ rank: Int) -> LinkProbe {
            let slice = Slice(
                stage: 0, stageCount: 1, rank: rank, layers: 0..<1, leavesByRank: [0..<4, 4..<8],
                vocabularyByRank: [0..<1, 1..<2])
            return LinkProbe(
                link: links[rank], slice: slice,
                order: Probe(epoch: 1, number: 7, stage: 0, rank: 1 - rank, begins: rank == 0))
        }
        let other = side(1)
        let ended = Mailbox<Bool>()
        let thread = Thread(name: "other") { ended.put((try? other.run()) == .some(nil)) }
        let speed = try #require(try side(0).run())
        #expect(ended.take(timeout: .seconds(10)) == true)
        thread.join()
        #expect(speed.way == .socket && speed.roundTripNanoseconds > 0 && speed.bytesPerSecond > 1_000_000)
        for link in links {
            #expect(link.counters.traffic == Traffic() && link.counters.malformedReceived == 0)
            let header = DataHeader(
                kind: .hidden, epoch: 1, step: 1, sequence: 0, stage: 0, rank: 0, parts: 0, elements: 0)
            #expect(throws: Problem.self) { try link.receive(header.key, timeout: .zero) }
        }
    }
}

extension Coordinator {
    /// Links that have been measured by the measurement that is under way; nil without one.
    fileprivate var linksMeasured: Int? { measurement?.rates.count }
}
