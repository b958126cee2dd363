import Core
import Tokenization

/// `/v1/messages`: Anthropic's API, messages of blocks in, blocks out.
enum MessagesRoute {
    /// Reads the body of a message.
    static func read(_ body: JSONValue, model: ServedModel) throws -> GenerationRequest {
        let fields = try Fields(body)
        try model.check(fields)
        guard let maxTokens = try fields.int("max_tokens", in: 1...Int.max) else {
            throw APIError.field("max_tokens", "max_tokens: missing; expected a number of tokens", code: "missing")
        }
        var options = try SamplingFields.options(
            fields, model: model, maxTokens: maxTokens, logprobs: nil, stopKey: "stop_sequences")
        let streaming = try StreamFields(fields)
        let (prompt, plan, grammar) = try prompt(fields, model: model, stops: options.stop)
        options.grammar = grammar
        return GenerationRequest(prompts: [prompt], options: options, streaming: streaming, plan: plan) { job in
            MessagesShape(id: "msg_\(job)", model: model.card.name, promptTokens: prompt.count)
        }
    }

    /// How many tokens the prompt of a message has: the body of a message, without what says how to answer.
    static func count(_ body: JSONValue, model: ServedModel) throws -> Int {
        let fields = try Fields(body)
        try model.check(fields)
        return try prompt(fields, model: model, stops: []).0.count
    }

    private static func prompt(
        _ fields: Fields, model: ServedModel, stops: [String]
    ) throws -> ([TokenID], AnswerBuilder.Plan, AnswerGrammar?) {
        let tools = try tools(fields)
        var messages = try MessagesInput.messages(fields)
        var opening = tools.opening
        // A last message of the assistant's is the beginning of the answer.
        if let last = messages.last, last.role == "assistant" {
            guard last.toolCalls.isEmpty else {
                throw APIError.field("messages", "messages: the last one calls a tool, whose result must follow")
            }
            guard opening == .turn else {
                throw APIError.field(
                    "messages", "messages: the last one is the assistant's, but tool_choice asks for a call")
            }
            opening = .text(last.content ?? "")
            messages.removeLast()
        }
        let prompt = try model.chatPrompt(messages, tools: tools.shown, opening: opening)
        try model.check(prompt, param: "messages")
        let plan = AnswerBuilder.Plan(
            model: model, reader: model.tokenizer.template.reader(tools: tools.shown, opening: opening),
            callLimit: tools.callLimit, stops: stops)
        let grammar = try tools.grammar(
            content: nil, lead: opening == .turn ? model.answerLead : "",
            link: model.callLink)
        return (prompt, plan, grammar)
    }

    /// Tools of the client's own, in OpenAI's form: that is what templates show to models.
    private static func tools(_ fields: Fields) throws -> ToolWishes {
        let tools = try (try fields.array("tools") ?? []).enumerated().map { index, tool in
            if let type = tool["type"], !type.isNull, type.string != "custom" {
                throw APIError.unsupported(
                    "tools", "tools[\(index)]: only tools of the client's own are supported, found \(type.kindName)")
            }
            try ToolWishes.check(function: tool, at: "tools[\(index)]", parameters: "input_schema")
            return JSONValue.record([
                "type": .string("function"),
                "function": .record([
                    "name": tool["name"], "description": tool["description"], "parameters": tool["input_schema"],
                    "strict": tool["strict"],
                ]),
            ])
        }
        let choice = try fields.object("tool_choice")
        let isSingle = try choice?.bool("disable_parallel_tool_use") ?? false
        let wanted: ToolWishes.Choice
        switch try choice?.string("type") {
        case nil where choice != nil:
            throw APIError.field("tool_choice.type", "tool_choice.type: missing; expected a string", code: "missing")
        case nil, "auto": wanted = .auto
        case "none": wanted = .none
        case "any": wanted = .required
        case "tool":
            guard let name = try choice?.string("name") else {
                throw APIError.field("tool_choice.name", "tool_choice.name: missing; expected a name", code: "missing")
            }
            wanted = .named(name)
        case .some(let other):
            throw APIError.field(
                "tool_choice.type", "tool_choice.type: expected auto, any, tool or none, found \(other)")
        }
        return try ToolWishes(tools, choice: wanted, parallel: !isSingle)
    }
}
