import Core
import Tokenization

/// A token of an answer with what it added to the text.
struct AnswerToken: Sendable {
    var drawn: TokenLogprob
    var top: [TokenLogprob]
    var text: String
}

/// A call of a function that an answer makes.
struct FunctionCall: Sendable {
    /// The name that the tool's answer repeats: letters and digits, without a prefix.
    let id: String
    let name: String

    /// A call with a name of its own, that no other call of the conversation has.
    init(name: String) {
        id = String(UInt64.random(in: 1 << 60...UInt64.max), radix: 16)
        self.name = name
    }
}

/// A part of an answer: text, or a call.
struct AnswerItem: Sendable {
    /// The call; nil for text.
    let call: FunctionCall?
    /// The text, or the call's arguments.
    var text = ""
    /// The tokens of a text, where somebody asked for their log-probabilities.
    var tokens: [AnswerToken] = []
}

/// One of the answers to a request.
struct Choice: Sendable {
    var items: [AnswerItem] = []
    /// The tokens, where somebody asked for their log-probabilities.
    var tokens: [AnswerToken] = []
    /// The prompt's tokens from the second on, where somebody asked how likely they were.
    var scored: [ScoredToken] = []
    /// The prompt's embedding, where that is the answer.
    var embedding: [Float] = []
    /// Why it ended; nil while it goes on.
    var finish: FinishReason?
    /// The stop string that ended it, when one did.
    var stop: String?
    var usage = Usage(promptTokens: 0, completionTokens: 0)
    var timings = Timings()

    /// All text.
    var text: String { items.reduce(into: "") { text, item in if item.call == nil { text += item.text } } }
}

/// A complete answer.
struct Answer: Sendable {
    /// One for each prompt and copy.
    var choices: [Choice]
    /// How many of them continue the same prompt.
    var copies = 1

    /// The problem of a job whose events ended before the job did.
    static var interrupted: Problem {
        .failed("the coordinator went away before the answer was complete; send the request again")
    }

    /// What all choices used; a prompt counts once, however many continue it.
    var usage: Usage {
        var sum = Usage(promptTokens: 0, completionTokens: 0)
        for (index, choice) in choices.enumerated() {
            sum.completionTokens += choice.usage.completionTokens
            guard index % copies == 0 else { continue }
            sum.promptTokens += choice.usage.promptTokens
            sum.cachedTokens += choice.usage.cachedTokens
        }
        return sum
    }

    /// Where the time went, when there is one choice only.
    var timingsJSON: JSONValue? { choices.count == 1 ? choices.first?.timingsJSON : nil }
}

extension Usage {
    /// OpenAI's usage of a completion.
    var json: JSONValue {
        .record([
            "prompt_tokens": .integer(promptTokens), "completion_tokens": .integer(completionTokens),
            "total_tokens": .integer(promptTokens + completionTokens),
            "prompt_tokens_details": .record(["cached_tokens": .integer(cachedTokens), "audio_tokens": .integer(0)]),
            "completion_tokens_details": .record([
                "reasoning_tokens": .integer(0), "audio_tokens": .integer(0),
                "accepted_prediction_tokens": .integer(0), "rejected_prediction_tokens": .integer(0),
            ]),
        ])
    }
}

extension Choice {
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

    /// OpenAI's word for the end: calls wait for their answers, unless the answer was cut short.
    var finishJSON: JSONValue {
        let calls = finish == .stop && items.contains { $0.call != nil }
        return .string(calls ? "tool_calls" : (finish ?? .error).rawValue)
    }
}

extension AttentionMode {
    /// Its name where it is not what everybody expects; exact attention is not mentioned.
    var json: JSONValue? { self == .exact ? nil : .string(rawValue) }
}

extension TokenLogprob {
    /// The log-probability; JSON has no infinity, and -9999 is what OpenAI says for it.
    var logprobJSON: JSONValue { .real(logprob.isFinite ? Double(logprob) : -9999) }
}
