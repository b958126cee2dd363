public import Core

extension Tokenizer {
    /// The prompt of a conversation as tokens, up to where the assistant goes on, which `opening` says.
    ///
    /// Special tokens are put in by id; contents are never trusted. Without `template`, the model's own is used.
    public func encodeChat(
        _ messages: [ChatMessage], tools: [JSONValue] = [], template: ChatTemplate? = nil,
        opening: AssistantOpening = .turn
    ) throws -> [TokenID] {
        let template = template ?? self.template
        var tokens: [TokenID] = []
        for part in try template.parts(messages, tools: tools, opening: opening) {
            switch part {
            case .text(let text): tokens += encode(text)
            case .optional(let name): if let id = specials[name] { tokens.append(id) }
            case .special(let name):
                guard let id = specials[name] else {
                    throw Problem.invalid(
                        "the chat template \(template.rawValue) needs the token \(name), which this model's vocabulary "
                            + "has not; choose another template")
                }
                tokens.append(id)
            }
        }
        return tokens
    }

    /// The prompt of a conversation as text, special tokens spelled out.
    public func renderChat(
        _ messages: [ChatMessage], tools: [JSONValue] = [], template: ChatTemplate? = nil,
        opening: AssistantOpening = .turn
    ) throws -> String {
        try (template ?? self.template).parts(messages, tools: tools, opening: opening).map { part in
            switch part {
            case .special(let name): name
            case .optional(let name): specials[name] == nil ? "" : name
            case .text(let text): text
            }
        }.joined()
    }

    /// A text to be continued, as tokens: behind `[gMASK]<sop>` where the vocabulary has them, never trusted.
    public func encodePrompt(_ text: String) -> [TokenID] {
        ["[gMASK]", "<sop>"].compactMap { specials[$0] } + encode(text)
    }
}
