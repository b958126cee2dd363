import Core
import NIOHTTP1
import Tokenization

/// Asks a gateway for facts, through the same API that everybody uses.
struct NeedleClient {
    /// The gateway.
    let gateway: GatewayClient
    /// What is said while a long text is read.
    let label: String
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
            length: length, promptTokens: reply.promptTokens, cachedTokens: reply.cachedTokens, depth: needle.depth,
            key: needle.key, expected: needle.value, answer: reply.text, found: needle.isAnswered(by: reply.text),
            seconds: start.duration(to: .now) / .seconds(1))
    }

    /// What the workers took, as the cluster counts it.
    func workers() async throws -> (layout: String, workers: [NeedleReport.Worker]) {
        let status = try await gateway.json(.GET, "/v1/status")
        let workers = (status["members"]?.elements ?? []).map { member in
            NeedleReport.Worker(
                worker: member["worker"]?.string ?? "?",
                kvPoolBytes: member["kv"]?["capacity_bytes"]?.integer ?? 0,
                kvUsedBytes: member["kv"]?["used_bytes"]?.integer ?? 0,
                peakMemoryBytes: member["peak_memory_bytes"]?.integer ?? 0,
                bytesSent: member["bytes_sent"]?.integer ?? 0, busy: member["busy"]?.double ?? 0)
        }
        return (status["layout"]?.string ?? "", workers)
    }

    /// As a job, whose events say how far a long text has been read.
    private func complete(
        _ text: String, maxTokens: Int
    ) async throws -> (text: String, promptTokens: Int, cachedTokens: Int) {
        let body = JSONValue.object([
            .init("messages", .array([chatTurn("user", text)])), .init("temperature", .integer(0)),
            .init("max_tokens", .integer(maxTokens)), .init("attention", .string(attention.rawValue)),
        ])
        let job = try await gateway.submit(body)
        var follower = JobFollower(client: gateway, job: job, writesText: false, isChat: true, label: label)
        let answer = try await follower.follow()
        guard let promptTokens = answer["usage"]?["prompt_tokens"]?.integer else { throw gateway.notOurs }
        let cached = answer["usage"]?["prompt_tokens_details"]?["cached_tokens"]?.integer ?? 0
        return (answer["text"]?.string ?? "", promptTokens, cached)
    }
}
