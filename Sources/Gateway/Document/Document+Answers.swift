import Core

/// What the routes that generate answer.
extension Document {
    static let answers: [(String, JSONValue)] = [
        ("Error", error), ("MessageError", messageError), ("Usage", usage), ("ChatCompletion", chatCompletion),
        ("Completion", completion), ("Response", response), ("Message", message), ("Count", count),
        ("Embeddings", embeddings), ("Tokens", tokens), ("Text", text),
        ("TokenizerInfo", tokenizerInfo),
    ]

    private static let count0 = Schema.int(from: 0)
    private static let maybeString = Schema.nullable(Schema.string)
    private static let maybeObject = Schema.nullable(Schema.dictionary)

    private static let errorBody = Schema.answer(
        ["message": Schema.string, "type": Schema.string, "param": maybeString, "code": maybeString],
        required: ["message", "type", "param", "code"])
    private static let error = Schema.answer(["error": errorBody], required: ["error"])

    private static let messageErrorBody = Schema.answer(
        ["type": Schema.string, "message": Schema.string], required: ["type", "message"])
    private static let messageError = Schema.answer(
        ["type": Schema.word("error"), "error": messageErrorBody], required: ["type", "error"])

    private static let usage = Schema.answer(
        [
            "prompt_tokens": count0, "completion_tokens": count0, "total_tokens": count0,
            "prompt_tokens_details": Schema.dictionary, "completion_tokens_details": Schema.dictionary,
        ], required: ["prompt_tokens", "total_tokens"])

    /// What chats and completions begin with.
    private static let head: Schema.Fields = [
        "id": Schema.string, "object": Schema.string, "created": count0, "model": Schema.string,
        "system_fingerprint": Schema.string, "attention": Schema.string, "usage": Schema.ref("Usage"),
        "timings": Schema.dictionary,
    ]
    private static let headRequired = ["id", "object", "created", "model", "choices"]
    private static let choice: Schema.Fields = [
        "index": count0, "logprobs": maybeObject,
        "finish_reason": Schema.word("stop", "length", "tool_calls", "cancelled", "error"),
    ]

    private static let chatMessage = Schema.answer(
        [
            "role": Schema.word("assistant"), "content": maybeString, "refusal": maybeString,
            "tool_calls": Schema.array(Schema.dictionary),
        ], required: ["role", "content"])
    private static let chatChoice = Schema.answer(
        choice, ["message": chatMessage], required: ["index", "message", "finish_reason"])
    private static let chatCompletion = Schema.answer(
        head, ["choices": Schema.array(chatChoice)], required: headRequired)

    private static let textChoice = Schema.answer(
        choice, ["text": Schema.string], required: ["index", "text", "finish_reason"])
    private static let completion = Schema.answer(
        head, ["choices": Schema.array(textChoice)], required: headRequired)

    private static let response = Schema.answer(
        [
            "id": Schema.string, "object": Schema.string, "created_at": count0, "model": Schema.string,
            "status": Schema.word("completed", "incomplete"), "output": Schema.array(Schema.dictionary),
            "usage": Schema.dictionary,
        ], required: ["id", "object", "created_at", "model", "status", "output"])

    private static let message = Schema.answer(
        [
            "id": Schema.string, "type": Schema.word("message"), "role": Schema.word("assistant"),
            "model": Schema.string, "content": Schema.array(Schema.dictionary),
            "stop_reason": Schema.word("end_turn", "max_tokens", "stop_sequence", "tool_use"),
            "stop_sequence": maybeString, "usage": Schema.dictionary,
        ], required: ["id", "type", "role", "model", "content", "stop_reason", "usage"])
    private static let count = Schema.answer(["input_tokens": count0], required: ["input_tokens"])

    private static let vector = Schema.either(Schema.string, Schema.array(Schema.number()))
    private static let embedding = Schema.answer(
        ["object": Schema.string, "index": count0, "embedding": vector], required: ["index", "embedding"])
    private static let embeddings = Schema.answer(
        [
            "object": Schema.string, "model": Schema.string, "pooling": Schema.string, "normalized": Schema.bool,
            "usage": Schema.ref("Usage"), "data": Schema.array(embedding),
        ], required: ["object", "model", "data", "usage"])

    private static let tokens = Schema.answer(
        [
            "count": count0, "max_model_len": count0, "tokens": Schema.array(count0),
            "token_strs": Schema.array(Schema.string),
        ], required: ["count", "max_model_len", "tokens"])
    private static let tokenizerInfo = Schema.answer(
        ["vocab_size": count0, "model_max_length": count0, "eos_token": maybeString, "bos_token": maybeString],
        required: ["eos_token"])
    private static let text = Schema.answer(
        ["prompt": Schema.string, "content": Schema.string], required: ["prompt", "content"])
}
