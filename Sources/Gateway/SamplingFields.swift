import Core
import Tokenization

/// The fields of a request that say how tokens are drawn, the same for every route that generates.
enum SamplingFields {
    /// Reads them. `logprobs` is what the route made of its own fields of that name.
    ///
    /// Defaults are OpenAI's: temperature 1, the whole distribution, a new seed for every request.
    static func options(
        _ fields: Fields, maxTokens: Int?, logprobs: Int?
    ) throws(APIError) -> GenerationOptions {
        try refuseUnsupported(fields)
        let topP = try fields.number("top_p", in: 0...1) ?? 1
        guard topP > 0 else { throw .field("top_p", "top_p: expected a number above 0, up to 1, found 0") }
        let seed = try fields.int("seed").map { UInt64(bitPattern: Int64($0)) }
        let sampling = SamplingOptions(
            temperature: Float(try fields.number("temperature", in: 0...2) ?? 1), topP: Float(topP),
            // -1 is how other servers spell "all".
            topK: max(try fields.int("top_k", in: -1...Int(Int32.max)) ?? 0, 0),
            seed: seed ?? UInt64.random(in: 0...UInt64.max), logprobs: logprobs,
            minP: Float(try fields.number("min_p", in: 0...1) ?? 0),
            repetitionPenalty: try repetitionPenalty(fields),
            presencePenalty: Float(try fields.number("presence_penalty", in: -2...2) ?? 0),
            frequencyPenalty: Float(try fields.number("frequency_penalty", in: -2...2) ?? 0),
            logitBias: try logitBias(fields))
        return GenerationOptions(
            sampling: sampling, maxTokens: maxTokens, stop: try stop(fields),
            ignoresEndOfSequence: try fields.bool("ignore_eos") ?? false,
            reusesPrefix: try fields.bool("cache_prompt") ?? true, attention: try attention(fields),
            stopTokenIDs: try stopTokens(fields),
            minTokens: try fields.int("min_tokens", in: 0...Int(Int32.max)) ?? 0,
            speculates: try fields.bool("speculate") ?? true)
    }

    private static func repetitionPenalty(_ fields: Fields) throws(APIError) -> Float {
        let penalty = try fields.number("repetition_penalty", in: 0...1e6) ?? 1
        guard penalty > 0 else {
            throw .field("repetition_penalty", "repetition_penalty: expected a number above 0, found 0")
        }
        return Float(penalty)
    }

    /// An object of token ids, as strings, and numbers.
    private static func logitBias(_ fields: Fields) throws(APIError) -> [TokenID: Float] {
        guard let object = try fields.object("logit_bias") else { return [:] }
        var biases: [TokenID: Float] = [:]
        for member in fields.value("logit_bias")?.members ?? [] {
            guard let token = TokenID(member.key), token >= 0 else {
                throw .field("logit_bias", "logit_bias: expected token ids as names, found \(member.key.prefix(40))")
            }
            biases[token] = Float(try object.number(member.key, in: -100...100) ?? 0)
        }
        return biases
    }

    private static func stopTokens(_ fields: Fields) throws(APIError) -> [TokenID] {
        guard let value = fields.value("stop_token_ids") else { return [] }
        guard let elements = value.elements else {
            throw fields.wrong("stop_token_ids", "an array of token ids", value)
        }
        var tokens: [TokenID] = []
        for (index, element) in elements.enumerated() {
            guard let number = element.integer, let token = TokenID(exactly: number), token >= 0 else {
                throw .field(
                    "stop_token_ids", "stop_token_ids[\(index)]: expected a token id, found \(element.kindName)",
                    code: "invalid_type")
            }
            tokens.append(token)
        }
        return tokens
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
    private static func stop(_ fields: Fields) throws(APIError) -> [String] {
        guard let value = fields.value("stop") else { return [] }
        if let text = value.string { return text.isEmpty ? [] : [text] }
        guard let elements = value.elements else {
            throw fields.wrong("stop", "a string or an array of strings", value)
        }
        guard elements.count <= 16 else {
            throw .field("stop", "stop: at most 16 strings are possible, found \(elements.count)")
        }
        var stops: [String] = []
        for (index, element) in elements.enumerated() {
            guard let text = element.string else {
                throw .field(
                    "stop", "stop[\(index)]: expected a string, found \(element.kindName)", code: "invalid_type")
            }
            guard !text.isEmpty else {
                throw .field("stop", "stop[\(index)]: expected some text, found an empty string")
            }
            stops.append(text)
        }
        return stops
    }

    /// Fields that would change the answer, had they been obeyed: to ignore them would be a wrong answer.
    private static func refuseUnsupported(_ fields: Fields) throws(APIError) {
        for key in ["n", "best_of"] {
            guard let count = try fields.int(key, in: 1...128), count != 1 else { continue }
            throw .unsupported(key, "\(key): only 1 is supported, found \(count); send several requests")
        }
        if let format = try fields.object("response_format"), let type = try format.string("type"), type != "text" {
            throw .unsupported("response_format", "response_format: only text is supported, found \(type)")
        }
    }
}
