import Core
import Testing

@testable import Cluster

@Suite("Cost model")
struct CostModelTests {
    /// GLM-4-9B-Chat-1M with q4 weights.
    private let shape = ModelShape(
        layers: 40, hidden: 4096, heads: 32, kvHeads: 4, headDim: 128, ffn: 13_696, vocabulary: 151_552,
        weightBytes: 18.0 / 32)
    private let rates = WorkerRates(products: 400e9, attention: 150e9, read: 20e9, decodeAttention: 30e9)

    /// A grid of equal workers, a host each, as `Plan` and `SlotShares` cut it: even ranks of 1, 2, 4 or 8.
    private func model(
        _ layout: Layout, threads: Int = 1, network: Road = Road(bandwidth: .infinity, latency: 0), chunk: Int = 512,
        hosts: (Int) -> String = { "h\($0)" }, rates: (Int) -> WorkerRates? = { _ in nil }
    ) -> CostModel {
        let ranks = layout.ranks
        let grid = (0..<layout.stages).map { stage in
            (0..<ranks).map { rank in
                let number = stage * ranks + rank
                let heads = rank * 32 / ranks..<(rank + 1) * 32 / ranks
                let kvHeads = heads.lowerBound / 8..<(heads.upperBound - 1) / 8 + 1
                // With eight ranks two share a KV head, and each holds half of its slots.
                let slots = ranks == 8 ? rank % 2 * 32..<(rank % 2 + 1) * 32 : 0..<64
                return WorkerPart(
                    worker: WorkerID("w\(number)"), host: hosts(number), threads: threads, memory: 16 << 30,
                    rates: rates(number) ?? self.rates, layers: 40 / layout.stages, heads: heads, kvHeads: kvHeads,
                    ffn: 13_696 / ranks, vocabulary: stage == layout.stages - 1 ? 151_552 / ranks : 0, roots: 1,
                    share: KVShare(slots: kvHeads.map { _ in slots }), weightBytes: 5 << 30,
                    pageBytes: 40 / layout.stages * 2 * 64 * 256)
            }
        }
        return CostModel(
            shape: shape, grid: grid, chunk: chunk, local: Road(bandwidth: .infinity, latency: 0), network: network,
            stepSeconds: 0)
    }

    private func near(_ a: Double, _ b: Double, _ tolerance: Double = 1e-9) -> Bool {
        abs(a - b) <= tolerance * max(abs(a), abs(b))
    }

    @Test("the work of a token and of a pair is what the design's table says")
    func work() {
        #expect(shape.layerWeights == 206_045_184)
        #expect(near(shape.linearOperations, 16.5e9, 0.01))
        #expect(shape.pairOperations == 655_360)
    }

    @Test("a million tokens of f16 are 85.9 GB on one worker, and a fortieth of that on each of forty")
    func memory() {
        let one = model(.single).grid[0][0]
        #expect(one.kvBytes(context: 1_048_576) == 85_899_345_920)
        let forty = model(Layout(stages: 5, ranks: 8)).grid.flatMap(\.self)
        #expect(forty.count == 40 && forty.allSatisfy { $0.kvBytes(context: 1_048_576) == 85_899_345_920 / 40 })
        #expect(!one.fits(context: 1_048_576) && forty.allSatisfy { $0.fits(context: 1_048_576) })
    }

    @Test("a prefill on one worker takes its work divided by its rates; the last layer is cut short")
    func prefillAlone() {
        let context = 65_536
        let n = Double(context)
        let seconds = model(.single).prefillSeconds(context: context)
        // 39 layers whole, keys, queries and values of the fortieth, and one token's rest of it with the output matrix.
        let layer = Double(shape.layerWeights)
        let pair: Double = 4 * 32 * 128
        let pairs: Double = n * (n + 1) / 2
        let matrices: Double = 39 * 2 * n * layer / 400e9
        let last: Double = 2 * n * 4096 * 128 * 40 / 400e9
        let attention: Double = 39 * pair * pairs / 150e9
        let bytes: Double = (layer + 151_552 * 4096) * 18 / 32
        let rest: Double = bytes / 20e9 + n * pair / 30e9
        #expect(near(seconds, matrices + last + attention + rest, 1e-3))
    }

    @Test("chunks flow through the stages: a long prompt takes a stage's share, a single chunk all stages in turn")
    func pipeline() {
        let one = model(.single)
        let four = model(Layout(stages: 4, ranks: 1))
        let long = one.prefillSeconds(context: 131_072) / four.prefillSeconds(context: 131_072)
        #expect(long > 3.7 && long < 4.01)
        #expect(near(one.prefillSeconds(context: 512), four.prefillSeconds(context: 512), 1e-6))
        #expect(four.prefillRate(depth: 0) > 3.8 * one.prefillRate(depth: 0))
        // Fewer, larger chunks leave stages idle at the beginning and at the end.
        let coarse = model(Layout(stages: 4, ranks: 1), chunk: 32_768).prefillSeconds(context: 131_072)
        #expect(coarse > 1.5 * four.prefillSeconds(context: 131_072))
    }

    @Test("decode reads all weights and keys, stage after stage; ranks divide them")
    func decode() {
        let depth = 131_072
        let elements: Double = 40 * Double(shape.layerWeights) + 151_552 * 4096
        let weights: Double = elements * 18 / 32 / 20e9
        let pair: Double = 4 * 32 * 128
        let attention: Double = 40 * pair * Double(depth + 1) / 30e9
        #expect(near(1 / model(.single).decodeRate(depth: depth), weights + attention, 1e-6))
        #expect(
            near(
                1 / model(Layout(stages: 4, ranks: 1)).decodeRate(depth: depth), weights + attention, 1e-6))
        for ranks in [2, 4, 8] {
            let seconds = 1 / model(Layout(stages: 1, ranks: ranks)).decodeRate(depth: depth)
            // Two ranks that share a KV head both compute its keys and values.
            let tolerance = ranks > 4 ? 2e-3 : 1e-6
            #expect(near(seconds, (weights + attention) / Double(ranks), tolerance), "\(ranks) ranks")
        }
    }

    @Test("a KV head is one thread's work in decode: more threads than KV heads change nothing")
    func decodeThreads() {
        func attention(_ threads: Int, _ layout: Layout) -> Double {
            let model = model(layout, threads: threads)
            return 1 / model.decodeRate(depth: 1_000_000) - 1 / model.decodeRate(depth: -1)
        }
        #expect(near(attention(1, .single), 4 * attention(4, .single), 1e-6))
        #expect(near(attention(4, .single), attention(64, .single), 1e-6))
        #expect(near(attention(1, .single), 2 * attention(3, .single), 1e-6))
        let four = Layout(stages: 1, ranks: 4)
        #expect(near(attention(1, four), attention(64, four), 1e-6))
    }

    @Test("wire bytes: boundaries, partial sums, and trades only where ranks share KV heads")
    func wire() {
        #expect(model(.single).prefillWireBytes() == 0)
        #expect(model(.single).decodeWireBytes() == 0)
        #expect(model(Layout(stages: 40, ranks: 1)).decodeWireBytes() == 39 * 16_384)
        // Two sums a layer, each rank's root to the other; the last layer of a prompt sums nothing.
        let two = model(Layout(stages: 1, ranks: 2))
        let sums: Int = 2 * 2 * 16_384
        #expect(two.prefillWireBytes() == Double(39 * sums))
        #expect(two.decodeWireBytes() == Double(40 * sums + 75_776 * 4))
        // Eight ranks: 56 roots twice in an answer, in a prompt an eighth of them and as much of the sums back; four heads' queries to one
        // peer, four heads' states of one subtree back.
        let eight = model(Layout(stages: 1, ranks: 8))
        let traded: Int = 8 * 4 * (128 + 130) * 4
        let layer: Int = 2 * 2 * 56 * 16_384 / 8 + traded
        #expect(eight.prefillWireBytes() == Double(39 * layer))
        let decode: Int = 40 * (2 * 56 * 16_384 + traded) + 7 * 18_944 * 4
        #expect(eight.decodeWireBytes() == Double(decode))
    }

    @Test("an exchange waits for latency and bytes; workers of one host share its network")
    func network() {
        let slow = Road(bandwidth: 0.125e9, latency: 1e-3)
        let two = Layout(stages: 1, ranks: 2)
        let extra = 1 / model(two, network: slow).decodeRate(depth: 0) - 1 / model(two).decodeRate(depth: 0)
        let sum: Double = 1e-3 + 16_384 / 0.125e9
        let logits: Double = 1e-3 + 75_776 * 4 / 0.125e9
        #expect(near(extra, 80 * sum + logits, 1e-6))
        // Four ranks on two hosts: 2 x 2 roots leave each host, and as many come.
        let four = Layout(stages: 1, ranks: 4)
        let shared = model(four, network: slow) { "h\($0 / 2)" }
        let roots: Double = 1e-3 + 512 * 4 * 16_384 / 0.125e9
        #expect(near(shared.rootSeconds(stage: 0, tokens: 512, isDivided: false), roots, 1e-6))
        // Divided, a quarter of each root goes to each, and a quarter of the sums comes back.
        let divided: Double = 2 * (1e-3 + 512 * 16_384 / 0.125e9)
        #expect(near(shared.rootSeconds(stage: 0, tokens: 512, isDivided: true), divided, 1e-6))
        #expect(model(four, network: slow) { _ in "h" }.rootSeconds(stage: 0, tokens: 512, isDivided: false) == 0)
    }

    @Test("the slowest rank decides")
    func unequal() {
        let two = Layout(stages: 1, ranks: 2)
        let half = WorkerRates(products: 200e9, attention: 75e9, read: 10e9, decodeAttention: 15e9)
        let lame = model(two, rates: { $0 == 1 ? half : nil })
        #expect(near(lame.prefillRate(depth: 1000) * 2, model(two).prefillRate(depth: 1000), 1e-6))
        #expect(near(lame.decodeRate(depth: 1000) * 2, model(two).decodeRate(depth: 1000), 1e-6))
    }
}
