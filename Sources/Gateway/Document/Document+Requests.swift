import Core

/// What the routes that generate, embed and count are sent.
extension Document {
    static let requests: [(String, JSONValue)] = [
        ("ChatMessage", Schema.either(otherMessage, assistantMessage)), ("ChatRequest", chatRequest),
        ("CompletionRequest", completionRequest), ("ResponseRequest", responseRequest),
        ("MessageRequest", messageRequest), ("CountRequest", countRequest), ("EmbeddingRequest", embeddingRequest),
        ("TokenizeRequest", Schema.either(tokenizeChat, tokenizePrompt, tokenizeContent)),
        ("DetokenizeRequest", detokenizeRequest),
    ]

    // MARK: Parts that several have

    private static let count = Schema.int(0...Int(Int32.max))
    private static let token = Schema.ref("Token")
    private static let tokens = Schema.array(token, least: 1)
    private static let texts = Schema.either(
        Schema.string, Schema.array(Schema.either(Schema.string, tokens), least: 1), tokens)
    private static let name = Schema.matching("^[!-~]+$", most: 256)
    private static let model = Schema.text("The model that is served; it may be left out.")
    private static let stop = Schema.either(Schema.string, Schema.array(Schema.filled, most: 16))
    private static let textPart = Schema.object(
        ["type": Schema.word("text"), "text": Schema.string], required: ["type", "text"])
    private static let content = Schema.either(Schema.string, Schema.array(textPart))
    private static let choices = Schema.word("auto", "none", "required")

    private static let priority = Schema.int(GenerationOptions.priorities)

    /// How tokens are drawn.
    private static let sampling: Schema.Fields = [
        "temperature": Schema.number(0...2), "top_p": Schema.positive(upTo: 1),
        "top_k": Schema.int(-1...Int(Int32.max)),
        "min_p": Schema.number(0...1), "repetition_penalty": Schema.positive(upTo: 100),
        "presence_penalty": Schema.number(-2...2), "frequency_penalty": Schema.number(-2...2),
        "logit_bias": Schema.map("^[0-9]{1,6}$", to: Schema.number(-100...100)), "seed": Schema.int(Int.min...Int.max),
        "min_tokens": count, "ignore_eos": Schema.bool, "stop_token_ids": Schema.array(token),
        "cache_prompt": Schema.bool,
        "attention": Schema.word("exact", "sparse"), "priority": priority,
    ]

    private static let usageWish = Schema.object(["include_usage": Schema.bool])
    private static let streaming: Schema.Fields = ["stream": Schema.bool, "stream_options": usageWish]

    /// What an answer must look like.
    private static let plainFormat = Schema.object(["type": Schema.word("text", "json_object")], required: ["type"])
    private static let namedSchema: Schema.Fields = [
        "name": Schema.matching("^[A-Za-z0-9_-]+$", most: 64), "schema": Schema.dictionary, "strict": Schema.bool,
    ]
    private static let schemaFormat: Schema.Fields = ["type": Schema.word("json_schema")]
    private static let responseFormat = Schema.either(
        plainFormat,
        Schema.object(
            schemaFormat, ["json_schema": Schema.object(namedSchema, required: ["name"])],
            required: ["type", "json_schema"]))
    private static let textFormat = Schema.either(
        plainFormat, Schema.object(schemaFormat, namedSchema, required: ["type", "name"]))
    private static let forms: Schema.Fields = [
        "response_format": responseFormat, "grammar": Schema.text("A grammar in GBNF."),
        "regex": Schema.text("A regular expression that the whole answer matches."),
        "guided_json": Schema.either(Schema.dictionary, Schema.string), "guided_regex": Schema.string,
        "guided_grammar": Schema.string, "guided_choice": Schema.array(Schema.string, least: 1),
    ]

    // MARK: Chats

    private static let otherMessage = Schema.object(
        [
            "role": Schema.word("system", "developer", "user", "tool"), "content": content, "name": Schema.string,
            "tool_call_id": Schema.string,
        ], required: ["role", "content"])

    private static let calledFunction = Schema.object(
        ["name": Schema.string, "arguments": Schema.any], required: ["name"])
    private static let toolCall = Schema.object(
        ["id": Schema.string, "type": Schema.any, "function": calledFunction], required: ["function"])
    private static let assistantMessage = Schema.object(
        [
            "role": Schema.word("assistant"), "content": content, "name": Schema.string,
            "tool_calls": Schema.array(toolCall),
        ], required: ["role"])

    private static let function: Schema.Fields = [
        "name": name, "description": Schema.string, "parameters": Schema.dictionary,
    ]
    private static let functionTool = Schema.object(
        ["type": Schema.string, "function": Schema.object(function, required: ["name"])], required: ["function"])
    private static let chosenName = Schema.object(["name": Schema.string], required: ["name"])
    private static let chosenFunction = Schema.object(
        ["type": Schema.word("function"), "function": chosenName], required: ["type", "function"])
    private static let messages = Schema.array(Schema.ref("ChatMessage"), least: 1)

    private static let chatRequest = Schema.object(
        [
            "model": model, "messages": messages, "max_tokens": Schema.int(from: 1),
            "max_completion_tokens": Schema.int(from: 1), "n": Schema.int(1...128), "stop": stop,
            "logprobs": Schema.bool, "top_logprobs": Schema.int(0...20), "tools": Schema.array(functionTool),
            "tool_choice": Schema.either(choices, chosenFunction), "parallel_tool_calls": Schema.bool,
            "continue_final_message": Schema.bool,
        ], forms, sampling, streaming, required: ["messages"])

    // MARK: Texts

    private static let completionRequest = Schema.object(
        [
            "model": model, "prompt": texts, "max_tokens": Schema.int(from: 1), "n": Schema.int(1...128),
            "best_of": Schema.int(1...128), "stop": stop, "echo": Schema.bool, "logprobs": Schema.int(0...20),
        ], forms, sampling, streaming, required: ["prompt"])

    private static let embeddingRequest = Schema.object(
        [
            "model": model, "input": texts, "encoding_format": Schema.word("float", "base64"),
            "pooling": Schema.word("mean", "last"), "normalize": Schema.bool, "priority": priority,
        ], required: ["input"])

    private static let tokenizeChat = Schema.object(
        [
            "model": model, "messages": messages, "tools": Schema.array(functionTool), "return_token_strs": Schema.bool,
        ], required: ["messages"])
    private static let tokenizePrompt = Schema.object(
        [
            "model": model, "prompt": Schema.string, "add_special_tokens": Schema.bool,
            "return_token_strs": Schema.bool,
        ], required: ["prompt"])
    private static let tokenizeContent = Schema.object(
        ["model": model, "content": Schema.string, "add_special": Schema.bool, "return_token_strs": Schema.bool],
        required: ["content"])
    private static let detokenizeRequest = Schema.object(
        ["model": model, "tokens": Schema.array(token)], required: ["tokens"])

    // MARK: OpenAI's newer API

    private static let flatTool = Schema.object(
        ["type": Schema.word("function")], function, required: ["type", "name"])
    private static let flatChoice = Schema.object(
        ["type": Schema.word("function"), "name": Schema.string], required: ["type", "name"])
    private static let itemPart = Schema.object(
        ["type": Schema.word("input_text", "output_text", "text"), "text": Schema.string], required: ["type", "text"])
    private static let itemText = Schema.either(Schema.string, Schema.array(itemPart))
    private static let messageItem = Schema.object(
        [
            "type": Schema.word("message"), "role": Schema.word("user", "assistant", "system", "developer"),
            "content": itemText,
        ], required: ["role", "content"])
    private static let callItem = Schema.object(
        [
            "type": Schema.word("function_call"), "call_id": Schema.string, "name": Schema.string,
            "arguments": Schema.string,
        ], required: ["type", "call_id", "name", "arguments"])
    private static let resultItem = Schema.object(
        ["type": Schema.word("function_call_output"), "call_id": Schema.string, "output": itemText],
        required: ["type", "call_id", "output"])
    private static let item = Schema.either(messageItem, callItem, resultItem)
    private static let responseRequest = Schema.object(
        [
            "model": model, "input": Schema.either(Schema.string, Schema.array(item, least: 1)),
            "instructions": Schema.string, "max_output_tokens": Schema.int(from: 1), "tools": Schema.array(flatTool),
            "tool_choice": Schema.either(choices, flatChoice), "parallel_tool_calls": Schema.bool,
            "text": Schema.object(["format": textFormat]), "metadata": Schema.dictionary,
            "include": Schema.array(Schema.string), "top_logprobs": Schema.int(0...20),
        ], sampling, streaming, required: ["input"])

    // MARK: Anthropic's API

    private static let toolUse = Schema.object(
        ["type": Schema.word("tool_use"), "id": Schema.string, "name": Schema.string, "input": Schema.dictionary],
        required: ["type", "id", "name"])
    private static let toolResult = Schema.object(
        ["type": Schema.word("tool_result"), "tool_use_id": Schema.string, "content": content],
        required: ["type", "tool_use_id"])
    private static let userBlock = Schema.either(textPart, toolResult)
    private static let userBlocks = Schema.object(
        ["role": Schema.word("user"), "content": Schema.either(Schema.string, Schema.array(userBlock, least: 1))],
        required: ["role", "content"])
    private static let assistantBlock = Schema.either(textPart, toolUse)
    private static let assistantBlocks = Schema.object(
        ["role": Schema.word("assistant"), "content": Schema.either(Schema.string, Schema.array(assistantBlock))],
        required: ["role", "content"])
    private static let blockTool = Schema.object(
        [
            "type": Schema.word("custom"), "name": name, "description": Schema.string,
            "input_schema": Schema.dictionary,
        ], required: ["name"])
    private static let oneAtATime: Schema.Fields = ["disable_parallel_tool_use": Schema.bool]
    private static let blockChoice = Schema.either(
        Schema.object(["type": Schema.word("auto", "any", "none")], oneAtATime, required: ["type"]),
        Schema.object(
            ["type": Schema.word("tool"), "name": Schema.string], oneAtATime, required: ["type", "name"]))

    /// What a message and the count of its tokens have in common.
    private static let counted: Schema.Fields = [
        "model": model, "messages": Schema.array(Schema.either(userBlocks, assistantBlocks), least: 1),
        "system": content,
        "tools": Schema.array(blockTool), "tool_choice": blockChoice,
    ]
    private static let countRequest = Schema.object(counted, required: ["messages"])
    private static let messageRequest = Schema.object(
        ["max_tokens": Schema.int(from: 1), "stop_sequences": stop], counted, sampling, streaming,
        required: ["messages", "max_tokens"])
}
