import Core
import Tokenization

/// `/v1/chat/completions`: messages in, the assistant's next message out.
enum ChatRoute {
    /// Reads the body; the prompt is the messages in the model's template.
    static func read(_ body: JSONValue, model: ServedModel) throws -> GenerationRequest {
        let fields = try Fields(body)
        try model.check(fields)
        let wantsLogprobs = try fields.bool("logprobs") ?? false
        let top = try fields.int("top_logprobs", in: 0...20)
        guard top == nil || wantsLogprobs else {
            throw APIError.field("top_logprobs", "top_logprobs: needs logprobs to be true")
        }
        // The newer name wins; both mean the same here, where nothing is thought in secret.
        let maxTokens =
            try fields.int("max_completion_tokens", in: 1...Int.max) ?? fields.int("max_tokens", in: 1...Int.max)
        let options = try SamplingFields.options(
            fields, maxTokens: maxTokens, logprobs: wantsLogprobs ? top ?? 0 : nil
        ).held(to: try GrammarFields.grammar(fields)?.led(by: model.answerLead))
        let streaming = try StreamFields(fields)
        let messages = try ChatFields.messages(fields)
        let prompt = try model.chatPrompt(messages, tools: try ChatFields.tools(fields))
        try model.check(prompt, param: "messages")
        return GenerationRequest(prompt: prompt, options: options, streaming: streaming) { job in
            ChatShape(
                head: model.head(id: "chatcmpl-\(job)", streaming: streaming, attention: options.attention),
                model: model,
                wantsLogprobs: wantsLogprobs)
        }
    }
}

/// OpenAI's `chat.completion` and `chat.completion.chunk`.
struct ChatShape: AnswerShape {
    let head: AnswerHead
    let model: ServedModel
    let wantsLogprobs: Bool
    private var hasBegun = false

    init(head: AnswerHead, model: ServedModel, wantsLogprobs: Bool) {
        self.head = head
        self.model = model
        self.wantsLogprobs = wantsLogprobs
    }

    func opening() -> JSONValue? {
        chunk(delta: .record(["role": .string("assistant"), "content": .string("")]))
    }

    /// GLM's answers begin with the newline that ends the (empty) metadata of their message; it is no part of the content.
    mutating func visible(_ text: String) -> String {
        guard !hasBegun, !text.isEmpty else { return text }
        hasBegun = true
        return model.answersBeginWithNewline && text.hasPrefix("\n") ? String(text.dropFirst()) : text
    }

    mutating func piece(_ text: String, token: AnswerToken?) -> JSONValue? {
        let logprobs = wantsLogprobs ? token.flatMap { entry($0) } : nil
        guard !text.isEmpty || logprobs != nil else { return nil }
        return chunk(
            delta: .record(["content": .string(text)]), logprobs: logprobs.map { .record(["content": .array([$0])]) })
    }

    func closing(_ answer: Answer) -> JSONValue {
        chunk(delta: .record([:]), finish: answer.finishJSON, timings: answer.timingsJSON)
    }

    func usage(_ answer: Answer) -> JSONValue {
        head.object("chat.completion.chunk", choices: [], usage: answer.usageJSON)
    }

    func whole(_ answer: Answer) -> JSONValue {
        let logprobs: JSONValue =
            wantsLogprobs ? .record(["content": .array(answer.tokens.compactMap { entry($0) })]) : .null
        return head.object(
            "chat.completion",
            choices: [
                .record([
                    "index": .integer(0),
                    "message": .record(["role": .string("assistant"), "content": .string(answer.text)]),
                    "logprobs": logprobs, "finish_reason": answer.finishJSON,
                ])
            ], usage: answer.usageJSON, timings: answer.timingsJSON)
    }

    private func chunk(
        delta: JSONValue, logprobs: JSONValue? = nil, finish: JSONValue = .null, timings: JSONValue? = nil
    ) -> JSONValue {
        head.object(
            "chat.completion.chunk",
            choices: [
                .record(["index": .integer(0), "delta": delta, "logprobs": logprobs ?? .null, "finish_reason": finish])
            ], usage: head.announcesUsage ? .null : nil, timings: timings)
    }

    /// A token's entry among the log-probabilities; end-of-sequence tokens have none, as they are no content.
    private func entry(_ token: AnswerToken) -> JSONValue? {
        guard !model.isSpecial(token.drawn.token) else { return nil }
        return .record(
            candidate(token.drawn) + [("top_logprobs", .array(token.top.map { .record(candidate($0)) }))])
    }

    private func candidate(_ token: TokenLogprob) -> [(String, JSONValue?)] {
        let bytes = model.bytes(of: token.token)
        return [
            ("token", .string(String(decoding: bytes, as: UTF8.self))), ("logprob", token.logprobJSON),
            ("bytes", .array(bytes.map { .integer(Int($0)) })),
        ]
    }
}
