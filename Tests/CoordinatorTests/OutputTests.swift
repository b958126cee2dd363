import Checkpoint
import Core
import GLM
import Testing
import Transport

@testable import Coordinator

/// What jobs can ask for besides tokens, and how they say which tokens.
@Suite("Jobs' outputs", .serialized)
struct OutputTests {
    /// A tiny model whose vocabulary is divided over ranks.
    private static let model: Result<String, any Error> = Result {
        let folder = try Endpoint.makePrivateFolder() + "/model"
        try RandomModel.make(folder: folder, layers: 2, vocabulary: 3000, type: .f32)
        return folder
    }

    private let prompt: [TokenID] = (0..<70).map { ($0 * 337 + 11) % 2900 }

    private func generator() throws -> Generator {
        try Generator(Checkpoint.open(Self.model.get()), kvTokens: 512, threads: 1)
    }

    private func events(_ cluster: TestCluster, _ options: GenerationOptions, prompt: [TokenID]? = nil) async throws
        -> [JobEvent]
    {
        let request = JobRequest(prompt: prompt ?? self.prompt, options: options, endsWithClient: false)
        let (_, stream) = try await cluster.coordinator.submit(request)
        var events: [JobEvent] = []
        for await event in stream {
            if case .failed(let problem) = event { throw problem }
            events.append(event)
        }
        return events
    }

    private func drawn(_ events: [JobEvent]) -> [TokenID] {
        events.compactMap { if case .token(let drawn, _, _) = $0 { drawn.token } else { nil } }
    }

    private func scored(_ events: [JobEvent]) -> [ScoredToken] {
        var scored: [ScoredToken] = []
        for case .scored(let first, let tokens) in events {
            #expect(first == scored.count + 1)
            scored += tokens
        }
        return scored
    }

    @Test("penalties, biases and held back tokens give what one process gives", arguments: ["1x2", "2x2", "1x3"])
    func penalties(layout: String) async throws {
        let options = [
            GenerationOptions(
                sampling: SamplingOptions(repetitionPenalty: 1.5, frequencyPenalty: 0.3, logitBias: [7: 2]),
                maxTokens: 20, ignoresEndOfSequence: true),
            GenerationOptions(
                sampling: SamplingOptions(temperature: 1, topP: 0.9, seed: 4, minP: 0.001, presencePenalty: 1),
                maxTokens: 20, ignoresEndOfSequence: true, minTokens: 9),
            GenerationOptions(
                sampling: SamplingOptions(temperature: 1, seed: 8), maxTokens: 20, ignoresEndOfSequence: true),
        ]
        let generator = try generator()
        try await TestCluster.with(layout: layout, model: Self.model.get()) { cluster in
            for options in options {
                var expected: [TokenID] = []
                _ = try generator.generate(prompt, options: options, chunk: 512) {
                    expected.append($0.token.token)
                    return true
                }
                // The second time all but the prompt's end is found in the KV cache.
                for _ in 0..<2 { #expect(drawn(try await events(cluster, options)) == expected) }
            }
        }
    }

    @Test("a token id ends an answer, but not before the fewest tokens that were asked for")
    func stops() async throws {
        try await TestCluster.with(layout: "1x1", model: Self.model.get()) { cluster in
            var options = GenerationOptions(maxTokens: 12, ignoresEndOfSequence: true)
            let free = drawn(try await events(cluster, options))
            let last = free[4]
            options.stopTokenIDs = [last]
            let stopped = drawn(try await events(cluster, options))
            #expect(stopped == Array(free[...(free.firstIndex(of: last) ?? 0)]))
            options.minTokens = 8
            let held = drawn(try await events(cluster, options))
            #expect(held.count >= 9 || held.count == 12)
            #expect(!held.prefix(8).contains(last))
        }
    }

    @Test("log-probabilities of the prompt come with the answer or alone, chunk by chunk")
    func prompts() async throws {
        let logits = try generator().logits(of: [prompt], chunk: 512)
        try await TestCluster.with(layout: "2x2", chunk: 16, model: Self.model.get()) { cluster in
            var options = GenerationOptions(maxTokens: 3, ignoresEndOfSequence: true, promptLogprobs: 2)
            let all = try await events(cluster, options)
            let found = scored(all)
            #expect(found.map(\.token.token) == Array(prompt[1...]) && drawn(all).count == 3)
            for (place, score) in found.enumerated() {
                let row = logits[place * 3000..<(place + 1) * 3000]
                #expect(score.top.first.map { row[row.startIndex + Int($0.token)] } == row.max())
                #expect(score.top.count == 2 && score.token.logprob <= score.top[0].logprob)
            }
            options.maxTokens = 0
            let alone = try await events(cluster, options)
            #expect(scored(alone) == found && drawn(alone).isEmpty)
            guard case .finished(.length, _, let usage, _) = alone.last else {
                Issue.record("ended with \(String(describing: alone.last))")
                return
            }
            #expect(usage.promptTokens == 70 && usage.completionTokens == 0 && usage.cachedTokens == 0)
            #expect(scored(try await events(cluster, options, prompt: [5])).isEmpty)
        }
    }

    @Test("an embedding is the same in every layout", arguments: ["2x1", "1x3", "2x2"])
    func embeddings(layout: String) async throws {
        func values(_ events: [JobEvent]) -> [[UInt32]] {
            events.compactMap { if case .embedded(let values) = $0 { values.map(\.bitPattern) } else { nil } }
        }
        let generator = try generator()
        var expected: [[UInt32]] = []
        for embedding in Embedding.allCases {
            let id = generator.nextSequence()
            let segment = Segment(sequence: id, start: 0, tokens: prompt, output: .embed(embedding, goesOn: false))
            expected.append(try generator.run([segment])[0].embedding.map(\.bitPattern))
        }
        try await TestCluster.with(layout: layout, chunk: 16, model: Self.model.get()) { cluster in
            for _ in 0..<2 {
                for (embedding, expected) in zip(Embedding.allCases, expected) {
                    let events = try await events(cluster, GenerationOptions(embedding: embedding))
                    #expect(values(events) == [expected])
                    guard case .finished(.stop, "", let usage, _) = events.last else {
                        Issue.record("ended with \(String(describing: events.last))")
                        continue
                    }
                    #expect(usage.completionTokens == 0)
                }
            }
        }
    }

    @Test("what makes no sense is refused in words")
    func refused() async throws {
        try await TestCluster.with(layout: "1x1", model: Self.model.get()) { cluster in
            for (options, word) in [
                (GenerationOptions(sampling: SamplingOptions(minP: 1.5)), "min_p"),
                (GenerationOptions(sampling: SamplingOptions(repetitionPenalty: 0)), "repetition_penalty"),
                (GenerationOptions(sampling: SamplingOptions(logitBias: [3000: 1])), "logit_bias"),
                (GenerationOptions(maxTokens: 0), "max_tokens"),
                (GenerationOptions(maxTokens: 3, minTokens: 4), "min_tokens"),
                (GenerationOptions(promptLogprobs: 101), "prompt_logprobs"),
                (GenerationOptions(promptLogprobs: 1, embedding: .mean), "embedding"),
            ] {
                var message = ""
                do { _ = try await events(cluster, options) } catch { message = "\(error)" }
                #expect(message.contains(word), "\(message)")
            }
        }
    }
}
