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
}
