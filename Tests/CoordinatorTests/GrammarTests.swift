import Checkpoint
import Core
import Testing
import Tokenization

@testable import Coordinator

/// Answers of a real model that has learnt nothing, held to a form, on clusters of several shapes.
@Suite("Grammars", .serialized)
struct GrammarTests {
    /// A small model with a tokenizer.
    private static let model =
        #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2)
        .joined(separator: "/") + "/Golden/glm-hf-f32"

    private static let schema = ##"""
        {"type":"object","properties":{"name":{"type":"string","maxLength":6},"age":{"type":"integer","minimum":18,"maximum":99},
        "tags":{"type":"array","items":{"enum":["a","bé"]},"maxItems":3},"next":{"anyOf":[{"$ref":"#"},{"type":"null"}]}},
        "required":["name","age","next"],"additionalProperties":false}
        """##

    private func answer(
        _ cluster: TestCluster, _ grammar: AnswerGrammar, seed: UInt64 = 0, temperature: Float = 1,
        ignoring: Bool = false,
        minTokens: Int = 0, tokens: Int = 400, speculates: Bool = true
    ) async throws -> (text: String, tokens: [TokenID], finish: FinishReason?) {
        let request = JobRequest(
            prompt: [1, 2, 3],
            options: GenerationOptions(
                sampling: SamplingOptions(temperature: temperature, seed: seed), maxTokens: tokens,
                ignoresEndOfSequence: ignoring, minTokens: minTokens, grammar: grammar,
                speculates: speculates), endsWithClient: false)
        let (id, stream) = try await cluster.coordinator.submit(request)
        for await event in stream { if case .failed(let problem) = event { throw problem } }
        let state = try await cluster.coordinator.job(id)
        return (state.text, state.tokens, state.finish)
    }

    private func with<Result>(
        _ layout: String, _ body: (TestCluster) async throws -> Result
    ) async throws -> Result {
        try await TestCluster.with(
            layout: layout, model: Self.model, tokenizer: try Tokenizer(folder: Self.model), body)
    }

    @Test("answers conform, and are the same on every layout, whether next tokens are guessed or not")
    func conforms() async throws {
        let grammar = AnswerGrammar(.jsonSchema, Self.schema)
        var expected: [String] = []
        for (layout, speculates) in [("1x1", false), ("1x1", true), ("2x1", true), ("1x2", true)] {
            let texts = try await with(layout) { cluster in
                var texts: [String] = []
                for seed in 0..<6 as Range<UInt64> {
                    let (text, _, finish) = try await answer(
                        cluster, grammar, seed: seed, ignoring: seed % 2 == 1,
                        speculates: speculates)
                    texts.append(text)
                    guard finish == .stop else { continue }
                    let value = try JSONValue(parsing: text, source: text)
                    #expect((18...99).contains(value["age"]?.integer ?? 0), "\(text)")
                    #expect((value["name"]?.string?.unicodeScalars.count ?? 9) <= 6, "\(text)")
                    #expect(value["next"] != nil, "\(text)")
                }
                return texts
            }
            #expect(texts.contains { $0.hasSuffix("}") })
            if expected.isEmpty { expected = texts } else { #expect(texts == expected) }
        }
    }

    @Test("an answer ends by itself where nothing can follow, and not before it may")
    func ends() async throws {
        try await with("1x2") { cluster in
            let choice = AnswerGrammar.choice(of: ["ja", "nein"])
            for seed in 0..<4 as Range<UInt64> {
                let (text, _, finish) = try await answer(cluster, choice, seed: seed, minTokens: 200)
                #expect(["ja", "nein"].contains(text) && finish == .stop)
            }
            let (digits, _, finish) = try await answer(cluster, AnswerGrammar(.regex, "[0-9]{3,}"), tokens: 5)
            #expect(digits.count >= 3 && digits.allSatisfy(\.isNumber) && (finish == .length || finish == .stop))
            // What may end and go on goes on where its end is held back.
            let held = try await answer(cluster, AnswerGrammar(.regex, "[xy]*"), minTokens: 7, tokens: 9)
            #expect(held.tokens.count >= 7 && held.text.allSatisfy { $0 == "x" || $0 == "y" })
        }
    }

    @Test(
        "calls follow each other in turns of their own, or in lines, each with arguments of its function's",
        arguments: AnswerGrammar.Link.allCases)
    func calls(link: AnswerGrammar.Link) async throws {
        let calls = ["add", "say"].map { name in
            AnswerGrammar.Alternative(
                lead: "\(name)\n", notation: .jsonSchema,
                rule:
                    #"{"type":"object","properties":{"\#(name)":{"type":"integer","maximum":99,"minimum":10}},"required":["\#(name)"]}"#,
                continues: true)
        }
        let tokenizer = try Tokenizer(folder: Self.model)
        let turn = try #require(tokenizer.specials["<|assistant|>"])
        try await with("1x2") { cluster in
            var most = 0
            for seed in 0..<12 as Range<UInt64> {
                let grammar = AnswerGrammar(calls, sequel: .init(link: link, alternatives: calls))
                let (text, tokens, finish) = try await answer(
                    cluster, grammar, seed: seed, minTokens: 30, tokens: 200)
                guard finish == .stop else { continue }
                let template: ChatTemplate = link == .turn ? .glm4Chat : .glm40414
                let tools = try ["add", "say"].map {
                    try JSONValue(parsing: #"{"type":"function","function":{"name":"\#($0)"}}"#, source: "a tool")
                }
                var reader = template.reader(tools: tools)
                var parts: [AnswerPart] = []
                for token in tokens {
                    parts +=
                        token == turn
                        ? reader.turn() : reader.next(String(decoding: tokenizer.textBytes(of: token), as: UTF8.self))
                }
                parts += reader.finish()
                var made: [(name: String, arguments: String)] = []
                for part in parts {
                    switch part {
                    case .call(let name): made.append((name, ""))
                    case .arguments(let piece): made[made.count - 1].arguments += piece
                    case .text(let said): Issue.record("'\(said)' is no call: \(text)")
                    }
                }
                for call in made {
                    let value = try JSONValue(parsing: call.arguments, source: text)
                    #expect((10...99).contains(value[call.name]?.integer ?? 0), "\(text)")
                }
                #expect(tokens.contains(turn) == (link == .turn && made.count > 1))
                most = max(most, made.count)
            }
            #expect(most > 1, "no answer made several calls")
        }
    }

    @Test("a grammar that cannot be obeyed is refused")
    func refused() async throws {
        try await with("1x1") { cluster in
            for grammar in [
                AnswerGrammar(.regex, "("), AnswerGrammar(.jsonSchema, #"{"not":{}}"#), AnswerGrammar([]),
            ] {
                await #expect(throws: Problem.self) { _ = try await answer(cluster, grammar) }
            }
            #expect(await cluster.coordinator.jobs().isEmpty)
        }
        _ = try await TestCluster.with(layout: "1x1") { cluster in
            await #expect(throws: Problem.self) { _ = try await answer(cluster, .jsonObject) }
        }
    }
}
