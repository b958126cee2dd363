import Core
import Tokenization

/// The fields of a request that say how tokens are drawn, the same for every route that generates.
enum SamplingFields {
    /// Reads them. `logprobs` is what the route made of its own fields of that name.
    ///
    /// Defaults are OpenAI's: temperature 1, the whole distribution, a new seed for every request.
    static func options(
        _ fields: Fields, model: ServedModel, maxTokens: Int?, logprobs: Int?, stopKey: String = "stop"
    ) throws(APIError) -> GenerationOptions {
        let topP = try fields.number("top_p", in: 0...1) ?? 1
        guard topP > 0 else { throw .field("top_p", "top_p: expected a number above 0, up to 1, found 0") }
        let penalty = try fields.number("repetition_penalty", in: 0...100) ?? 1
        guard penalty > 0 else {
            throw .field("repetition_penalty", "repetition_penalty: expected a number above 0, found 0")
        }
        let seed = try fields.int("seed").map { UInt64(bitPattern: Int64($0)) }
        let sampling = SamplingOptions(
            temperature: Float(try fields.number("temperature", in: 0...2) ?? 1), topP: positive(topP),
            // -1 is how other servers spell "all".
            topK: max(try fields.int("top_k", in: -1...Int(Int32.max)) ?? 0, 0),
            seed: seed ?? UInt64.random(in: 0...UInt64.max), logprobs: logprobs,
            minP: Float(try fields.number("min_p", in: 0...1) ?? 0), repetitionPenalty: positive(penalty),
            presencePenalty: Float(try fields.number("presence_penalty", in: -2...2) ?? 0),
            frequencyPenalty: Float(try fields.number("frequency_penalty", in: -2...2) ?? 0),
            logitBias: try logitBias(fields, model))
        let minTokens = try fields.int("min_tokens", in: 0...Int(Int32.max)) ?? 0
        if let maxTokens, minTokens > maxTokens {
            throw .field("min_tokens", "min_tokens: \(minTokens) is more than the limit of \(maxTokens) tokens")
        }
        return GenerationOptions(
            sampling: sampling, maxTokens: maxTokens, stop: try stop(fields, stopKey),
            ignoresEndOfSequence: try fields.bool("ignore_eos") ?? false,
            reusesPrefix: try fields.bool("cache_prompt") ?? true, attention: try attention(fields),
            stopTokenIDs: try stopTokens(fields, model), minTokens: minTokens,
            speculates: try fields.bool("speculate") ?? true, priority: try priority(fields))
    }

    /// A number above 0 that is no 0 as a float either.
    private static func positive(_ number: Double) -> Float { max(Float(number), .leastNormalMagnitude) }

    /// How many answers are wanted to each prompt.
    ///
    /// `best_of` would generate more and show the likeliest; it is refused unless it asks for what `n` asks for.
    static func copies(_ fields: Fields) throws(APIError) -> Int {
        let copies = try fields.int("n", in: 1...128) ?? 1
        guard let best = try fields.int("best_of", in: 1...128), best != copies else { return copies }
        throw .unsupported(
            "best_of", "best_of: not supported, found \(best) with n \(copies); leave it out, or make it the same as n")
    }

    /// Whose turn it is; the lowest number's.
    static func priority(_ fields: Fields) throws(APIError) -> Int {
        try fields.int("priority", in: GenerationOptions.priorities) ?? 0
    }

    /// Which keys the tokens attend to.
    private static func attention(_ fields: Fields) throws(APIError) -> AttentionMode {
        guard let name = try fields.string("attention") else { return .exact }
        guard let mode = AttentionMode(rawValue: name) else {
            throw .field("attention", "attention: expected exact or sparse, found \(name)")
        }
        return mode
    }

    /// One string or a list of strings that end the answer.
    private static func stop(_ fields: Fields, _ key: String) throws(APIError) -> [String] {
        guard let value = fields.value(key) else { return [] }
        if let text = value.string { return text.isEmpty ? [] : [text] }
        guard let elements = value.elements else {
            throw fields.wrong(key, "a string or an array of strings", value)
        }
        guard elements.count <= 16 else {
            throw .field(key, "\(key): at most 16 strings are possible, found \(elements.count)")
        }
        var stops: [String] = []
        for (index, element) in elements.enumerated() {
            guard let text = element.string else {
                throw .field(
                    key, "\(key)[\(index)]: expected a string, found \(element.kindName)", code: "invalid_type")
            }
            guard !text.isEmpty else {
                throw .field(key, "\(key)[\(index)]: expected some text, found an empty string")
            }
            stops.append(text)
        }
        return stops
    }

    /// Tokens that end the answer besides the model's own.
    private static func stopTokens(_ fields: Fields, _ model: ServedModel) throws(APIError) -> [TokenID] {
        let key = "stop_token_ids"
        return try TextInputs.tokens(try fields.array(key) ?? [], at: key, param: key, model: model)
    }

    /// What is added to the logits of some tokens, by their numbers.
    private static func logitBias(_ fields: Fields, _ model: ServedModel) throws(APIError) -> [TokenID: Float] {
        guard let value = fields.value("logit_bias") else { return [:] }
        guard let members = value.members else {
            throw fields.wrong("logit_bias", "an object from tokens to numbers", value)
        }
        var bias: [TokenID: Float] = [:]
        for member in members {
            guard let token = TokenID(member.key), (0..<model.card.vocabularySize).contains(Int(token)) else {
                throw .field(
                    "logit_bias",
                    "logit_bias: expected tokens below \(model.card.vocabularySize) as keys, "
                        + "found \"\(member.key.prefix(20))\"")
            }
            guard let amount = member.value.double else {
                throw .field(
                    "logit_bias", "logit_bias.\(token): expected a number, found \(member.value.kindName)",
                    code: "invalid_type")
            }
            guard (-100...100).contains(amount) else {
                throw .field("logit_bias", "logit_bias.\(token): expected a number from -100 to 100, found \(amount)")
            }
            bias[token] = Float(amount)
        }
        return bias
    }
}
