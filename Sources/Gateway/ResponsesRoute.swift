import Core
import Tokenization

/// `/v1/responses`: OpenAI's newer API, items in, items out. Nothing is stored: each request brings its conversation.
enum ResponsesRoute {
    /// Reads the body.
    static func read(_ body: JSONValue, model: ServedModel) throws -> GenerationRequest {
        let fields = try Fields(body)
        try model.check(fields)
        try refuseUnsupported(fields)
        let maxTokens = try fields.int("max_output_tokens", in: 1...Int.max)
        let tools = try tools(fields)
        let logprobs = try logprobs(fields)
        var options = try SamplingFields.options(fields, model: model, maxTokens: maxTokens, logprobs: logprobs)
        options.grammar = try tools.grammar(
            content: try GrammarFields.textFormat(fields), lead: model.answerLead, link: model.callLink)
        let streaming = try StreamFields(fields)
        let messages = try ResponsesInput.messages(fields)
        let prompt = try model.chatPrompt(messages, tools: tools.shown, opening: tools.opening)
        try model.check(prompt, param: "input")
        let plan = AnswerBuilder.Plan(
            model: model, reader: model.tokenizer.template.reader(tools: tools.shown, opening: tools.opening),
            callLimit: tools.callLimit, stops: options.stop)
        let echo: [(String, JSONValue?)] = [
            ("instructions", .optional(try fields.string("instructions"))),
            ("max_output_tokens", maxTokens.map { .integer($0) } ?? .null),
            ("metadata", fields.value("metadata") ?? .object([])),
            ("parallel_tool_calls", .bool(tools.callLimit > 1)),
            ("temperature", .real(Double(options.sampling.temperature))),
            ("top_logprobs", .integer(logprobs ?? 0)), ("top_p", .real(Double(options.sampling.topP))),
            ("tool_choice", fields.value("tool_choice") ?? .string("auto")),
            ("tools", fields.value("tools") ?? .array([])), ("attention", options.attention.json),
        ]
        return GenerationRequest(prompts: [prompt], options: options, streaming: streaming, plan: plan) { job in
            ResponsesShape(id: "\(job)", model: model, wantsLogprobs: logprobs != nil, echo: echo)
        }
    }

    /// How many alternatives are reported with each token, or nil for no log-probabilities: who wants alternatives wants these.
    private static func logprobs(_ fields: Fields) throws(APIError) -> Int? {
        var isIncluded = false
        for (index, element) in (try fields.array("include") ?? []).enumerated() {
            guard let name = element.string else {
                throw .field(
                    "include", "include[\(index)]: expected a string, found \(element.kindName)", code: "invalid_type")
            }
            // What else may be included there is nothing of.
            if name == "message.output_text.logprobs" { isIncluded = true }
        }
        let top = try fields.int("top_logprobs", in: 0...20) ?? 0
        return isIncluded || top > 0 ? top : nil
    }

    /// Fields that would change the answer, had they been obeyed.
    private static func refuseUnsupported(_ fields: Fields) throws {
        for key in ["previous_response_id", "conversation", "prompt"] where fields.value(key) != nil {
            throw APIError.unsupported(key, "\(key): nothing is stored here; send the whole conversation as input")
        }
        if try fields.bool("background") ?? false {
            throw APIError.unsupported("background", "background: not supported; send the request to /v1/jobs instead")
        }
        if let object = fields.value("metadata"), object.members == nil {
            throw fields.wrong("metadata", "an object", object)
        }
    }

    /// Functions, which have no object of their own here; in OpenAI's older form for the templates.
    private static func tools(_ fields: Fields) throws -> ToolWishes {
        let tools = try (try fields.array("tools") ?? []).enumerated().map { index, tool in
            guard tool["type"]?.string == "function" else {
                throw APIError.unsupported("tools", "tools[\(index)]: only tools of type function are supported")
            }
            try ToolWishes.check(function: tool, at: "tools[\(index)]", parameters: "parameters")
            return JSONValue.record([
                "type": .string("function"),
                "function": .record([
                    "name": tool["name"], "description": tool["description"], "parameters": tool["parameters"],
                    "strict": tool["strict"],
                ]),
            ])
        }
        return try ToolWishes(
            tools, choice: try choice(fields), parallel: try fields.bool("parallel_tool_calls") ?? true)
    }

    private static func choice(_ fields: Fields) throws -> ToolWishes.Choice {
        guard let value = fields.value("tool_choice") else { return .auto }
        switch value.string {
        case "auto": return .auto
        case "none": return .none
        case "required": return .required
        case .some(let other):
            throw APIError.field(
                "tool_choice", "tool_choice: expected auto, none, required or a function, found \(other)")
        case nil: break
        }
        let choice = try Fields(value, at: "tool_choice")
        guard try choice.string("type") == "function", let name = try choice.string("name") else {
            throw APIError.unsupported(
                "tool_choice", "tool_choice: of objects only {\"type\":\"function\",\"name\":...} is supported")
        }
        return .named(name)
    }
}

/// The conversation in the form of the newer API: a text, or items.
enum ResponsesInput {
    /// The conversation in the roles of the templates.
    static func messages(_ fields: Fields) throws -> [ChatMessage] {
        let instructions = try fields.string("instructions") ?? ""
        var messages = instructions.isEmpty ? [] : [ChatMessage(role: "system", content: instructions)]
        guard let input = fields.value("input") else {
            throw APIError.field("input", "input: missing; expected a text or an array of items", code: "missing")
        }
        if let text = input.string { return messages + [ChatMessage(role: "user", content: text)] }
        guard let elements = input.elements else {
            throw fields.wrong("input", "a text or an array of items", input)
        }
        guard !elements.isEmpty else { throw APIError.field("input", "input: expected at least one item, found none") }
        for (index, element) in elements.enumerated() {
            try add(try Fields(element, at: "input[\(index)]"), to: &messages)
        }
        return messages
    }

    private static func add(_ item: Fields, to messages: inout [ChatMessage]) throws {
        switch try item.string("type") ?? "message" {
        case "message":
            let role = try string("role", of: item)
            guard ["user", "assistant", "system", "developer"].contains(role) else {
                throw APIError.field(
                    item.name("role"),
                    "\(item.name("role")): expected user, assistant, system or developer, found \(role)")
            }
            messages.append(ChatMessage(role: role, content: try text("content", of: item)))
        case "function_call":
            let call = ChatMessage.ToolCall(
                id: try string("call_id", of: item), name: try string("name", of: item),
                arguments: try string("arguments", of: item))
            // Calls in a row are one message of the assistant's.
            if messages.last?.role == "assistant" {
                messages[messages.count - 1].toolCalls.append(call)
            } else {
                messages.append(ChatMessage(role: "assistant", content: nil, toolCalls: [call]))
            }
        case "function_call_output":
            messages.append(
                ChatMessage(
                    role: "tool", content: try text("output", of: item), toolCallID: try string("call_id", of: item)))
        // What a model thought aloud is no part of the conversation.
        case "reasoning": return
        case let type:
            throw APIError.unsupported(
                item.name("type"), "\(item.name("type")): items of type \(type) are not supported")
        }
    }

    private static func string(_ key: String, of item: Fields) throws -> String {
        guard let text = try item.string(key) else {
            throw APIError.field(item.name(key), "\(item.name(key)): missing; expected a string", code: "missing")
        }
        return text
    }

    /// A text, or parts of text.
    private static func text(_ key: String, of item: Fields) throws -> String {
        guard let value = item.value(key) else {
            throw APIError.field(item.name(key), "\(item.name(key)): missing; expected a text", code: "missing")
        }
        if let text = value.string { return text }
        guard let parts = value.elements else { throw item.wrong(key, "a text or an array of text parts", value) }
        return try parts.enumerated().map { index, element in
            let part = try Fields(element, at: "\(item.name(key))[\(index)]")
            let type = try part.string("type") ?? ""
            guard ["input_text", "output_text", "text"].contains(type) else {
                throw APIError.unsupported(
                    part.name("type"), "\(part.name("type")): expected input_text or output_text, found \(type)")
            }
            return try string("text", of: part)
        }.joined()
    }
}
