import Core

/// The routes that generate, embed and count, with their requests.
extension Document {
    static let generation = [
        Operation(
            path: "/v1/chat/completions", method: "POST", summary: "The assistant's next message, whole or streamed",
            body: "ChatRequest", answer: "ChatCompletion", media: ["text/event-stream"]),
        Operation(
            path: "/v1/completions", method: "POST", summary: "Texts continued, whole or streamed",
            body: "CompletionRequest", answer: "Completion", media: ["text/event-stream"]),
        Operation(
            path: "/v1/responses", method: "POST", summary: "OpenAI's newer form of a chat, whole or streamed",
            body: "ResponseRequest", answer: "Response", media: ["text/event-stream"]),
        Operation(
            path: "/v1/messages", method: "POST", summary: "Anthropic's form of a chat, whole or streamed",
            body: "MessageRequest", answer: "Message", media: ["text/event-stream"], error: "MessageError"),
        Operation(
            path: "/v1/messages/count_tokens", method: "POST", summary: "The tokens of a message's prompt",
            body: "CountRequest", answer: "Count", error: "MessageError"),
        Operation(
            path: "/v1/embeddings", method: "POST", summary: "Texts as vectors", body: "EmbeddingRequest",
            answer: "Embeddings"),
        Operation(
            path: "/tokenize", method: "POST", summary: "A text or a chat as tokens", body: "TokenizeRequest",
            answer: "Tokens"),
        Operation(
            path: "/detokenize", method: "POST", summary: "Tokens as text", body: "DetokenizeRequest", answer: "Text"),
    ]

    /// How tokens are drawn.
    private static let sampling: Schema.Fields = [
        ("temperature", Schema.number(0...2)), ("top_p", Schema.positive(upTo: 1)),
        ("top_k", Schema.int(-1...Int(Int32.max))), ("min_p", Schema.number(0...1)),
        ("repetition_penalty", Schema.positive(upTo: 100)), ("presence_penalty", Schema.number(-2...2)),
        ("frequency_penalty", Schema.number(-2...2)),
        (
            "logit_bias",
            .record([
                "type": .string("object"), "propertyNames": .record(["pattern": .string("^[0-9]{1,6}$")]),
                "additionalProperties": Schema.number(-100...100),
            ])
        ),
        ("seed", Schema.int(Int.min...Int.max)), ("min_tokens", Schema.int(0...Int(Int32.max))),
        ("ignore_eos", Schema.bool), ("stop_token_ids", Schema.array(Schema.int(0...Int(Int32.max)))),
        ("cache_prompt", Schema.bool), ("attention", Schema.word("exact", "sparse")),
    ]

    private static let stop = Schema.either(
        Schema.string, Schema.array(.record(["type": .string("string"), "minLength": .integer(1)]), most: 16))

    private static let streaming: Schema.Fields = [
        ("stream", Schema.bool), ("stream_options", Schema.object([("include_usage", Schema.bool)])),
    ]

    private static let model = ("model", Schema.text("The model that is served; it may be left out."))
    private static let formats = Schema.word("text", "json_object", "json_schema")
    private static let responseFormat = Schema.object([("type", formats), ("json_schema", Schema.object(namedSchema))])
    private static let textFormat = Schema.object([("type", formats)] + namedSchema)
    private static let namedSchema: Schema.Fields = [
        ("name", Schema.text("Letters, digits, _ and -, 64 at most.")), ("schema", Schema.dictionary),
        ("strict", Schema.bool),
    ]
    private static let forms: Schema.Fields = [
        ("response_format", responseFormat), ("grammar", Schema.text("A grammar in GBNF.")),
        ("regex", Schema.text("A regular expression that the whole answer matches.")),
        ("guided_json", Schema.either(Schema.dictionary, Schema.string)), ("guided_regex", Schema.string),
        ("guided_grammar", Schema.string), ("guided_choice", Schema.array(Schema.string, least: 1)),
    ]
    private static let copies: Schema.Fields = [("n", Schema.int(1...128))]
    private static let tokens = Schema.array(Schema.int(0...Int(Int32.max)), least: 1)
    private static let texts = Schema.either(
        Schema.string, Schema.array(Schema.either(Schema.string, tokens), least: 1), tokens)

    private static let name = JSONValue.record([
        "type": .string("string"), "pattern": .string("^[!-~]+$"), "maxLength": .integer(256),
    ])

    /// A function with its parameters under this key.
    private static func function(_ parameters: String) -> Schema.Fields {
        [("name", name), ("description", Schema.string), (parameters, Schema.dictionary)]
    }

    private static let functionTool = Schema.object(
        [("type", Schema.word("function")), ("function", Schema.object(function("parameters"), required: ["name"]))],
        required: ["type", "function"])

    private static let parts = Schema.array(
        Schema.object([("type", Schema.word("text")), ("text", Schema.string)], required: ["type", "text"]))

    static let generationSchemas: Schema.Fields = [
        (
            "ChatMessage",
            Schema.either(
                Schema.object(
                    [
                        ("role", Schema.word("system", "developer", "user", "tool")),
                        ("content", Schema.either(Schema.string, parts)),
                        ("name", Schema.string), ("tool_call_id", Schema.string),
                    ], required: ["role", "content"]),
                Schema.object(
                    [
                        ("role", Schema.word("assistant")), ("content", Schema.either(Schema.string, parts)),
                        ("name", Schema.string),
                        (
                            "tool_calls",
                            Schema.array(
                                Schema.object(
                                    [
                                        ("id", Schema.string), ("type", Schema.word("function")),
                                        (
                                            "function",
                                            Schema.object(
                                                [("name", name), ("arguments", Schema.string)], required: ["name"])
                                        ),
                                    ], required: ["function"]))
                        ),
                    ], required: ["role"]))
        ),
        (
            "ChatRequest",
            Schema.object(
                [
                    model, ("messages", Schema.array(Schema.ref("ChatMessage"), least: 1)),
                    ("max_tokens", Schema.int(from: 1)),
                    ("max_completion_tokens", Schema.int(from: 1)), ("stop", stop), ("logprobs", Schema.bool),
                    ("top_logprobs", Schema.int(0...20)), ("tools", Schema.array(functionTool)),
                    (
                        "tool_choice",
                        Schema.either(
                            Schema.word("auto", "none", "required"),
                            Schema.object(
                                [
                                    ("type", Schema.word("function")),
                                    ("function", Schema.object([("name", Schema.string)], required: ["name"])),
                                ], required: ["type", "function"]))
                    ),
                    ("parallel_tool_calls", Schema.bool),
                    ("continue_final_message", Schema.bool),
                ] + forms + copies + sampling + streaming, required: ["messages"])
        ),
        (
            "CompletionRequest",
            Schema.object(
                [
                    model, ("prompt", texts), ("max_tokens", Schema.int(from: 1)), ("stop", stop),
                    ("echo", Schema.bool),
                    ("logprobs", Schema.int(0...20)), ("best_of", Schema.int(1...128)),
                ] + forms + copies + sampling + streaming, required: ["prompt"])
        ),
        (
            "ResponseRequest",
            Schema.object(
                [
                    model, ("input", Schema.either(Schema.string, Schema.array(Schema.dictionary, least: 1))),
                    ("instructions", Schema.string), ("max_output_tokens", Schema.int(from: 1)),
                    (
                        "tools",
                        Schema.array(
                            Schema.object(
                                [("type", Schema.word("function"))] + function("parameters"),
                                required: ["type", "name"]))
                    ),
                    (
                        "tool_choice",
                        Schema.either(
                            Schema.word("auto", "none", "required"),
                            Schema.object(
                                [("type", Schema.word("function")), ("name", Schema.string)],
                                required: ["type", "name"]))
                    ),
                    ("parallel_tool_calls", Schema.bool), ("text", Schema.object([("format", textFormat)])),
                    ("metadata", Schema.dictionary),
                ] + sampling + streaming, required: ["input"])
        ),
        (
            "MessageRequest",
            Schema.object(
                [("max_tokens", Schema.int(from: 1)), ("stop_sequences", stop)] + message + sampling + streaming,
                required: ["messages", "max_tokens"])
        ),
        ("CountRequest", Schema.object(message, required: ["messages"])),
        (
            "EmbeddingRequest",
            Schema.object(
                [
                    model, ("input", texts), ("encoding_format", Schema.word("float", "base64")),
                    ("pooling", Schema.word("mean", "last")), ("normalize", Schema.bool),
                ], required: ["input"])
        ),
        (
            "TokenizeRequest",
            Schema.either(
                Schema.object(
                    [
                        model, ("messages", Schema.array(Schema.ref("ChatMessage"), least: 1)),
                        ("tools", Schema.array(functionTool)), ("return_token_strs", Schema.bool),
                    ],
                    required: ["messages"]),
                Schema.object(
                    [
                        model, ("prompt", Schema.string), ("add_special_tokens", Schema.bool),
                        ("return_token_strs", Schema.bool),
                    ],
                    required: ["prompt"]),
                Schema.object(
                    [
                        model, ("content", Schema.string), ("add_special", Schema.bool),
                        ("return_token_strs", Schema.bool),
                    ],
                    required: ["content"]))
        ),
        (
            "DetokenizeRequest",
            Schema.object(
                [model, ("tokens", Schema.array(Schema.int(0...Int(Int32.max))))], required: ["tokens"])
        ),
    ]

    /// What a message and the count of its tokens have in common.
    private static let message: Schema.Fields = [
        model,
        (
            "messages",
            Schema.array(
                Schema.object(
                    [
                        ("role", Schema.word("user", "assistant")),
                        ("content", Schema.either(Schema.string, Schema.array(Schema.dictionary))),
                    ], required: ["role", "content"]), least: 1)
        ), ("system", Schema.either(Schema.string, parts)),
        (
            "tools",
            Schema.array(
                Schema.object([("type", Schema.word("custom"))] + function("input_schema"), required: ["name"]))
        ),
        (
            "tool_choice",
            Schema.object(
                [
                    ("type", Schema.word("auto", "any", "tool", "none")), ("name", Schema.string),
                    ("disable_parallel_tool_use", Schema.bool),
                ], required: ["type"])
        ),
    ]
}
