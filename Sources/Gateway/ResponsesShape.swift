import Core
import Tokenization

/// OpenAI's `response`, whole and as a stream of named, numbered events.
struct ResponsesShape: AnswerShape {
    private let id: String
    private let model: ServedModel
    private let wantsLogprobs: Bool
    private let created = EpochClock.seconds
    /// Fields of the request that the response repeats.
    private let echo: [(String, JSONValue?)]
    private var number = 0
    /// The items that are complete, and the one that is not.
    private var done: [JSONValue] = []
    private var open: AnswerItem?

    init(id: String, model: ServedModel, wantsLogprobs: Bool, echo: [(String, JSONValue?)]) {
        self.id = id
        self.model = model
        self.wantsLogprobs = wantsLogprobs
        self.echo = echo
    }

    var endMark: String? { nil }

    mutating func opening() -> [ServerEvent] {
        let response = response(status: "in_progress", output: [], usage: nil)
        return [
            event("response.created", ["response": response]), event("response.in_progress", ["response": response]),
        ]
    }

    mutating func events(of delta: Delta) -> [ServerEvent] {
        var events: [ServerEvent] = []
        var spoken = wantsLogprobs ? delta.spoken : []
        for part in delta.parts {
            switch part {
            case .text(let text):
                if open == nil || open?.call != nil { events += begin(AnswerItem(call: nil)) }
                open?.text += text
                open?.tokens += spoken
                events.append(
                    event(
                        "response.output_text.delta",
                        place(inPart: true) + [("delta", .string(text)), ("logprobs", entries(spoken))]))
                spoken = []
            case .call(let call): events += begin(AnswerItem(call: call))
            case .arguments(let text):
                open?.text += text
                events.append(
                    event("response.function_call_arguments.delta", place(inPart: false) + [("delta", .string(text))]))
            }
        }
        if !spoken.isEmpty { open?.tokens += spoken }
        return events
    }

    mutating func closing(_ answer: Answer) -> [ServerEvent] {
        guard let choice = answer.choices.first else { return [] }
        let closed = close(isCut: choice.finish == .length)
        let name = choice.finish == .length ? "response.incomplete" : "response.completed"
        return closed + [event(name, ["response": complete(choice, output: done)])]
    }

    mutating func failure(_ error: APIError) -> [ServerEvent] {
        let problem = JSONValue.record(["code": .string("server_error"), "message": .string(error.message)])
        return [
            event(
                "response.failed",
                ["response": response(status: "failed", output: done, usage: nil, error: problem)])
        ]
    }

    func whole(_ answer: Answer) -> JSONValue {
        guard let choice = answer.choices.first else { return .null }
        let last = choice.items.count - 1
        let output = choice.items.enumerated().map { index, item in
            self.item(
                item, index: index, status: index == last && choice.finish == .length ? "incomplete" : "completed")
        }
        return complete(choice, output: output)
    }

    // MARK: Items

    private mutating func begin(_ item: AnswerItem) -> [ServerEvent] {
        var events = close(isCut: false)
        open = item
        events.append(
            event(
                "response.output_item.added",
                [
                    "output_index": .integer(done.count),
                    "item": self.item(item, index: done.count, status: "in_progress"),
                ]))
        if item.call == nil {
            events.append(
                event("response.content_part.added", place(inPart: true) + [("part", part(AnswerItem(call: nil)))]))
        }
        return events
    }

    private mutating func close(isCut: Bool) -> [ServerEvent] {
        guard let item = open else { return [] }
        var events: [ServerEvent] = []
        if let call = item.call {
            events.append(
                event(
                    "response.function_call_arguments.done",
                    place(inPart: false) + [("name", .string(call.name)), ("arguments", .string(item.text))]))
        } else {
            events.append(
                event(
                    "response.output_text.done",
                    place(inPart: true) + [("text", .string(item.text)), ("logprobs", entries(item.tokens))]))
            events.append(
                event("response.content_part.done", place(inPart: true) + [("part", part(item))]))
        }
        let complete = self.item(item, index: done.count, status: isCut ? "incomplete" : "completed")
        events.append(
            event("response.output_item.done", ["output_index": .integer(done.count), "item": complete]))
        done.append(complete)
        open = nil
        return events
    }

    private func item(_ item: AnswerItem, index: Int, status: String) -> JSONValue {
        let head: [(String, JSONValue?)] = [
            ("id", .string(identifier(of: item, index: index))), ("status", .string(status)),
        ]
        guard let call = item.call else {
            // A message has no parts until one is added.
            let content = status == "in_progress" ? [] : [part(item)]
            return .record(
                head + [("type", .string("message")), ("role", .string("assistant")), ("content", .array(content))])
        }
        return .record(
            head + [
                ("type", .string("function_call")), ("call_id", .string("call_\(call.id)")),
                ("name", .string(call.name)), ("arguments", .string(item.text)),
            ])
    }

    private func identifier(of item: AnswerItem, index: Int) -> String {
        item.call.map { "fc_\($0.id)" } ?? "msg_\(id)_\(index)"
    }

    private func part(_ item: AnswerItem) -> JSONValue {
        .record([
            "type": .string("output_text"), "text": .string(item.text), "annotations": .array([]),
            "logprobs": entries(item.tokens),
        ])
    }

    private func entries(_ tokens: [AnswerToken]) -> JSONValue { .array(tokens.compactMap { model.entry($0) }) }

    /// Where the open item is, and in a message its only part.
    private func place(inPart: Bool) -> [(String, JSONValue?)] {
        let item: [(String, JSONValue?)] = [
            ("item_id", open.map { .string(identifier(of: $0, index: done.count)) }),
            ("output_index", .integer(done.count)),
        ]
        return item + (inPart ? [("content_index", .integer(0))] : [])
    }

    // MARK: The response

    private func complete(_ choice: Choice, output: [JSONValue]) -> JSONValue {
        let isCut = choice.finish == .length
        return response(
            status: isCut ? "incomplete" : "completed", output: output, usage: choice.usage,
            incomplete: isCut ? .record(["reason": .string("max_output_tokens")]) : nil)
    }

    private func response(
        status: String, output: [JSONValue], usage: Usage?, error: JSONValue? = nil, incomplete: JSONValue? = nil
    ) -> JSONValue {
        .record(
            [
                ("id", .string("resp_\(id)")), ("object", .string("response")), ("created_at", .integer(created)),
                ("status", .string(status)), ("error", error ?? .null), ("incomplete_details", incomplete ?? .null),
                ("model", .string(model.card.name)), ("output", .array(output)), ("previous_response_id", .null),
                ("reasoning", .record(["effort": .null, "summary": .null])), ("store", .bool(false)),
                ("text", .record(["format": .record(["type": .string("text")])])), ("truncation", .string("disabled")),
                ("usage", usage?.responsesJSON ?? .null), ("user", .null),
            ] + echo)
    }

    private mutating func event(_ name: String, _ members: KeyValuePairs<String, JSONValue?>) -> ServerEvent {
        event(name, members.map { ($0.key, $0.value) })
    }

    private mutating func event(_ name: String, _ members: [(String, JSONValue?)]) -> ServerEvent {
        defer { number += 1 }
        return ServerEvent(
            .record([("type", .string(name)), ("sequence_number", .integer(number))] + members), name: name)
    }
}

extension Usage {
    /// OpenAI's usage of a response.
    fileprivate var responsesJSON: JSONValue {
        .record([
            "input_tokens": .integer(promptTokens),
            "input_tokens_details": .record(["cached_tokens": .integer(cachedTokens)]),
            "output_tokens": .integer(completionTokens),
            "output_tokens_details": .record(["reasoning_tokens": .integer(0)]),
            "total_tokens": .integer(promptTokens + completionTokens),
        ])
    }
}
