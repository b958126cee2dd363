import Core
import Tokenization

/// Anthropic's `message`, whole and as a stream of named events.
struct MessagesShape: AnswerShape {
    let id: String
    let model: String
    let promptTokens: Int
    /// The place of the block that is open, and whether it is text.
    private var open: (index: Int, isText: Bool)?
    private var blocks = 0

    init(id: String, model: String, promptTokens: Int) {
        self.id = id
        self.model = model
        self.promptTokens = promptTokens
    }

    var endMark: String? { nil }

    func opening() -> [ServerEvent] {
        let usage = Usage(promptTokens: promptTokens, completionTokens: 0)
        return [
            event("message_start", ["message": message(content: [], stop: nil, usage: usage)]), event("ping", [:]),
        ]
    }

    mutating func events(of delta: Delta) -> [ServerEvent] {
        var events: [ServerEvent] = []
        for part in delta.parts {
            switch part {
            case .text(let text):
                if open?.isText != true {
                    events += begin(.record(["type": .string("text"), "text": .string("")]), isText: true)
                }
                events.append(more(["type": .string("text_delta"), "text": .string(text)]))
            case .call(let call):
                events += begin(Self.block(call, input: .object([])), isText: false)
                events.append(more(["type": .string("input_json_delta"), "partial_json": .string("")]))
            case .arguments(let text):
                events.append(more(["type": .string("input_json_delta"), "partial_json": .string(text)]))
            }
        }
        return events
    }

    mutating func closing(_ answer: Answer) -> [ServerEvent] {
        guard let choice = answer.choices.first else { return [] }
        return close() + [
            event(
                "message_delta",
                [
                    "delta": .record([
                        "stop_reason": .string(choice.stopReason), "stop_sequence": .optional(choice.stop),
                    ]),
                    "usage": choice.usage.messagesJSON,
                ]), event("message_stop", [:]),
        ]
    }

    func failure(_ error: APIError) -> [ServerEvent] { [ServerEvent(error.messagesJSON, name: "error")] }

    func whole(_ answer: Answer) -> JSONValue {
        guard let choice = answer.choices.first else { return .null }
        let content = choice.items.map { item in
            item.call.map { Self.block($0, input: Self.input(item.text)) }
                ?? .record(["type": .string("text"), "text": .string(item.text)])
        }
        return message(content: content, stop: choice, usage: choice.usage)
    }

    private func message(content: [JSONValue], stop: Choice?, usage: Usage) -> JSONValue {
        .record([
            "id": .string(id), "type": .string("message"), "role": .string("assistant"), "model": .string(model),
            "content": .array(content), "stop_reason": .optional(stop?.stopReason),
            "stop_sequence": .optional(stop?.stop), "usage": usage.messagesJSON,
        ])
    }

    private mutating func begin(_ block: JSONValue, isText: Bool) -> [ServerEvent] {
        let closed = close()
        open = (blocks, isText)
        blocks += 1
        return closed + [event("content_block_start", ["index": .integer(blocks - 1), "content_block": block])]
    }

    private mutating func close() -> [ServerEvent] {
        guard let index = open?.index else { return [] }
        open = nil
        return [event("content_block_stop", ["index": .integer(index)])]
    }

    private func more(_ delta: KeyValuePairs<String, JSONValue?>) -> ServerEvent {
        event("content_block_delta", ["index": .integer(open?.index ?? 0), "delta": .record(delta)])
    }

    private func event(_ name: String, _ members: KeyValuePairs<String, JSONValue?>) -> ServerEvent {
        ServerEvent(.record([("type", .string(name))] + members.map { ($0.key, $0.value) }), name: name)
    }

    private static func block(_ call: FunctionCall, input: JSONValue) -> JSONValue {
        .record([
            "type": .string("tool_use"), "id": .string("toolu_\(call.id)"), "name": .string(call.name), "input": input,
        ])
    }

    /// Arguments as an object; what is none, because the model was cut short or wrote something else, is shown as it is.
    private static func input(_ arguments: String) -> JSONValue {
        guard let value = try? JSONValue(parsing: arguments, source: "arguments"), value.members != nil else {
            return .record(["unparsed": .string(arguments)])
        }
        return value
    }
}

extension Choice {
    /// Anthropic's word for the end.
    fileprivate var stopReason: String {
        if finish == .length { return "max_tokens" }
        if items.contains(where: { $0.call != nil }) { return "tool_use" }
        return stop == nil ? "end_turn" : "stop_sequence"
    }
}

extension Usage {
    /// Anthropic's usage, which counts what was found in the cache apart.
    fileprivate var messagesJSON: JSONValue {
        .record([
            "input_tokens": .integer(promptTokens - cachedTokens), "cache_creation_input_tokens": .integer(0),
            "cache_read_input_tokens": .integer(cachedTokens), "output_tokens": .integer(completionTokens),
        ])
    }
}

extension APIError {
    /// Anthropic's error object.
    var messagesJSON: JSONValue {
        let kind =
            switch status {
            case 401: "authentication_error"
            case 403: "permission_error"
            case 404: "not_found_error"
            case 413: "request_too_large"
            case 429: "rate_limit_error"
            case 503: "overloaded_error"
            case 400..<500: "invalid_request_error"
            default: "api_error"
            }
        return .record([
            "type": .string("error"), "error": .record(["type": .string(kind), "message": .string(message)]),
        ])
    }
}
