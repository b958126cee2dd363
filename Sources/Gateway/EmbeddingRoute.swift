import Core
import FoundationEssentials
import Hummingbird
import Tokenization

/// `/v1/embeddings`: texts or tokens in, a vector for each.
///
/// GLM-4 was not trained to embed: a vector is the last layer's output behind the final norm, the mean over all tokens or
/// that of the last one, and the answer says which.
struct EmbeddingRoute: Sendable {
    let generation: Generation

    /// A request that was read.
    private struct Wishes: Sendable {
        var prompts: [[TokenID]]
        var options: GenerationOptions
        var isBase64: Bool
        var isNormal: Bool
        var plan: AnswerBuilder.Plan
    }

    /// At most so many texts, as OpenAI has it.
    private static let inputLimit = 2048

    func add(to router: Router<BasicRequestContext>) {
        router.post("/v1/embeddings") { request, _ in try await answer(request) }
    }

    private func answer(_ request: Request) async throws -> Response {
        var request = request
        let bytes = try await generation.body(of: &request)
        let body = request.body
        let wishes = try await generation.read(bytes) { try Self.read($0, model: $1) }
        let group = try await JobGroup(
            wishes.prompts.map { JobRequest(prompt: $0, options: wishes.options, endsWithClient: true) }, copies: 1,
            service: generation.service)
        let builder = AnswerBuilder(choices: wishes.prompts.count, copies: 1, plan: wishes.plan, keepsTokens: false)
        var response = try await body.consumeWithCancellationOnInboundClose { _ in
            Response(json: Self.json(try await group.answer(builder), wishes))
        }
        response.headers[.connection] = "close"
        return response
    }

    private static func read(_ body: JSONValue, model: ServedModel) throws -> Wishes {
        let fields = try Fields(body)
        try model.check(fields)
        guard let input = fields.value("input") else {
            throw APIError.field("input", "input: missing; expected texts or tokens", code: "missing")
        }
        if let dimensions = fields.value("dimensions") {
            throw APIError.unsupported(
                "dimensions",
                "dimensions: vectors have the model's own length, found \(dimensions.kindName); leave it out")
        }
        let encoding = try fields.string("encoding_format") ?? "float"
        guard encoding == "float" || encoding == "base64" else {
            throw APIError.field("encoding_format", "encoding_format: expected float or base64, found \(encoding)")
        }
        let name = try fields.string("pooling") ?? Embedding.mean.rawValue
        guard let pooling = Embedding(rawValue: name) else {
            throw APIError.field("pooling", "pooling: expected mean or last, found \(name)")
        }
        let isNormal = try fields.bool("normalize") ?? true
        let prompts = try TextInputs.read(input, param: "input", model: model)
        guard prompts.count <= inputLimit else {
            throw APIError.field("input", "input: at most \(inputLimit) texts are possible, found \(prompts.count)")
        }
        for prompt in prompts { try model.check(prompt, param: "input") }
        return Wishes(
            prompts: prompts, options: GenerationOptions(embedding: pooling), isBase64: encoding == "base64",
            isNormal: isNormal, plan: AnswerBuilder.Plan(model: model, reader: ChatTemplate.plain.reader()))
    }

    private static func json(_ answer: Answer, _ wishes: Wishes) -> JSONValue {
        let data = answer.choices.enumerated().map { index, choice in
            let vector = wishes.isNormal ? normal(choice.embedding) : choice.embedding
            return JSONValue.record([
                "object": .string("embedding"), "index": .integer(index),
                "embedding": wishes.isBase64
                    ? .string(base64(vector)) : .array(vector.map { .real(Double($0)) }),
            ])
        }
        let usage = answer.usage
        return .record([
            "object": .string("list"), "data": .array(data), "model": .string(wishes.plan.model.card.name),
            "pooling": .optional(wishes.options.embedding?.rawValue), "normalized": .bool(wishes.isNormal),
            "usage": .record([
                "prompt_tokens": .integer(usage.promptTokens), "total_tokens": .integer(usage.promptTokens),
            ]),
        ])
    }

    /// The vector with length 1, as OpenAI's are.
    private static func normal(_ vector: [Float]) -> [Float] {
        let length = vector.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
        return length > 0 ? vector.map { Float(Double($0) / length) } : vector
    }

    /// Little-endian 32-bit floats in base64.
    private static func base64(_ vector: [Float]) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(4 * vector.count)
        for value in vector {
            withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
        }
        return Data(bytes).base64EncodedString()
    }
}
