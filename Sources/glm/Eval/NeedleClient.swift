import Core
import FoundationEssentials

/// Asks a gateway for facts, through the same API that everybody uses.
struct NeedleClient {
    private let http: HTTPClient

    /// A client of the gateway at `gateway`.
    init(gateway: String) throws {
        http = try HTTPClient(url: gateway)
    }

    /// The name of the model that is served.
    func modelName() async throws -> String {
        struct Models: Decodable {
            struct Model: Decodable { var id: String }
            var data: [Model]
        }
        let models = try read(Models.self, from: try await http.send(.GET, "/v1/models"))
        guard let model = models.data.first else {
            throw Problem.unavailable("the gateway serves no model yet; see glm status")
        }
        return model.id
    }

    /// How many bytes of prose make a token: each tokenizer has its own ratio, and lengths are asked for in tokens.
    func bytesPerToken(seed: UInt64) async throws -> Double {
        let sample = Haystack.plain(byteCount: 2048, seed: seed)
        let reply = try await complete(sample, maxTokens: 1)
        return Double(sample.utf8.count) / Double(max(1, reply.usage.prompt_tokens))
    }

    /// One question about one text, and whether the answer is right.
    func ask(for needle: Needle, in haystack: Haystack, length: Int) async throws -> NeedleReport.Cell {
        let start = ContinuousClock.now
        let reply = try await complete(haystack.text + needle.question, maxTokens: 8)
        let answer = reply.choices.first?.message.content ?? ""
        return NeedleReport.Cell(
            length: length, promptTokens: reply.usage.prompt_tokens, depth: needle.depth, key: needle.key,
            expected: needle.value, answer: answer, found: needle.isAnswered(by: answer),
            seconds: start.duration(to: .now) / .seconds(1))
    }

    private struct Request: Encodable {
        struct Message: Encodable {
            var role: String
            var content: String
        }
        var messages: [Message]
        var temperature: Double
        var max_tokens: Int
    }

    private struct Reply: Decodable {
        struct Choice: Decodable {
            struct Message: Decodable { var content: String? }
            var message: Message
        }
        struct Usage: Decodable { var prompt_tokens: Int }
        var choices: [Choice]
        var usage: Usage
    }

    private func complete(_ text: String, maxTokens: Int) async throws -> Reply {
        let request = Request(
            messages: [.init(role: "user", content: text)], temperature: 0, max_tokens: maxTokens)
        let body = String(decoding: try JSONEncoder().encode(request), as: UTF8.self)
        return try read(Reply.self, from: try await http.send(.POST, "/v1/chat/completions", body: body))
    }

    private func read<Value: Decodable>(_ type: Value.Type, from answer: HTTPClient.Answer) throws -> Value {
        struct Refusal: Decodable {
            struct Reason: Decodable { var message: String }
            var error: Reason
        }
        let data = Data(answer.body.utf8)
        guard answer.status == 200 else {
            let reason = (try? JSONDecoder().decode(Refusal.self, from: data))?.error.message
            throw Problem.failed("the gateway at \(http.url) answered \(answer.status): \(reason ?? "no reason given")")
        }
        do {
            return try JSONDecoder().decode(type, from: data)
        } catch {
            throw Problem.failed("\(http.url) answered with something else than OpenAI's shapes; is it a glm gateway?")
        }
    }
}
