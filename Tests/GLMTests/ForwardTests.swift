import Checkpoint
import Core
import GLM
import Testing

@Suite("Forward pass")
struct ForwardTests {
    @Test("logits agree with the reference implementation", arguments: Golden.models)
    func reference(name: String) throws {
        let golden = Golden(name)
        let tolerance = try golden.expectation().tolerance
        let generator = try Generator(Checkpoint.open(golden.model), kvTokens: 2048, threads: 2)
        for expected in try golden.cases() {
            let logits = try generator.logits(of: [expected.tokens], chunk: 512)
            let width = generator.description.configuration.vocabulary
            var worst: Float = 0
            for (row, values) in zip(expected.rows, expected.logits) {
                for (column, value) in values.enumerated() {
                    let difference = abs(logits[row * width + column] - value)
                    worst = max(worst, difference - tolerance.relative * abs(value))
                }
            }
            #expect(worst <= tolerance.absolute)
        }
    }

    @Test("greedy answers agree with the reference implementation", arguments: Golden.models)
    func greedy(name: String) throws {
        let golden = Golden(name)
        let generator = try Generator(Checkpoint.open(golden.model), kvTokens: 2048, threads: 1)
        for expected in try golden.expectation().greedy {
            var tokens: [TokenID] = []
            let finish = try generator.generate(
                expected.prompt, options: GenerationOptions(maxTokens: expected.tokens.count), chunk: 64
            ) { drawn in
                tokens.append(drawn.token.token)
                return true
            }
            #expect(Array(tokens.prefix(expected.certain)) == Array(expected.tokens.prefix(expected.certain)))
            if expected.certain == expected.tokens.count { #expect(finish.rawValue == expected.finish) }
        }
    }
}

@Suite("One answer")
struct OneAnswerTests {
    static let layouts = ["2x1", "1x2", "2x2", "1x3", "2x3", "1x4", "1x7", "1x8"]

    @Test("any number of threads gives the same bits, also where a token's attention is divided among them")
    func threads() throws {
        let checkpoint = try Checkpoint.open(Golden("glm-hf-f32").model)
        let tokens = (0..<1100).map { (place: Int) in TokenID((place * 37 + place / 64 + 5) % 200) }
        func logits(threads: Int, attention: AttentionMode) throws -> [Float] {
            let generator = try Generator(checkpoint, kvType: .f16, kvTokens: 2048, threads: threads)
            let id = generator.nextSequence()
            func run(_ range: Range<Int>, _ output: Segment.Output) throws -> [SegmentResult] {
                try generator.run([
                    Segment(
                        sequence: id, start: range.lowerBound, tokens: Array(tokens[range]), output: output,
                        attention: attention)
                ])
            }
            _ = try run(0..<1080, .none)
            return try (1080..<1100).flatMap { try run($0..<$0 + 1, .logits).flatMap(\.logits) }
        }
        for attention in [AttentionMode.exact, .sparse] {
            let alone = try logits(threads: 1, attention: attention)
            for threads in [2, 3, 8, 20] {
                #expect(try logits(threads: threads, attention: attention).bits == alone.bits, "\(threads) threads")
            }
        }
    }

    @Test("every layout gives the same bits", arguments: Golden.models)
    func layouts(name: String) throws {
        let golden = Golden(name)
        let checkpoint = try Checkpoint.open(golden.model)
        let description = try ModelDescription(checkpoint)
        let tokens = try #require(try golden.cases().last).tokens
        let alone = try Generator(checkpoint, kvTokens: 2048, threads: 2).logits(of: [tokens], chunk: 512)
        for layout in try Self.layouts.map({ try Layout($0) }) where layout.stages <= description.configuration.layers {
            let grid = try Grid(description, source: checkpoint, layout: layout)
            #expect(try grid.logits([tokens], chunk: 512).bits == alone.bits, "\(layout)")
        }
        let uneven = try Grid(
            description, source: checkpoint, layout: Layout(stages: 1, ranks: 3), weights: [5, 2, 1])
        #expect(try uneven.logits([tokens], chunk: 512).bits == alone.bits, "uneven 1x3")
    }

    @Test(
        "ranks that share KV heads by slots give the same bits over many pages",
        arguments: [("f32", nil), ("q8", nil), ("q4", KVType.q8), ("q8", .q4), ("f32", .q4)] as [(String, KVType?)])
    func slots(type: String, kvType: KVType?) throws {
        let checkpoint = try Checkpoint.open(Golden("glm-hf-f32").model)
        let description = try ModelDescription(checkpoint)
        let configuration = description.configuration
        let weightType = WeightType(name: type)
        let tokens = (0..<min(900, configuration.contextLength)).map {
            TokenID(($0 * 7919 + $0 / 64) % configuration.vocabulary)
        }
        #expect(tokens.count > 12 * Slots.pageTokens)
        let short = Array(tokens.prefix(70))
        let alone = try Generator(checkpoint, type: weightType, kvType: kvType, kvTokens: 2048, threads: 2)
            .logits(of: [tokens], chunk: 512)
        for (layout, weights) in [("1x3", [1.0, 1, 1]), ("2x4", [1, 1, 1, 1]), ("1x8", nil), ("1x4", [5, 1, 1, 1])] {
            let grid = try Grid(
                description, source: checkpoint, layout: Layout(layout), type: weightType, kvType: kvType,
                weights: weights)
            #expect(try grid.logits([tokens, short], chunk: 200).bits == alone.bits, "\(layout)")
        }
    }

    @Test(
        "chunks so long that the ranks add up different rows give the same bits",
        arguments: ["glm-hf-f32", "glm4-0414"], [WeightType.f32, .q8])
    func divided(name: String, type: WeightType) throws {
        let checkpoint = try Checkpoint.open(Golden(name).model)
        let description = try ModelDescription(checkpoint)
        let configuration = description.configuration
        let rows = RowDivision.leastBytes / 4 / configuration.hidden + 5
        let tokens = (0..<rows).map { TokenID(($0 * 31 + $0 / 64) % configuration.vocabulary) }
        let alone = try Generator(checkpoint, type: type, kvTokens: 2 * rows, threads: 2)
            .logits(of: [tokens], chunk: 512)
        var kinds: Set<[Bool]> = []
        for (layout, chunk, weights, spansHosts) in [
            ("1x2", rows, nil, true), ("1x2", 300, nil, true), ("1x2", 255, nil, true),
            ("1x3", rows, [1.0, 1, 1], true),
            ("1x3", rows, [1.0, 1, 1], false), ("2x4", rows, nil, true), ("1x8", rows, nil, false),
            ("1x4", rows, [5, 1, 1, 1], true),
        ] {
            let layout = try Layout(layout)
            let division = RowDivision(
                rows: chunk, width: configuration.hidden, ranks: layout.ranks, spansHosts: spansHosts)
            kinds.insert([division.isDivided, division.isOverlapped])
            let grid = try Grid(
                description, source: checkpoint, layout: layout, type: type, weights: weights, kvTokens: 2 * rows,
                spansHosts: spansHosts)
            #expect(try grid.logits([tokens], chunk: chunk).bits == alone.bits, "\(layout) \(chunk)")
        }
        #expect(kinds == [[true, true], [true, false], [false, false]])
    }

    @Test("chunks and company change no bit", arguments: ["f32", "bf16", "f16", "q8", "q4"])
    func chunks(type: String) throws {
        for name in ["glm-hf-f32", "glm4-0414", "gguf-chatglm-q4_1", "gguf-chatglm-q5_k"] {
            let golden = Golden(name)
            let checkpoint = try Checkpoint.open(golden.model)
            let tokens = try #require(try golden.cases().last).tokens
            let weightType = WeightType(name: type)
            let generator = try Generator(checkpoint, type: weightType, kvTokens: 4096, threads: 2)
            let whole = try generator.logits(of: [tokens], chunk: 512)
            for chunk in [1, 7, 64] {
                #expect(try generator.logits(of: [tokens], chunk: chunk).bits == whole.bits, "\(name) chunk \(chunk)")
            }
            let other: [TokenID] = [5, 6, 7, 8, 9]
            #expect(try generator.logits(of: [tokens, other], chunk: 64).bits == whole.bits, "\(name) batched")
            let grid = try Grid(
                ModelDescription(checkpoint), source: checkpoint, layout: Layout(stages: 2, ranks: 2), type: weightType)
            #expect(try grid.logits([tokens, other], chunk: 7).bits == whole.bits, "\(name) 2x2 chunk 7")
        }
    }
}

extension [Float] {
    /// The bit patterns: what "the same answer" compares.
    var bits: [UInt32] { map(\.bitPattern) }
}
