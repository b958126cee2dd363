import Core
import Tokenization

/// `/v1/completions`: texts or tokens in, their continuations out.
enum CompletionRoute {
    /// At most so many choices, over all prompts: more than any client sends, and less than a job queue cannot bear.
    private static let choiceLimit = 2048

    /// Reads the body. `defaultMaxTokens` is OpenAI's 16 on its own route; jobs have no such limit.
    static func read(_ body: JSONValue, model: ServedModel, defaultMaxTokens: Int?) throws -> GenerationRequest {
        let fields = try Fields(body)
        try model.check(fields)
        let echoes = try fields.bool("echo") ?? false
        if let suffix = try fields.string("suffix"), !suffix.isEmpty {
            throw APIError.unsupported("suffix", "suffix: this model does not fill gaps; leave it out")
        }
        let logprobs = try fields.int("logprobs", in: 0...20)
        // Nothing may be generated where the prompt itself is the answer.
        let maxTokens = try fields.int("max_tokens", in: (echoes ? 0 : 1)...Int.max) ?? defaultMaxTokens
        var options = try SamplingFields.options(fields, model: model, maxTokens: maxTokens, logprobs: logprobs)
        options.grammar = try GrammarFields.grammar(fields)
        if echoes { options.promptLogprobs = logprobs ?? (maxTokens == 0 ? 0 : nil) }
        let copies = try SamplingFields.copies(fields)
        let streaming = try StreamFields(fields)
        let prompts = try prompts(fields, model: model)
        for (index, prompt) in prompts.enumerated() {
            try model.check(prompt, param: prompts.count == 1 ? "prompt" : "prompt[\(index)]")
        }
        guard prompts.count * copies <= choiceLimit else {
            throw APIError.field(
                "prompt", "prompt: \(prompts.count) prompts times n are more than \(choiceLimit) choices; send fewer")
        }
        let plan = AnswerBuilder.Plan(model: model, reader: ChatTemplate.plain.reader(), stops: options.stop)
        return GenerationRequest(
            prompts: prompts, copies: copies, options: options, streaming: streaming, plan: plan
        ) { [options] job in
            CompletionShape(
                head: model.head(id: "cmpl-\(job)", streaming: streaming, attention: options.attention), model: model,
                choices: prompts.count * copies,
                echo: echoes ? CompletionEcho(prompts, copies: copies, model: model) : nil,
                wantsLogprobs: logprobs != nil)
        }
    }

    /// One prompt or several, each text or tokens.
    private static func prompts(_ fields: Fields, model: ServedModel) throws -> [[TokenID]] {
        guard let value = fields.value("prompt") else {
            throw APIError.field("prompt", "prompt: missing; expected a string or an array of tokens", code: "missing")
        }
        return try TextInputs.read(value, param: "prompt", model: model)
    }
}

/// Texts and lists of tokens, as OpenAI's `prompt` and `input` hold them.
enum TextInputs {
    /// A string, an array of strings, an array of tokens, or an array of arrays of tokens.
    static func read(_ value: JSONValue, param: String, model: ServedModel) throws(APIError) -> [[TokenID]] {
        if let text = value.string { return [model.textPrompt(text)] }
        guard let elements = value.elements else {
            throw .field(
                param,
                "\(param): expected a string, an array of strings, or an array of tokens, found \(value.kindName)",
                code: "invalid_type")
        }
        guard !elements.isEmpty else { throw .field(param, "\(param): expected something, found an empty array") }
        guard elements.contains(where: { $0.whole == nil }) else {
            return [try tokens(elements, at: param, param: param, model: model)]
        }
        var inputs: [[TokenID]] = []
        for (index, element) in elements.enumerated() {
            if let text = element.string {
                inputs.append(model.textPrompt(text))
            } else if let list = element.elements {
                inputs.append(try tokens(list, at: "\(param)[\(index)]", param: param, model: model))
            } else {
                throw .field(
                    param,
                    "\(param)[\(index)]: expected a string, a token or an array of tokens, found \(element.kindName)",
                    code: "invalid_type")
            }
        }
        return inputs
    }

    /// An array of tokens of the model's vocabulary.
    static func tokens(
        _ elements: [JSONValue], at path: String, param: String, model: ServedModel
    ) throws(APIError) -> [TokenID] {
        var tokens: [TokenID] = []
        tokens.reserveCapacity(elements.count)
        for (index, element) in elements.enumerated() {
            guard let token = element.whole else {
                throw .field(
                    param, "\(path)[\(index)]: expected a token, found \(element.kindName)", code: "invalid_type")
            }
            guard (0..<model.card.vocabularySize).contains(token), let id = TokenID(exactly: token) else {
                throw .field(
                    param, "\(path)[\(index)]: token \(token) is not in the vocabulary of \(model.card.vocabularySize)")
            }
            tokens.append(id)
        }
        return tokens
    }
}
