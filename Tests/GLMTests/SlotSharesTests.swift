import Checkpoint
import Core
import Testing

@testable import GLM

@Suite("Slot shares")
struct SlotSharesTests {
    @Test("every KV head's slots are held once, whatever the ranks and their leaves", arguments: 1...8)
    func partition(ranks: Int) throws {
        let configuration = try Configuration(Checkpoint.open(Golden("glm-hf-f32").model))
        for weights in [[Double](repeating: 1, count: ranks), (0..<ranks).map { Double($0 + 1) }] {
            let leaves = Leaves.runs(weights: weights)
            let shares = (0..<ranks).map {
                SlotShares(configuration, leavesByRank: leaves, kvWeightByRank: weights.map { Int($0) }, rank: $0)
            }
            for head in 0..<configuration.kvHeads {
                let holders = shares[0].holders(of: head)
                let runs = holders.map { shares[$0].run(of: $0, head: head) }
                #expect(runs.flatMap { Array($0) } == Array(0..<Slots.count), "head \(head) of \(weights)")
            }
            let isDivided = shares.map(\.isDivided)
            #expect(Set(isDivided).count == 1, "all ranks agree whether they trade")
            if ranks <= configuration.kvHeads, weights.allSatisfy({ $0 == 1 }), configuration.kvHeads % ranks == 0 {
                #expect(!isDivided[0])
            }
        }
    }

    @Test("equal ranks hold equal parts of a long sequence: the fullest within 5% of the mean", arguments: 2...8)
    func balance(ranks: Int) throws {
        var configuration = try Configuration(Checkpoint.open(Golden("glm-hf-f32").model))
        // As GLM-4-9B is cut.
        (configuration.heads, configuration.kvHeads, configuration.headDim) = (32, 2, 128)
        let leaves = Leaves.runs(weights: [Double](repeating: 1, count: ranks))
        let pages = (0..<ranks).map { rank in
            SlotShares(
                configuration, leavesByRank: leaves, kvWeightByRank: [Int](repeating: 1, count: ranks), rank: rank
            ).share.pages(ofFirst: 16_384)
        }
        let mean = Double(pages.reduce(0, +)) / Double(ranks)
        #expect(pages.reduce(0, +) == 16_384 * configuration.kvHeads)
        #expect(Double(pages.max() ?? 0) <= mean * 1.05, "\(pages)")
    }
}
