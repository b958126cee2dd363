import Core
import Tokenization

/// `/v1/completions`: a text or tokens in, their continuation out.
enum CompletionRoute {
    /// Reads the body. `defaultMaxTokens` is OpenAI's 16 on its own route; jobs have no such limit.
    static func read(_ body: JSONValue, model: ServedModel, defaultMaxTokens: Int?) throws -> GenerationRequest {
        let fields = try Fields(body)
        try model.check(fields)
        if try fields.bool("echo") == true { throw APIError.unsupported("echo", "echo: not supported; leave it out") }
        if let suffix = try fields.string("suffix"), !suffix.isEmpty {
            throw APIError.unsupported("suffix", "suffix: this model does not fill gaps; leave it out")
        }
        let logprobs = try fields.int("logprobs", in: 0...20)
        let maxTokens = try fields.int("max_tokens", in: 1...Int.max) ?? defaultMaxTokens
        let options = try SamplingFields.options(fields, maxTokens: maxTokens, logprobs: logprobs)
            .held(to: try GrammarFields.grammar(fields))
        let streaming = try StreamFields(fields)
        let prompt = try prompt(fields, model: model)
        try model.check(prompt, param: "prompt")
        return GenerationRequest(prompt: prompt, options: options, streaming: streaming) { job in
            CompletionShape(
                head: model.head(id: "cmpl-\(job)", streaming: streaming, attention: options.attention), model: model,
                wantsLogprobs: logprobs != nil)
        }
    }

    private static func prompt(_ fields: Fields, model: ServedModel) throws -> [TokenID] {
        guard let value = fields.value("prompt") else {
            throw APIError.field("prompt", "prompt: missing; expected a string or an array of tokens", code: "missing")
        }
        if let text = value.string { return model.textPrompt(text) }
        guard let elements = value.elements else {
            throw fields.wrong("prompt", "a string or an array of tokens", value)
        }
        // An array of one prompt is what some clients make of a single one.
        if elements.count == 1, let text = elements.first?.string { return model.textPrompt(text) }
        let tokens = elements.count == 1 ? elements.first?.elements ?? elements : elements
        return try tokens.enumerated().map { index, element in
            guard element.string == nil, element.elements == nil else {
                throw APIError.unsupported("prompt", "prompt: only one prompt is supported; send a request for each")
            }
            guard let token = element.integer else {
                throw APIError.field(
                    "prompt", "prompt[\(index)]: expected a token, found \(element.kindName)", code: "invalid_type")
            }
            guard (0..<model.card.vocabularySize).contains(token), let id = TokenID(exactly: token) else {
                throw APIError.field(
                    "prompt",
                    "prompt[\(index)]: token \(token) is not in the vocabulary of \(model.card.vocabularySize)")
            }
            return id
        }
    }
}

/// OpenAI's `text_completion`, whole and in pieces.
struct CompletionShape: AnswerShape {
    let head: AnswerHead
    let model: ServedModel
    let wantsLogprobs: Bool
    private var offset = 0

    init(head: AnswerHead, model: ServedModel, wantsLogprobs: Bool) {
        self.head = head
        self.model = model
        self.wantsLogprobs = wantsLogprobs
    }

    func opening() -> JSONValue? { nil }
    func visible(_ text: String) -> String { text }

    mutating func piece(_ text: String, token: AnswerToken?) -> JSONValue? {
        let logprobs = wantsLogprobs ? token.flatMap { self.logprobs([$0], from: offset) } : nil
        offset += text.unicodeScalars.count
        guard !text.isEmpty || logprobs != nil else { return nil }
        return chunk(text: text, logprobs: logprobs)
    }

    func closing(_ answer: Answer) -> JSONValue {
        chunk(text: "", finish: answer.finishJSON, timings: answer.timingsJSON)
    }

    func usage(_ answer: Answer) -> JSONValue {
        head.object("text_completion", choices: [], usage: answer.usageJSON)
    }

    func whole(_ answer: Answer) -> JSONValue {
        head.object(
            "text_completion",
            choices: [
                .record([
                    "index": .integer(0), "text": .string(answer.text),
                    "logprobs": wantsLogprobs ? logprobs(answer.tokens, from: 0) ?? .null : .null,
                    "finish_reason": answer.finishJSON,
                ])
            ], usage: answer.usageJSON, timings: answer.timingsJSON)
    }

    private func chunk(
        text: String, logprobs: JSONValue? = nil, finish: JSONValue = .null, timings: JSONValue? = nil
    ) -> JSONValue {
        head.object(
            "text_completion",
            choices: [
                .record([
                    "index": .integer(0), "text": .string(text), "logprobs": logprobs ?? .null, "finish_reason": finish,
                ])
            ], usage: head.announcesUsage ? .null : nil, timings: timings)
    }

    /// The columns of the log-probabilities; offsets count Unicode scalars, as Python's strings do.
    private func logprobs(_ all: [AnswerToken], from start: Int) -> JSONValue? {
        let tokens = all.filter { !model.isSpecial($0.drawn.token) }
        guard !tokens.isEmpty else { return nil }
        var offset = start
        var offsets: [JSONValue] = []
        for token in tokens {
            offsets.append(.integer(offset))
            offset += token.text.unicodeScalars.count
        }
        return .record([
            "tokens": .array(tokens.map { .string(model.text(of: $0.drawn.token)) }),
            "token_logprobs": .array(tokens.map(\.drawn.logprobJSON)),
            "top_logprobs": .array(
                tokens.map { token in
                    var seen: Set<String> = []
                    return .record(
                        token.top.map { (model.text(of: $0.token), $0.logprobJSON) }.filter {
                            seen.insert($0.0).inserted
                        })
                }), "text_offset": .array(offsets),
        ])
    }
}
