import Core
import Hummingbird
import Tokenization

/// `/tokenize`, `/detokenize` and `/tokenizer_info`: what a text or a conversation is to the model, in the fields of vLLM and
/// llama-server.
struct TokenRoutes: Sendable {
    let generation: Generation

    func add(to router: Router<BasicRequestContext>) {
        router.post("/tokenize") { [generation] request, _ in
            Response(json: try await generation.read(request) { try Self.tokenize($0, model: $1) })
        }
        router.post("/detokenize") { [generation] request, _ in
            Response(json: try await generation.read(request) { try Self.detokenize($0, model: $1) })
        }
        router.get("/tokenizer_info") { [generation] _, _ in
            Response(json: Self.info(try await generation.models.served()))
        }
    }

    /// What programs that tokenize with the routes above must know besides. Templates are not told: they are no text here.
    private static func info(_ model: ServedModel) -> JSONValue {
        .record([
            "tokenizer_class": .string("remote"), "vocab_size": .integer(model.card.vocabularySize),
            "model_max_length": .integer(model.card.contextLength), "eos_token": .optional(model.endName),
            "bos_token": .null, "pad_token": .null,
        ])
    }

    /// The tokens of `messages`, as a chat begins; of `prompt`, as a completion does; or of `content`, a text by itself.
    private static func tokenize(_ body: JSONValue, model: ServedModel) throws -> JSONValue {
        let fields = try Fields(body)
        try model.check(fields)
        let tokens: [TokenID]
        if fields.value("messages") != nil {
            let tools = try ChatFields.tools(fields)
            tokens = try model.chatPrompt(try ChatFields.messages(fields), tools: tools.shown, opening: tools.opening)
        } else {
            let content = try fields.string("content")
            guard let text = try content ?? fields.string("prompt") else {
                throw APIError.field(
                    "prompt", "prompt: missing; expected messages (a chat), prompt or content (a text)", code: "missing"
                )
            }
            let llamaServer = try fields.bool("add_special")
            let addsSpecial = try fields.bool("add_special_tokens") ?? llamaServer ?? (content == nil)
            tokens = addsSpecial ? model.textPrompt(text) : model.tokenizer.encode(text)
        }
        let wantsStrings = try fields.bool("return_token_strs") ?? false
        return .record([
            "count": .integer(tokens.count), "max_model_len": .integer(model.card.contextLength),
            "tokens": .array(tokens.map { .integer($0) }),
            "token_strs": wantsStrings ? .array(tokens.map { .string(model.text(of: $0)) }) : nil,
        ])
    }

    /// The text of tokens; special tokens add nothing to it.
    private static func detokenize(_ body: JSONValue, model: ServedModel) throws -> JSONValue {
        let fields = try Fields(body)
        try model.check(fields)
        guard let elements = try fields.array("tokens") else {
            throw APIError.field("tokens", "tokens: missing; expected an array of tokens", code: "missing")
        }
        let tokens = try TextInputs.tokens(elements, at: "tokens", param: "tokens", model: model)
        let text = JSONValue.string(model.tokenizer.decode(tokens))
        return .record(["prompt": text, "content": text])
    }
}
