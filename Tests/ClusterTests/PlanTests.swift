import Core
import Testing

@testable import Cluster

@Suite("Plan")
struct PlanTests {
    private func needs(layers: Int = 12, kvHeads: Int = 2, vocabulary: Int = 5000) -> ModelNeeds {
        ModelNeeds(
            layers: layers, kvHeads: kvHeads, vocabulary: vocabulary, layerBytes: 800, embeddingBytes: 100,
            outputBytes: 80)
    }

    private func offers(_ memory: [Int]) -> [Offer] {
        memory.enumerated().map { Offer(worker: WorkerID("w\($0)"), memory: $1, threads: 1) }
    }

    private func message(_ body: () throws -> Void) -> String {
        do {
            try body()
            return ""
        } catch { return "\(error)" }
    }

    @Test(
        "every grid covers every layer, leaf and row exactly once",
        arguments: ["1x1", "4x1", "1x4", "2x2", "1x3", "3x1", "2x3", "1x8", "12x1", "1x5", "1x7"])
    func covers(text: String) throws {
        let layout = try Layout(text)
        let memory = (0..<layout.workers).map { 100_000 * (1 + $0 % 3) }
        let plan = try Plan(epoch: 3, layout: layout, offers: offers(memory), needs: needs())
        #expect(Set(plan.allPlaces.map(\.worker)).count == layout.workers)
        #expect(plan.places.flatMap { Array($0[0].slice.layers) } == Array(0..<12))
        for (stage, places) in plan.places.enumerated() {
            #expect(places.flatMap { Array($0.slice.leaves) } == Array(0..<8))
            #expect(places.flatMap { Array($0.slice.vocabulary) } == Array(0..<5000))
            for (rank, place) in places.enumerated() {
                #expect(place.slice.stage == stage && place.slice.rank == rank && place.slice.rankCount == layout.ranks)
                #expect(!place.slice.layers.isEmpty && !place.slice.leaves.isEmpty)
                #expect(place.slice.vocabulary.lowerBound % 1024 == 0 || place.slice.vocabulary.isEmpty)
            }
        }
    }

    @Test("twice the memory gets twice the layers, or twice the leaves")
    func unequal() throws {
        let stages = try Plan(
            epoch: 1, layout: Layout("3x1"), offers: offers([40_000, 20_000, 20_000]), needs: needs(layers: 8))
        #expect(stages.places.map { $0[0].slice.layers } == [0..<4, 4..<6, 6..<8])
        let ranks = try Plan(epoch: 1, layout: Layout("1x3"), offers: offers([40_000, 20_000, 20_000]), needs: needs())
        #expect(ranks.places[0].map(\.slice.leaves) == [0..<4, 4..<6, 6..<8])
    }

    @Test(
        "stages that share a host's processors take turns",
        arguments: [
            // layout, hosts of the workers in order, threads of each, processors of each host; stages at once
            ("4x1", "aaaa", 2, 2, 1), ("4x1", "aaaa", 1, 2, 2), ("4x1", "aaaa", 2, 8, 4), ("4x1", "abcd", 2, 2, 4),
            ("4x1", "aabb", 2, 2, 2), ("2x2", "aaaa", 1, 2, 1), ("2x2", "aabb", 1, 2, 2), ("2x1", "aa", 8, 2, 1),
        ])
    func turns(layout: String, hosts: String, threads: Int, processors: Int, expected: Int) throws {
        let offers = hosts.enumerated().map { index, host in
            Offer(
                worker: WorkerID("w\(index)"), memory: 100_000, threads: threads, host: String(host),
                processors: processors)
        }
        let plan = try Plan(epoch: 1, layout: Layout(layout), offers: offers, needs: needs())
        #expect(plan.stagesAtOnce { worker in offers.first { $0.worker == worker } } == expected)
        #expect(plan.stagesAtOnce { _ in nil } == plan.layout.stages, "unknown processors bound nothing")
    }

    @Test("ranks are told how their memory for KV cache compares: small differences are none")
    func kvWeights() {
        #expect(Plan.kvWeights([1000, 990, 1010]) == [16, 16, 16])
        #expect(Plan.kvWeights([8000, 4000, 1]) == [16, 8, 1])
        #expect(Plan.kvWeights([0, 0]) == [1, 1])
    }

    @Test("a vocabulary of fewer segments than ranks leaves some ranks without rows")
    func smallVocabulary() throws {
        let plan = try Plan(
            epoch: 1, layout: Layout("1x4"), offers: offers([9000, 9000, 9000, 9000]), needs: needs(vocabulary: 1100))
        let runs = plan.places[0].map(\.slice.vocabulary)
        #expect(runs.flatMap { Array($0) } == Array(0..<1100))
        #expect(runs.count { $0.isEmpty } == 2)
    }

    @Test("an output matrix heavier than layers still leaves every stage a layer")
    func heavyOutput() {
        let heavy = ModelNeeds(
            layers: 4, kvHeads: 2, vocabulary: 100_000, layerBytes: 10, embeddingBytes: 9000, outputBytes: 9000)
        #expect(Plan.layers([1, 1, 1, 1], heavy).map(\.count) == [1, 1, 1, 1])
        #expect(Plan.layers([1, 1], heavy).map(\.count) == [3, 1])
    }

    @Test("the output matrix moves layers as far as prompts and answers together gain, and as it fits")
    func output() {
        // GLM-4-9B in q4: its output matrix weighs three layers.
        func counts(_ layers: Int, _ memory: [Double]) -> [Int] {
            Plan.layers(
                memory,
                ModelNeeds(
                    layers: layers, kvHeads: 2, vocabulary: 151_552, layerBytes: 114, embeddingBytes: 0,
                    outputBytes: 349)
            ).map(\.count)
        }
        // Prompts at 20 and answers at 23 layers' pace, where 22 and 18 would have both at 22.
        #expect(counts(40, [9000, 9000]) == [20, 20])
        #expect(counts(40, [9000, 9000, 9000, 9000]) == [11, 11, 10, 8])
        #expect(counts(8, [9000, 9000]) == [4, 4])
        #expect(counts(8, [8000, 5600]) == [6, 2])
        #expect(counts(8, [800, 560]) == [7, 1], "nothing else fits")
        #expect(counts(40, [9000, 3000]) == [32, 8])
    }

    @Test("the order in which workers came does not matter")
    func deterministic() throws {
        let a = offers([30_000, 20_000, 10_000, 10_000])
        let forward = try Plan(epoch: 1, layout: Layout("2x2"), offers: a, needs: needs())
        let backward = try Plan(epoch: 1, layout: Layout("2x2"), offers: a.reversed(), needs: needs())
        #expect(forward == backward)
    }

    @Test(
        "auto takes ranks up to the KV heads, then stages, then more ranks",
        arguments: [
            (4, 2, 12, "2x2"), (3, 2, 12, "3x1"), (3, 3, 12, "1x3"), (4, 4, 12, "1x4"), (1, 2, 12, "1x1"),
            (6, 2, 12, "3x2"), (4, 1, 2, "2x2"), (7, 2, 4, "1x7"), (11, 2, 4, "2x5"),
        ])
    func automatic(workers: Int, kvHeads: Int, layers: Int, expected: String) throws {
        let all = offers(Array(repeating: 100_000, count: workers))
        let plan = try Plan(epoch: 1, choosingFor: all, needs: needs(layers: layers, kvHeads: kvHeads))
        #expect(plan.layout.description == expected)
    }

    @Test("a layout that does not fit is refused in words")
    func refused() {
        #expect(
            message { _ = try Plan(epoch: 1, layout: Layout("13x1"), offers: offers([1]), needs: needs()) }
                .contains("13 stages, the model has 12 layers"))
        #expect(
            message {
                let wide = Layout(stages: 1, ranks: 9)
                _ = try Plan(epoch: 1, layout: wide, offers: offers([1]), needs: needs())
            }.contains("9 ranks"))
        #expect(
            message { _ = try Plan(epoch: 1, layout: Layout("2x2"), offers: offers([9000]), needs: needs()) }
                .contains("start 3 more"))
        #expect(
            message { _ = try Plan(epoch: 1, layout: .single, offers: offers([2000]), needs: needs()) }
                .contains("would hold 9.7 kB of weights and offers 2.0 kB"))
    }
}
