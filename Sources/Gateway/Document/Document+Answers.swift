import Core

/// What the routes that generate answer.
extension Document {
    private static let object = ("object", Schema.string)
    private static let head: Schema.Fields = [
        ("id", Schema.string), object, ("created", Schema.int()), ("model", Schema.string),
        ("system_fingerprint", Schema.string), ("attention", Schema.string), ("usage", Schema.ref("Usage")),
        ("timings", Schema.dictionary),
    ]
    private static let headRequired = ["id", "object", "created", "model", "choices"]
    private static let finish = ("finish_reason", Schema.word("stop", "length", "tool_calls", "cancelled", "error"))

    static let answerSchemas: Schema.Fields = [
        (
            "Error",
            Schema.answer(
                [
                    (
                        "error",
                        Schema.answer(
                            [
                                ("message", Schema.string), ("type", Schema.string),
                                ("param", Schema.nullable(Schema.string)),
                                ("code", Schema.nullable(Schema.string)),
                            ], required: ["message", "type", "param", "code"])
                    )
                ], required: ["error"])
        ),
        (
            "MessageError",
            Schema.answer(
                [
                    ("type", Schema.word("error")),
                    (
                        "error",
                        Schema.answer(
                            [("type", Schema.string), ("message", Schema.string)], required: ["type", "message"])
                    ),
                ], required: ["type", "error"])
        ),
        (
            "Usage",
            Schema.answer(
                [
                    ("prompt_tokens", Schema.int(from: 0)), ("completion_tokens", Schema.int(from: 0)),
                    ("total_tokens", Schema.int(from: 0)), ("prompt_tokens_details", Schema.dictionary),
                    ("completion_tokens_details", Schema.dictionary),
                ], required: ["prompt_tokens", "total_tokens"])
        ),
        (
            "ChatCompletion",
            Schema.answer(
                head + [
                    (
                        "choices",
                        Schema.array(
                            Schema.answer(
                                [
                                    ("index", Schema.int(from: 0)),
                                    (
                                        "message",
                                        Schema.answer(
                                            [
                                                ("role", Schema.word("assistant")),
                                                ("content", Schema.nullable(Schema.string)),
                                                ("refusal", Schema.nullable(Schema.string)),
                                                ("tool_calls", Schema.array(Schema.dictionary)),
                                            ], required: ["role", "content"])
                                    ), ("logprobs", Schema.nullable(Schema.dictionary)),
                                    finish,
                                ], required: ["index", "message", "finish_reason"]))
                    )
                ], required: headRequired)
        ),
        (
            "Completion",
            Schema.answer(
                head + [
                    (
                        "choices",
                        Schema.array(
                            Schema.answer(
                                [
                                    ("index", Schema.int(from: 0)), ("text", Schema.string),
                                    ("logprobs", Schema.nullable(Schema.dictionary)), finish,
                                ], required: ["index", "text", "finish_reason"]))
                    )
                ], required: headRequired)
        ),
        (
            "Response",
            Schema.answer(
                [
                    ("id", Schema.string), object, ("created_at", Schema.int()), ("model", Schema.string),
                    ("status", Schema.word("completed", "incomplete")), ("output", Schema.array(Schema.dictionary)),
                    ("usage", Schema.dictionary),
                ], required: ["id", "object", "created_at", "model", "status", "output"])
        ),
        (
            "Message",
            Schema.answer(
                [
                    ("id", Schema.string), ("type", Schema.word("message")), ("role", Schema.word("assistant")),
                    ("model", Schema.string), ("content", Schema.array(Schema.dictionary)),
                    ("stop_reason", Schema.word("end_turn", "max_tokens", "stop_sequence", "tool_use")),
                    ("stop_sequence", Schema.nullable(Schema.string)), ("usage", Schema.dictionary),
                ], required: ["id", "type", "role", "model", "content", "stop_reason", "usage"])
        ),
        ("Count", Schema.answer([("input_tokens", Schema.int(from: 1))], required: ["input_tokens"])),
        (
            "Embeddings",
            Schema.answer(
                [
                    object, ("model", Schema.string), ("pooling", Schema.string), ("normalized", Schema.bool),
                    ("usage", Schema.ref("Usage")),
                    (
                        "data",
                        Schema.array(
                            Schema.answer(
                                [
                                    object, ("index", Schema.int(from: 0)),
                                    ("embedding", Schema.either(Schema.string, Schema.array(Schema.number()))),
                                ], required: ["index", "embedding"]))
                    ),
                ], required: ["object", "model", "data", "usage"])
        ),
        (
            "Tokens",
            Schema.answer(
                [
                    ("count", Schema.int(from: 0)), ("max_model_len", Schema.int(from: 1)),
                    ("tokens", Schema.array(Schema.int(from: 0))), ("token_strs", Schema.array(Schema.string)),
                ], required: ["count", "max_model_len", "tokens"])
        ),
        (
            "Text",
            Schema.answer([("prompt", Schema.string), ("content", Schema.string)], required: ["prompt", "content"])
        ),
    ]
}
