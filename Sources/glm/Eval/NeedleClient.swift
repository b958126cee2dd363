import Core
import NIOHTTP1
import Tokenization

/// Asks a gateway for facts, through the same API that everybody uses.
struct NeedleClient {
    /// The gateway.
    let gateway: GatewayClient
    /// Which keys the model attends to.
    let attention: AttentionMode

    /// The name of the model that is served.
    func modelName() async throws -> String {
        let models = try await gateway.json(.GET, "/v1/models")
        guard let name = models["data"]?.elements?.first?["id"]?.string else {
            throw Problem.unavailable("the gateway serves no model yet; see glm status")
        }
        return name
    }

    /// How many bytes of prose make a token: each tokenizer has its own ratio, and lengths are asked for in tokens.
    func bytesPerToken(seed: UInt64) async throws -> Double {
        let sample = Haystack.plain(byteCount: 2048, seed: seed)
        let reply = try await complete(sample, maxTokens: 1)
        return Double(sample.utf8.count) / Double(max(1, reply.promptTokens))
    }

    /// One question about one text, and whether the answer is right.
    func ask(for needle: Needle, in haystack: Haystack, length: Int) async throws -> NeedleReport.Cell {
        let start = ContinuousClock.now
        let reply = try await complete(haystack.text + needle.question, maxTokens: 8)
        return NeedleReport.Cell(
            length: length, promptTokens: reply.promptTokens, depth: needle.depth, key: needle.key,
            expected: needle.value, answer: reply.text, found: needle.isAnswered(by: reply.text),
            seconds: start.duration(to: .now) / .seconds(1))
    }

    private func complete(_ text: String, maxTokens: Int) async throws -> (text: String, promptTokens: Int) {
        let body = JSONValue.object([
            .init("messages", .array([chatTurn("user", text)])), .init("temperature", .integer(0)),
            .init("max_tokens", .integer(maxTokens)), .init("attention", .string(attention.rawValue)),
        ])
        let reply = try await gateway.json(.POST, "/v1/chat/completions", body: body)
        guard let answer = reply["choices"]?.elements?.first?["message"],
            let promptTokens = reply["usage"]?["prompt_tokens"]?.integer
        else { throw gateway.notOurs }
        return (answer["content"]?.string ?? "", promptTokens)
    }
}
