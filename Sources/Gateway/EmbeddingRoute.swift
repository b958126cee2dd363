import Core
import FoundationEssentials
import Tokenization

/// `/v1/embeddings`: texts or tokens in, a vector for each.
///
/// GLM-4 was not trained to embed: a vector is the last layer's output behind the final norm, the mean over all tokens or
/// that of the last one, and the answer says which.
enum EmbeddingRoute {
    /// At most so many texts, as OpenAI has it.
    private static let inputLimit = 2048

    /// Reads the body.
    static func read(_ body: JSONValue, model: ServedModel) throws -> GenerationRequest {
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
        return GenerationRequest(
            prompts: prompts,
            options: GenerationOptions(embedding: pooling, priority: try SamplingFields.priority(fields)),
            streaming: .none, plan: AnswerBuilder.Plan(model: model, reader: ChatTemplate.plain.reader())
        ) { _ in
            EmbeddingShape(
                model: model.card.name, pooling: pooling, isBase64: encoding == "base64", isNormal: isNormal)
        }
    }
}

/// OpenAI's list of embeddings, which is never streamed.
struct EmbeddingShape: AnswerShape {
    let model: String
    let pooling: Embedding
    let isBase64: Bool
    let isNormal: Bool

    var endMark: String? { nil }
    func opening() -> [ServerEvent] { [] }
    func events(of delta: Delta) -> [ServerEvent] { [] }
    func closing(_ answer: Answer) -> [ServerEvent] { [ServerEvent(whole(answer))] }
    func failure(_ error: APIError) -> [ServerEvent] { [ServerEvent(error.json)] }

    func whole(_ answer: Answer) -> JSONValue {
        let data = answer.choices.enumerated().map { index, choice in
            let vector = isNormal ? Self.normal(choice.embedding) : choice.embedding
            return JSONValue.record([
                "object": .string("embedding"), "index": .integer(index),
                "embedding": isBase64
                    ? .string(Self.base64(vector)) : .array(vector.map { .real(Double($0)) }),
            ])
        }
        let usage = answer.usage
        return .record([
            "object": .string("list"), "data": .array(data), "model": .string(model),
            "pooling": .string(pooling.rawValue), "normalized": .bool(isNormal),
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
