import Checkpoint
import Core
import Foundation
import Kernels
import Testing

@testable import GLM

/// What segments ask for besides logits: drawn and scored tokens, embeddings; the same in every layout.
@Suite("Outputs")
struct OutputTests {
    /// A tiny model whose vocabulary has more segments than a stage has ranks.
    static let model: Result<Checkpoint, any Error> = Result {
        let folder = FileManager.default.temporaryDirectory.appending(path: "glm-outputs-\(getpid())").path
        try RandomModel.make(folder: folder, layers: 2, vocabulary: 5000, type: .f32)
        return try Checkpoint.open(folder)
    }

    private let prompt: [TokenID] = (0..<90).map { TokenID(($0 * 977 + 31) % 4900) }

    private func generator() throws -> Generator {
        try Generator(Self.model.get(), kvTokens: 512, threads: 2)
    }

    private func grid(_ layout: String) throws -> Grid {
        let checkpoint = try Self.model.get()
        return try Grid(ModelDescription(checkpoint), source: checkpoint, layout: Layout(layout), kvTokens: 512)
    }

    private static let layouts = ["1x2", "2x2", "1x4", "1x8"]

    /// Continues the prompt with `run`, a step of one segment at a time.
    private func answer(
        _ options: SamplingOptions, tokens count: Int, run: ([Segment]) throws -> [SegmentResult]
    ) throws -> [ScoredToken] {
        var drawing = Drawing(options, promptTokens: prompt.count, heldBack: [3], heldUntil: prompt.count + 4)
        drawing.past = Past(options, tokens: prompt, promptTokens: prompt.count)
        var pending = prompt
        var start = 0
        var found: [ScoredToken] = []
        while found.count < count {
            let results = try run([
                Segment(sequence: SequenceID(1), start: start, tokens: pending, output: .sample(drawing))
            ])
            start += pending.count
            let result = try #require(results.first)
            let drawn = try #require(result.drawn)
            found.append(ScoredToken(drawn, top: result.top))
            pending = [drawn.token]
            drawing.past = nil
        }
        return found
    }

    private static let options = [
        SamplingOptions(logprobs: 2),
        SamplingOptions(temperature: 1, seed: 5, logprobs: 0),
        SamplingOptions(temperature: 1.5, topP: 0.95, seed: 6),
        SamplingOptions(temperature: 0.7, topK: 30, seed: 7, minP: 0.02, repetitionPenalty: 1.4),
        SamplingOptions(
            repetitionPenalty: 1.2, presencePenalty: 0.5, frequencyPenalty: 0.5, logitBias: [17: 3, 4999: -100]),
    ]

    @Test("drawn tokens and their log-probabilities are the same in every layout", arguments: options)
    func drawn(options: SamplingOptions) throws {
        let generator = try generator()
        let expected = try answer(options, tokens: 12) { try generator.run($0) }
        for layout in Self.layouts {
            let grid = try grid(layout)
            #expect(try answer(options, tokens: 12) { try grid.run($0) } == expected, "\(layout)")
        }
    }

    @Test("a token that stands for nothing is never drawn, one that is held back not before its time")
    func neverDrawn() throws {
        let generator = try generator()
        let free = try answer(SamplingOptions(), tokens: 1) { try generator.run($0) }
        let best = free[0].token.token
        try generator.release([SequenceID(1)])
        generator.stage.drawableTokens = Int(best)
        let limited = try answer(SamplingOptions(temperature: 3, seed: 1), tokens: 40) { try generator.run($0) }
        #expect(limited.allSatisfy { $0.token.token < best })
        generator.stage.drawableTokens = 5000
        func first(heldUntil: Int) throws -> TokenID? {
            let id = generator.nextSequence()
            let drawing = Drawing(promptTokens: prompt.count, heldBack: [best], heldUntil: heldUntil)
            return try generator.run([Segment(sequence: id, start: 0, tokens: prompt, output: .sample(drawing))])
                .first?.drawn?.token
        }
        try generator.release([SequenceID(1)])
        #expect(try first(heldUntil: prompt.count) == best)
        #expect(try first(heldUntil: prompt.count + 1) != best)
    }

    @Test("the log-probabilities of a prompt are those of its logits, in any chunks and layouts")
    func scored() throws {
        let generator = try generator()
        let logits = try generator.logits(of: [prompt], chunk: 512)
        let expected = (1..<prompt.count).map { place in
            let row = Array(logits[(place - 1) * 5000..<place * 5000])
            return row[Int(prompt[place])] - logSumExp(row, count: 5000)
        }
        func scores(chunk: Int, _ run: ([Segment]) throws -> [SegmentResult]) throws -> [ScoredToken] {
            var found: [ScoredToken] = []
            for start in stride(from: 0, to: prompt.count, by: chunk) {
                let end = min(start + chunk, prompt.count)
                let targets = Array(prompt[start + 1..<min(end + 1, prompt.count)])
                let segment = Segment(
                    sequence: SequenceID(7), start: start, tokens: Array(prompt[start..<end]),
                    output: end == prompt.count ? .sample(Drawing()) : .none,
                    scoring: targets.isEmpty ? nil : Segment.Scoring(targets: targets, alternatives: 3))
                let result = try #require(try run([segment]).first)
                found += result.scored
                #expect((result.drawn != nil) == (end == prompt.count))
            }
            return found
        }
        let whole = try scores(chunk: 512) { try generator.run($0) }
        #expect(whole.map(\.token.token) == Array(prompt[1...]))
        #expect(whole.map(\.token.logprob.bitPattern) == expected.map(\.bitPattern))
        #expect(whole.allSatisfy { $0.top.count == 3 && $0.top[0].logprob >= $0.top[1].logprob })
        try generator.release([SequenceID(7)])
        #expect(try scores(chunk: 7) { try generator.run($0) } == whole)
        for layout in Self.layouts {
            let grid = try grid(layout)
            #expect(try scores(chunk: 40) { try grid.run($0) } == whole, "\(layout)")
        }
    }

    @Test("an embedding is the normed output of the last token, or the mean of all, in any chunks and layouts")
    func embedded() throws {
        let generator = try generator()
        func embedding(
            _ embedding: Embedding, tokens: [TokenID], sequence: UInt64, chunk: Int,
            _ run: ([Segment]) throws -> [SegmentResult]
        ) throws -> [Float] {
            var found: [Float] = []
            for start in stride(from: 0, to: tokens.count, by: chunk) {
                let end = min(start + chunk, tokens.count)
                let isLast = end == tokens.count
                let results = try run([
                    Segment(
                        sequence: SequenceID(sequence), start: start, tokens: Array(tokens[start..<end]),
                        output: isLast || embedding == .mean ? .embed(embedding, goesOn: !isLast) : .none)
                ])
                #expect(results.isEmpty == !isLast)
                found = results.first?.embedding ?? []
            }
            return found
        }
        let lasts = try (1...prompt.count).map {
            try embedding(.last, tokens: Array(prompt.prefix($0)), sequence: UInt64(1000 + $0), chunk: 512) {
                let results = try generator.run($0)
                try generator.release($0.map(\.sequence))
                return results
            }
        }
        let hidden = lasts[0].count
        let mean = (0..<hidden).map { column in
            Float(lasts.reduce(0.0) { $0 + Double($1[column]) } / Double(lasts.count))
        }
        #expect(hidden == generator.description.configuration.hidden)
        for (number, chunk) in [512, 1, 7].enumerated() {
            let number = UInt64(number * 2)
            let found = try embedding(.mean, tokens: prompt, sequence: 2000 + number, chunk: chunk) {
                try generator.run($0)
            }
            #expect(found.bits == mean.bits)
            let last = try embedding(.last, tokens: prompt, sequence: 2001 + number, chunk: chunk) {
                try generator.run($0)
            }
            #expect(last.bits == lasts[prompt.count - 1].bits)
            try generator.release([SequenceID(2000 + number), SequenceID(2001 + number)])
        }
        for layout in Self.layouts {
            let grid = try grid(layout)
            let found = try embedding(.mean, tokens: prompt, sequence: 1, chunk: 40) { try grid.run($0) }
            #expect(found.bits == mean.bits, "\(layout)")
        }
    }
}
