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
        Operation(
            path: "/tokenizer_info", method: "GET", summary: "The tokenizer in figures", answer: "TokenizerInfo"),
    ]
}
