import Core
import Synchronization
import Testing
import Worker

@testable import Coordinator

@Suite("what a cluster tells of itself")
struct WatchingTests {
    @Test("totals count every token once, steps say who computed and who waited, log lines carry the request")
    func totals() async throws {
        let lines = Mutex<[[String: String]]>([])
        try await TestCluster.with(
            layout: "2x1",
            record: { what, facts in
                lines.withLock { $0.append(Dictionary(facts + [("what", what)]) { _, last in last }) }
            }
        ) { cluster in
            let prompt = (0..<200).map { TokenID($0 % 60) }
            for _ in 0..<2 {
                let request = JobRequest(
                    prompt: prompt,
                    options: GenerationOptions(
                        sampling: SamplingOptions(temperature: 0), maxTokens: 5, ignoresEndOfSequence: true),
                    endsWithClient: false, requestID: "req-7")
                for await _ in try await cluster.coordinator.submit(request).1 {}
            }
            let totals = await cluster.coordinator.status().totals
            #expect(totals.promptTokens == 400 && totals.lookedUpTokens == 400 && totals.generatedTokens == 10)
            #expect(totals.cachedTokens > 100 && totals.accepted == 2 && totals.ended == [.length: 2])

            let steps = await cluster.coordinator.steps()
            let done = steps.filter { $0.done != nil }
            #expect(done.count >= 10)
            #expect(steps.reduce(0) { $0 + $1.promptTokens } == 400 - totals.cachedTokens)
            for step in done.dropLast() {
                #expect(Set(step.parts.map(\.stage)) == [0, 1], "\(step)")
                // The first stage waits for nobody before it.
                #expect(step.parts.allSatisfy { $0.stage > 0 || $0.inputWait == .zero }, "\(step)")
                #expect(step.parts.allSatisfy { $0.end >= step.sent && $0.rankWait >= .zero })
            }
            #expect(done.flatMap(\.parts).contains { $0.stage == 1 && $0.inputWait > .zero })
            for _ in 0..<500 where lines.withLock({ $0.count }) < 8 { try await Task.sleep(for: .milliseconds(10)) }
        }
        let all = lines.withLock { $0 }
        #expect(all.count { $0["what"] == "job accepted" && $0["request_id"] == "req-7" } == 2)
        let ends = all.filter { $0["what"] == "job ended" }
        #expect(ends.count == 2 && ends.allSatisfy { $0["completion_tokens"] == "5" && $0["request_id"] == "req-7" })
        let workers = all.filter { $0["what"] == "sequence ended" }
        #expect(workers.count == 4 && workers.allSatisfy { $0["request_id"] == "req-7" }, "\(all)")
    }

    @Test(
        "what workers send is what docs/wire.md says, message for message and byte for byte", arguments: ["2x2", "1x3"])
    func traffic(layout: String) async throws {
        try await TestCluster.with(layout: layout) { cluster in
            let request = JobRequest(
                prompt: (0..<10).map { TokenID($0) },
                options: GenerationOptions(
                    sampling: SamplingOptions(temperature: 0), maxTokens: 4, ignoresEndOfSequence: true,
                    speculates: false),
                endsWithClient: false)
            for await _ in try await cluster.coordinator.submit(request).1 {}
            let grid = try Layout(layout)
            // A prompt of ten in one step, then the three tokens of an answer of four that are computed.
            let (steps, tokens, rowBytes) = (4, 13, 4 * 128)
            var members: [ClusterStatus.Member] = []
            for _ in 0..<500 {
                members = await cluster.coordinator.status().members
                if members.allSatisfy({ $0.traffic.tokens == tokens }) { break }
                #expect(members.count == grid.workers)
                try await Task.sleep(for: .milliseconds(20))
            }
            func sent(_ messages: Int, _ bytes: Int) -> Traffic.Sent {
                Traffic.Sent(messages: UInt64(messages), bytes: UInt64(messages * 48 + bytes))
            }
            for member in members {
                let isLast = member.stage == grid.stages - 1
                let (layers, others) = (try #require(member.layers).count, grid.ranks - 1)
                let leaves = try #require(member.leaves)
                let roots = Leaves.subtrees(of: leaves).count
                let rows = isLast ? (layers - 1) * tokens + steps : layers * tokens
                let traffic = member.traffic
                #expect(traffic.tokens == 13)
                #expect(traffic.hidden == (isLast ? Traffic.Sent() : sent(steps, tokens * rowBytes)), "\(member)")
                #expect(
                    traffic.sums == sent(2 * layers * steps * others, 2 * rows * others * roots * rowBytes), "\(member)"
                )
                #expect(traffic.draws.messages == (isLast ? steps * others : 0))
                // Two KV heads: two ranks share none, of three the one in the middle shares with both.
                #expect((traffic.attention == Traffic.Sent()) == (grid.ranks == 2), "\(member)")
            }
            // The tiny vocabulary is one rank's: the others tell of no candidate.
            let draws = members.reduce(Traffic.Sent()) { $0 + $1.traffic.draws }
            #expect(draws == sent(grid.ranks * steps * (grid.ranks - 1), steps * (grid.ranks - 1) * 12))
        }
    }
}
