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
        let newer = try fields.int("max_completion_tokens", in: 1...Int.max)
        let maxTokens = try fields.int("max_tokens", in: 1...Int.max)
        var options = try SamplingFields.options(
            fields, model: model, maxTokens: newer ?? maxTokens, logprobs: wantsLogprobs ? top ?? 0 : nil)
        let copies = try SamplingFields.copies(fields)
        let streaming = try StreamFields(fields)
        var messages = try ChatFields.messages(fields)
        let tools = try ChatFields.tools(fields)
        var opening = tools.opening
        if try fields.bool("continue_final_message") ?? false {
            guard let last = messages.popLast(), last.role == "assistant", last.toolCalls.isEmpty, opening == .turn
            else {
                throw APIError.field(
                    "continue_final_message", "continue_final_message: the last message must be text of the assistant's"
                )
            }
            opening = .text(last.content ?? "")
        }
        options.grammar = try tools.grammar(
            content: try GrammarFields.grammar(fields), lead: opening == .turn ? model.answerLead : "",
            link: model.callLink)
        let prompt = try model.chatPrompt(messages, tools: tools.shown, opening: opening)
        try model.check(prompt, param: "messages")
        let plan = AnswerBuilder.Plan(
            model: model, reader: model.tokenizer.template.reader(tools: tools.shown, opening: opening),
            callLimit: tools.callLimit, stops: options.stop)
        return GenerationRequest(
            prompts: [prompt], copies: copies, options: options, streaming: streaming, plan: plan
        ) { [options] job in
            ChatShape(
                head: model.head(id: "chatcmpl-\(job)", streaming: streaming, attention: options.attention),
                model: model, copies: copies, wantsLogprobs: wantsLogprobs)
        }
    }
}

/// OpenAI's `chat.completion` and `chat.completion.chunk`.
struct ChatShape: AnswerShape {
    private static let chunk = "chat.completion.chunk"

    let head: AnswerHead
    let model: ServedModel
    let wantsLogprobs: Bool
    /// How many calls each choice has begun.
    private var calls: [Int]

    init(head: AnswerHead, model: ServedModel, copies: Int, wantsLogprobs: Bool) {
        self.head = head
        self.model = model
        self.wantsLogprobs = wantsLogprobs
        calls = Array(repeating: 0, count: copies)
    }

    var endMark: String? { "[DONE]" }

    func opening() -> [ServerEvent] {
        calls.indices.map { chunk($0, delta: ["role": .string("assistant"), "content": .string("")]) }
    }

    mutating func events(of delta: Delta) -> [ServerEvent] {
        var events: [ServerEvent] = []
        // A token's log-probability goes with the first thing that it adds, or alone.
        var logprobs = wantsLogprobs ? delta.token.flatMap { model.entry($0) } : nil
        func say(_ members: KeyValuePairs<String, JSONValue?>) {
            events.append(chunk(delta.choice, delta: members, logprobs: logprobs))
            logprobs = nil
        }
        for part in delta.parts {
            switch part {
            case .text(let text): say(["content": .string(text)])
            case .call(let call):
                calls[delta.choice] += 1
                say(["tool_calls": .array([begun(call, index: calls[delta.choice] - 1)])])
            case .arguments(let text):
                let more = JSONValue.record([
                    "index": .integer(calls[delta.choice] - 1), "function": .record(["arguments": .string(text)]),
                ])
                say(["tool_calls": .array([more])])
            }
        }
        if logprobs != nil { say(["content": .string("")]) }
        if let end = delta.end {
            events.append(
                chunk(
                    delta.choice, delta: [:], finish: end.finishJSON,
                    timings: calls.count == 1 ? end.timingsJSON : nil))
        }
        return events
    }

    func closing(_ answer: Answer) -> [ServerEvent] { head.usage(Self.chunk, answer) }

    func failure(_ error: APIError) -> [ServerEvent] { [ServerEvent(error.json)] }

    func whole(_ answer: Answer) -> JSONValue {
        let choices = answer.choices.enumerated().map { index, choice in
            JSONValue.record([
                "index": .integer(index), "message": message(choice),
                "logprobs": wantsLogprobs
                    ? .record(["content": .array(choice.tokens.compactMap { model.entry($0) }), "refusal": .null])
                    : .null,
                "finish_reason": choice.finishJSON,
            ])
        }
        return head.object(
            "chat.completion", choices: choices, usage: answer.usage.json, timings: answer.timingsJSON)
    }

    private func message(_ choice: Choice) -> JSONValue {
        let text = choice.text
        let calls = choice.items.compactMap { item in
            item.call.map { call in
                JSONValue.record([
                    "id": .string("call_\(call.id)"), "type": .string("function"),
                    "function": .record(["name": .string(call.name), "arguments": .string(item.text)]),
                ])
            }
        }
        return .record([
            "role": .string("assistant"),
            "content": text.isEmpty && !calls.isEmpty ? .null : .string(text), "refusal": .null,
            "tool_calls": calls.isEmpty ? nil : .array(calls),
        ])
    }

    private func begun(_ call: FunctionCall, index: Int) -> JSONValue {
        .record([
            "index": .integer(index), "id": .string("call_\(call.id)"), "type": .string("function"),
            "function": .record(["name": .string(call.name), "arguments": .string("")]),
        ])
    }

    private func chunk(
        _ choice: Int, delta: KeyValuePairs<String, JSONValue?>, logprobs: JSONValue? = nil, finish: JSONValue = .null,
        timings: JSONValue? = nil
    ) -> ServerEvent {
        head.chunk(
            Self.chunk,
            choice: .record([
                "index": .integer(choice), "delta": .record(delta),
                "logprobs": logprobs.map { .record(["content": .array([$0]), "refusal": .null]) } ?? .null,
                "finish_reason": finish,
            ]), timings: timings)
    }
}
