import Checkpoint
import Core
import GLM
import Testing

@testable import Coordinator
@testable import Worker

@Suite("Layouts")
struct LayoutTests {
    private let prompt: [TokenID] = (0..<40).map { ($0 * 37 + 11) % 200 }
    private let other: [TokenID] = (0..<23).map { ($0 * 53 + 5) % 200 }

    private func reference() throws -> [Float] {
        let generator = try Generator(Checkpoint.open(TestCluster.model.get()), kvTokens: 256, threads: 1)
        return try generator.logits(of: [prompt], chunk: 512)
    }

    @Test(
        "every layout gives the logits of one process, bit for bit",
        arguments: [("1x1", 512), ("2x2", 7), ("1x4", 512), ("4x1", 7), ("1x3", 64), ("3x1", 1), ("1x8", 7)])
    func layouts(layout: String, chunk: Int) async throws {
        let expected = try reference()
        let found = try await TestCluster.with(layout: layout) { cluster in
            try await cluster.coordinator.logits(sequences: [prompt, other], chunk: chunk)[0]
        }
        #expect(found.map(\.bitPattern) == expected.map(\.bitPattern))
    }

    @Test("workers of unequal memory give the same logits")
    func unequal() async throws {
        let expected = try reference()
        let memory = [3 << 28, 1 << 28, 2 << 28, 1 << 29, 1 << 28, 1 << 28]
        let found = try await TestCluster.with(layout: "2x3", memory: memory) { cluster in
            let places = await cluster.coordinator.status().members.compactMap(\.leaves)
            #expect(Set(places.map(\.count)).count > 1)
            return try await cluster.coordinator.logits(sequences: [prompt], chunk: 16)[0]
        }
        #expect(found.map(\.bitPattern) == expected.map(\.bitPattern))
    }

    @Test("the sums that a rank sends are named by the leaves from first to last, for every number of heads")
    func spans() {
        for units in 0...16 {
            for first in 0..<Leaves.count {
                for end in first + 1...Leaves.count {
                    let present = Leaves.subtrees(of: first..<end).filter { !Leaves.units(of: $0, in: units).isEmpty }
                    let hull = RootSpan.hull(of: present)
                    #expect(
                        RootSpan.roots(of: first..<end, within: hull) == present, "\(units) units, \(first)..<\(end)")
                }
            }
        }
    }
}
