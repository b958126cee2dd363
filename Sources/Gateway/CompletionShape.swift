import Core
import Tokenization

/// The prompts of a completion that is to repeat them.
struct CompletionEcho: Sendable {
    private let prompts: [[TokenID]]
    private let copies: Int
    /// What each token adds to its prompt's text.
    private let texts: [[String]]

    init(_ prompts: [[TokenID]], copies: Int, model: ServedModel) {
        self.prompts = prompts
        self.copies = copies
        texts = prompts.map { prompt in
            var detokenizer = Detokenizer(model.tokenizer)
            var texts = prompt.map { detokenizer.next($0) }
            if !texts.isEmpty { texts[texts.count - 1] += detokenizer.finish() }
            return texts
        }
    }

    /// The prompt as text, without its special tokens.
    func text(of choice: Int) -> String { texts[choice / copies].joined() }

    /// The prompt's tokens from place `first` on, as they were scored. Nothing stands before the first of all: it comes,
    /// without a log-probability, before the second.
    func entries(of choice: Int, first: Int, _ scored: [ScoredToken]) -> [CompletionShape.Entry] {
        let texts = texts[choice / copies]
        let begin = CompletionShape.Entry(token: prompts[choice / copies][0], logprob: nil, top: [], text: texts[0])
        return (first == 1 ? [begin] : [])
            + zip(scored, texts.dropFirst(first)).map { token, text in
                CompletionShape.Entry(token: token.token.token, logprob: token.token, top: token.top, text: text)
            }
    }
}

/// OpenAI's `text_completion`, whole and in pieces.
struct CompletionShape: AnswerShape {
    private static let object = "text_completion"

    /// A token among the log-probabilities.
    struct Entry {
        var token: TokenID
        /// Nil for the first token of all, which nothing stands before.
        var logprob: TokenLogprob?
        var top: [TokenLogprob]
        /// What it adds to the text.
        var text: String
    }

    let head: AnswerHead
    let model: ServedModel
    let echo: CompletionEcho?
    let wantsLogprobs: Bool
    /// The length of each choice's text so far, in Unicode scalars.
    private var offsets: [Int]
    /// Which choices have shown their prompts.
    private var hasEchoed: [Bool]

    init(head: AnswerHead, model: ServedModel, choices: Int, echo: CompletionEcho?, wantsLogprobs: Bool) {
        self.head = head
        self.model = model
        self.echo = echo
        self.wantsLogprobs = wantsLogprobs
        offsets = Array(repeating: 0, count: choices)
        hasEchoed = Array(repeating: false, count: choices)
    }

    var endMark: String? { "[DONE]" }

    /// With log-probabilities the prompt's text comes with them.
    mutating func opening() -> [ServerEvent] {
        guard let echo, !wantsLogprobs else { return [] }
        return offsets.indices.map { chunk($0, text: echo.text(of: $0)) }
    }

    mutating func events(of delta: Delta) -> [ServerEvent] {
        var events: [ServerEvent] = []
        if let echo, wantsLogprobs, delta.scored != nil || !hasEchoed[delta.choice] {
            // A prompt of one token has none that could be scored.
            hasEchoed[delta.choice] = true
            let entries = echo.entries(of: delta.choice, first: delta.scored?.first ?? 1, delta.scored?.tokens ?? [])
            events.append(
                chunk(delta.choice, text: entries.map(\.text).joined(), logprobs: columns(entries, of: delta.choice)))
        }
        let text = delta.parts.map { if case .text(let text) = $0 { text } else { "" } }.joined()
        let entries = wantsLogprobs ? delta.token.map { [Self.entry($0)] } ?? [] : []
        if !text.isEmpty || !entries.isEmpty {
            events.append(chunk(delta.choice, text: text, logprobs: columns(entries, of: delta.choice)))
        }
        if let end = delta.end {
            events.append(
                chunk(
                    delta.choice, text: "", finish: end.finishJSON,
                    timings: offsets.count == 1 ? end.timingsJSON : nil))
        }
        return events
    }

    func closing(_ answer: Answer) -> [ServerEvent] { head.usage(Self.object, answer) }

    func failure(_ error: APIError) -> [ServerEvent] { [ServerEvent(error.json)] }

    func whole(_ answer: Answer) -> JSONValue {
        let choices = answer.choices.enumerated().map { index, choice in
            var logprobs: JSONValue?
            if wantsLogprobs {
                var offset = 0
                let prompt = echo?.entries(of: index, first: 1, choice.scored) ?? []
                logprobs = Self.columns(prompt + choice.tokens.map(Self.entry), from: &offset, model)
            }
            return JSONValue.record([
                "index": .integer(index), "text": .string((echo?.text(of: index) ?? "") + choice.text),
                "logprobs": logprobs ?? .null, "finish_reason": choice.finishJSON,
            ])
        }
        return head.object(Self.object, choices: choices, usage: answer.usage.json, timings: answer.timingsJSON)
    }

    private func chunk(
        _ choice: Int, text: String, logprobs: JSONValue? = nil, finish: JSONValue = .null, timings: JSONValue? = nil
    ) -> ServerEvent {
        head.chunk(
            Self.object,
            choice: .record([
                "index": .integer(choice), "text": .string(text), "logprobs": logprobs ?? .null,
                "finish_reason": finish,
            ]), timings: timings)
    }

    private static func entry(_ token: AnswerToken) -> Entry {
        Entry(token: token.drawn.token, logprob: token.drawn, top: token.top, text: token.text)
    }

    private mutating func columns(_ entries: [Entry], of choice: Int) -> JSONValue? {
        entries.isEmpty ? nil : Self.columns(entries, from: &offsets[choice], model)
    }

    /// The columns of the log-probabilities; offsets count Unicode scalars, as Python's strings do.
    ///
    /// Special tokens are among them: clients that score a text count the tokens that they sent.
    private static func columns(_ entries: [Entry], from offset: inout Int, _ model: ServedModel) -> JSONValue {
        var offsets: [JSONValue] = []
        for entry in entries {
            offsets.append(.integer(offset))
            offset += entry.text.unicodeScalars.count
        }
        return .record([
            "tokens": .array(entries.map { .string(model.text(of: $0.token)) }),
            "token_logprobs": .array(entries.map { $0.logprob?.logprobJSON ?? .null }),
            "top_logprobs": .array(entries.map { top($0, model) }), "text_offset": .array(offsets),
        ])
    }

    /// The alternatives by their text, the token itself among them.
    private static func top(_ entry: Entry, _ model: ServedModel) -> JSONValue {
        guard let own = entry.logprob else { return .null }
        var seen: Set<String> = []
        return .record(
            (entry.top + [own]).map { (model.text(of: $0.token), $0.logprobJSON) }.filter {
                seen.insert($0.0).inserted
            })
    }
}
