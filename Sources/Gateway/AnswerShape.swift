import Core
import Tokenization

/// A token of an answer with what it added to the text.
struct AnswerToken: Sendable {
    var drawn: TokenLogprob
    var top: [TokenLogprob]
    var text: String
}

/// A complete answer.
struct Answer: Sendable {
    var text = ""
    var tokens: [AnswerToken] = []
    var finish = FinishReason.stop
    var usage = Usage(promptTokens: 0, completionTokens: 0)
    var timings = Timings()
}

/// The form in which one API shows an answer, whole or in pieces.
///
/// A stream is an opening, pieces, a closing and perhaps the usage; a route knows nothing of jobs, a shape nothing of HTTP.
protocol AnswerShape: Sendable {
    /// What a stream begins with, when it has a beginning of its own.
    func opening() -> JSONValue?
    /// The text that a client sees of what was generated; called once for each piece, in order.
    mutating func visible(_ text: String) -> String
    /// A piece of a stream: text that is visible and the token it belongs to; nil when there is nothing to say.
    mutating func piece(_ text: String, token: AnswerToken?) -> JSONValue?
    /// The last piece: why the answer ended.
    func closing(_ answer: Answer) -> JSONValue
    /// The usage, as a piece of its own.
    func usage(_ answer: Answer) -> JSONValue
    /// The answer in one.
    func whole(_ answer: Answer) -> JSONValue
}

/// What every object of an answer begins with.
struct AnswerHead: Sendable {
    let id: String
    let model: String
    let created: Int
    let fingerprint: String
    let attention: AttentionMode
    /// Whether the usage comes at the end of a stream, so that other pieces say that they have none.
    let announcesUsage: Bool

    /// An object of kind `object` with these choices.
    func object(
        _ object: String, choices: [JSONValue], usage: JSONValue? = nil, timings: JSONValue? = nil
    ) -> JSONValue {
        .record([
            "id": .string(id), "object": .string(object), "created": .integer(created), "model": .string(model),
            "system_fingerprint": .string(fingerprint), "attention": attention.json, "choices": .array(choices),
            "usage": usage, "timings": timings,
        ])
    }
}

extension Answer {
    /// OpenAI's usage.
    var usageJSON: JSONValue {
        .record([
            "prompt_tokens": .integer(usage.promptTokens), "completion_tokens": .integer(usage.completionTokens),
            "total_tokens": .integer(usage.promptTokens + usage.completionTokens),
            "prompt_tokens_details": .record(["cached_tokens": .integer(usage.cachedTokens)]),
        ])
    }

    /// Where the time went, in the words of llama-server, and the time in the queue.
    var timingsJSON: JSONValue {
        let prompt = usage.promptTokens - usage.cachedTokens
        let prefill = timings.prefill.milliseconds
        let decode = timings.decode.milliseconds
        func ratio(_ a: Double, _ b: Double) -> JSONValue { .real(b > 0 ? a / b : 0) }
        return .record([
            "cache_n": .integer(usage.cachedTokens), "prompt_n": .integer(prompt), "prompt_ms": .real(prefill),
            "prompt_per_token_ms": ratio(prefill, Double(prompt)),
            "prompt_per_second": ratio(Double(prompt) * 1e3, prefill), "predicted_n": .integer(usage.completionTokens),
            "predicted_ms": .real(decode), "predicted_per_token_ms": ratio(decode, Double(usage.completionTokens)),
            "predicted_per_second": ratio(Double(usage.completionTokens) * 1e3, decode),
            "queued_ms": .real(timings.queued.milliseconds),
        ])
    }

    /// OpenAI's word for the end.
    var finishJSON: JSONValue { .string(finish.rawValue) }
}

extension AttentionMode {
    /// Its name where it is not what everybody expects; exact attention is not mentioned.
    var json: JSONValue? { self == .exact ? nil : .string(rawValue) }
}

extension TokenLogprob {
    /// The log-probability; JSON has no infinity, and -9999 is what OpenAI says for it.
    var logprobJSON: JSONValue { .real(logprob.isFinite ? Double(logprob) : -9999) }
}
