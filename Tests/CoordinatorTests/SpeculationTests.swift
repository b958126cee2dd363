import Checkpoint
import Core
import GLM
import Testing
import Tokenization
import Transport

@testable import Coordinator

/// Guessing tokens changes the number of steps and nothing else.
@Suite("Speculation", .serialized)
struct SpeculationTests {
    /// A prompt that repeats itself; random models soon repeat themselves too.
    private let prompt: [TokenID] = (0..<120).map { ($0 % 23 * 37 + 11) % 200 }

    private static let samplings = [
        SamplingOptions(logprobs: 2),
        SamplingOptions(temperature: 0.2, seed: 3),
        SamplingOptions(temperature: 0.4, topP: 0.5, seed: 4, repetitionPenalty: 1.05, frequencyPenalty: 0.01),
    ]

    private func options(_ sampling: SamplingOptions, speculates: Bool, tokens: Int = 120) -> GenerationOptions {
        GenerationOptions(
            sampling: sampling, maxTokens: tokens, ignoresEndOfSequence: true, reusesPrefix: false,
            speculates: speculates)
    }

    private func submit(_ cluster: TestCluster, _ options: GenerationOptions) async throws -> AsyncStream<JobEvent> {
        try await cluster.coordinator.submit(
            JobRequest(prompt: prompt, options: options, endsWithClient: false)
        ).1
    }

    private func tokens(_ events: AsyncStream<JobEvent>) async throws -> [ScoredToken] {
        var tokens: [ScoredToken] = []
        for await event in events {
            if case .failed(let problem) = event { throw problem }
            if case .token(let drawn, _, let top) = event { tokens.append(ScoredToken(drawn, top: top)) }
        }
        return tokens
    }

    private func steps(_ cluster: TestCluster) async -> UInt64 { await cluster.coordinator.status().steps }

    @Test(
        "the same tokens and log-probabilities with and without, in fewer steps",
        arguments: ["1x1", "2x1", "1x2", "2x2", "4x1", "1x4"])
    func same(layout: String) async throws {
        try await TestCluster.with(layout: layout) { cluster in
            for sampling in Self.samplings {
                var counts: [UInt64] = []
                var found: [[ScoredToken]] = []
                for speculates in [false, true] {
                    let before = await steps(cluster)
                    found.append(try await tokens(submit(cluster, options(sampling, speculates: speculates))))
                    counts.append(await steps(cluster) &- before)
                }
                #expect(found[0] == found[1] && found[0].count == 120)
                #expect(counts[1] <= counts[0], "\(counts) steps")
            }
        }
    }

    @Test("a text that repeats itself takes less than two thirds of the steps")
    func gain() async throws {
        try await TestCluster.with(layout: "1x2") { cluster in
            // Few tokens to choose from: the answer soon goes round in circles.
            let few = SamplingOptions(logitBias: [3: 100, 17: 100, 40: 100, 99: 100])
            var counts: [UInt64] = []
            for speculates in [false, true] {
                let before = await steps(cluster)
                _ = try await tokens(submit(cluster, options(few, speculates: speculates, tokens: 300)))
                counts.append(await steps(cluster) &- before)
            }
            #expect(counts[1] * 3 < counts[0] * 2, "\(counts) steps")
        }
    }

    @Test("one process says the same, with and without, and with sparse attention")
    func alone() throws {
        let generator = try Generator(Checkpoint.open(TestCluster.model.get()), kvTokens: 1024, threads: 1)
        for attention in AttentionMode.allCases {
            for sampling in Self.samplings {
                let found = try [false, true].map { speculates in
                    var tokens: [ScoredToken] = []
                    var options = options(sampling, speculates: speculates)
                    options.attention = attention
                    _ = try generator.generate(prompt, options: options, chunk: 512) {
                        tokens.append($0)
                        return true
                    }
                    return tokens
                }
                #expect(found[0] == found[1] && found[0].count == 120)
            }
        }
    }

    @Test("jobs in company, some of which guess, get what each gets alone", arguments: ["2x2", "1x1"])
    func company(layout: String) async throws {
        try await TestCluster.with(layout: layout, chunk: 64) { cluster in
            var alone: [[ScoredToken]] = []
            for sampling in Self.samplings {
                alone.append(try await tokens(submit(cluster, options(sampling, speculates: false))))
            }
            var streams: [(Int, AsyncStream<JobEvent>)] = []
            for round in 0..<2 {
                for (index, sampling) in Self.samplings.enumerated() {
                    streams.append(
                        (index, try await submit(cluster, options(sampling, speculates: round == 0 || index == 0))))
                }
            }
            for (index, stream) in streams { #expect(try await tokens(stream) == alone[index]) }
        }
    }

    @Test("an answer ends where it ends without guesses, and the next prompt goes on from its pages")
    func ends() async throws {
        try await TestCluster.with(layout: "1x2") { cluster in
            let all = try await tokens(submit(cluster, options(SamplingOptions(), speculates: false)))
            for place in [40, 77, 100] {
                let last = all[place].token.token
                var wanted = options(SamplingOptions(), speculates: true)
                wanted.stopTokenIDs = [last]
                let end = try #require(all.firstIndex { $0.token.token == last })
                #expect(try await tokens(submit(cluster, wanted)) == Array(all[...end]))
            }
            for limit in [1, 2, 3, 64, 65] {
                let wanted = options(SamplingOptions(), speculates: true, tokens: limit)
                #expect(try await tokens(submit(cluster, wanted)).map(\.token) == all.prefix(limit).map(\.token))
            }
            // A conversation that goes on: what was computed of the answer is found, guesses that were wrong are not.
            var first = options(SamplingOptions(), speculates: true, tokens: 90)
            first.reusesPrefix = true
            let answer = try await tokens(submit(cluster, first))
            let longer = prompt + answer.map(\.token.token) + [5, 6, 7]
            var found: [[TokenID]] = []
            for reuses in [true, false] {
                var wanted = first
                wanted.reusesPrefix = reuses
                let (_, stream) = try await cluster.coordinator.submit(
                    JobRequest(prompt: longer, options: wanted, endsWithClient: false))
                found.append(try await tokens(stream).map(\.token.token))
            }
            #expect(found[0] == found[1] && found[0].count == 90)
        }
    }

    /// A small model with a tokenizer.
    private static let wordy =
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
        .joined(separator: "/") + "/Golden/glm-hf-f32"

    /// What an answer says before the stop string that is complete first, the longest of those that end together.
    private static func cut(_ text: String, _ stops: [String]) -> String {
        let bytes = Array(text.utf8)
        for end in 1...bytes.count {
            let complete = stops.filter { bytes[..<end].suffix($0.utf8.count).elementsEqual($0.utf8) }
            guard let longest = complete.map(\.utf8.count).max() else { continue }
            return String(decoding: bytes[..<(end - longest)], as: UTF8.self)
        }
        return text
    }

    @Test(
        "stop strings that reach over guessed tokens end the answer where they do without guesses",
        arguments: ["1x1", "2x2"])
    func stops(layout: String) async throws {
        let tokenizer = try Tokenizer(folder: Self.wordy)
        // Tokens that are words of some letters each: the answer goes round in circles, so guesses are mostly right.
        let words = (0..<TokenID(tokenizer.vocabularySize)).filter { token in
            let bytes = tokenizer.textBytes(of: token)
            return (2...4).contains(bytes.count) && bytes.allSatisfy { (0x61...0x7A).contains($0) }
        }
        let bias = Dictionary(uniqueKeysWithValues: words.prefix(5).map { ($0, Float(100)) })
        try await TestCluster.with(layout: layout, model: Self.wordy, tokenizer: tokenizer) { cluster in
            func answer(_ stops: [String], speculates: Bool) async throws -> (JobState, streamed: String) {
                let wanted = GenerationOptions(
                    sampling: SamplingOptions(logitBias: bias), maxTokens: 200, stop: stops, ignoresEndOfSequence: true,
                    speculates: speculates)
                let (id, events) = try await cluster.coordinator.submit(
                    JobRequest(prompt: Array(prompt.prefix(40)), options: wanted, endsWithClient: false))
                var text = ""
                for await event in events {
                    switch event {
                    case .token(_, let piece, _), .finished(_, let piece, _, _): text += piece
                    default: break
                    }
                }
                return (try await cluster.coordinator.job(id), text)
            }
            let before = await steps(cluster)
            let (whole, _) = try await answer([], speculates: true)
            let (wholeSteps, count) = (await steps(cluster) - before, whole.tokens.count)
            #expect(count == 200 && wholeSteps < 150, "\(wholeSteps) steps: too few guesses for this test")
            let pieces = whole.tokens.map { String(decoding: tokenizer.textBytes(of: $0), as: UTF8.self) }
            #expect(pieces.joined() == whole.text)
            for place in stride(from: 5, to: 180, by: 7) {
                // From the middle of one token to the middle of another, and others beside it.
                let long = String(pieces[place..<place + 4].joined().dropFirst().dropLast())
                let short = String(pieces[place + 1..<place + 3].joined().dropFirst())
                for stops in [[long], ["\(long)QQ", short, long], [long, String(long.dropFirst(2)), "zzzzz"]] {
                    let expected = Self.cut(whole.text, stops)
                    let (plain, _) = try await answer(stops, speculates: false)
                    let (guessed, streamed) = try await answer(stops, speculates: true)
                    #expect(guessed.text == expected && plain.text == expected && streamed == expected, "\(stops)")
                    #expect(guessed.tokens == plain.tokens && guessed.finish == .stop && plain.finish == .stop)
                }
            }
        }
    }

    @Test("cancelled in the middle, a job gives its room back")
    func cancelled() async throws {
        try await TestCluster.with(layout: "2x1", kvTokens: 1024) { cluster in
            for _ in 0..<3 {
                let (id, stream) = try await cluster.coordinator.submit(
                    JobRequest(
                        prompt: prompt, options: options(SamplingOptions(), speculates: true, tokens: 800),
                        endsWithClient: false))
                var count = 0
                for await event in stream {
                    if case .token = event { count += 1 }
                    if count == 30 { try await cluster.coordinator.cancel(id) }
                }
                #expect(count >= 30 && count < 800)
            }
            #expect(try await tokens(submit(cluster, options(SamplingOptions(), speculates: true))).count == 120)
        }
    }
}
