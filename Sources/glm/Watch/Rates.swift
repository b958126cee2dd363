import Core
import Tokenization

/// How fast a cluster works: the difference of two looks at its status.
struct Rates {
    /// Tokens of prompts a second.
    var promptTokens = 0.0
    /// Tokens of answers a second.
    var generatedTokens = 0.0
    /// Steps a second.
    var steps = 0.0
    /// Bytes a second to other workers, by worker.
    var sent: [String: Double] = [:]

    /// Rates from `earlier` to `later`, `seconds` apart; a coordinator that was started anew in between begins from 0.
    init(from earlier: JSONValue, to later: JSONValue, seconds: Double) {
        guard seconds > 0 else { return }
        func rate(_ value: (JSONValue) -> Double?) -> Double {
            max(0, ((value(later) ?? 0) - (value(earlier) ?? 0)) / seconds)
        }
        promptTokens = rate { $0["totals"]?["prompt_tokens"]?.double }
        generatedTokens = rate { $0["totals"]?["generated_tokens"]?.double }
        // Steps are counted anew with every plan.
        steps = earlier["epoch"] == later["epoch"] ? rate { $0["steps"]?.double } : 0
        for member in later["members"]?.elements ?? [] {
            guard let name = member["worker"]?.string else { continue }
            sent[name] = rate { status in
                status["members"]?.elements?.first { $0["worker"]?.string == name }?["bytes_sent"]?.double
            }
        }
    }

    /// The rates for programs.
    var json: JSONValue {
        func number(_ value: Double) -> JSONValue { .number(Terminal.fixed(value, places: 3)) }
        return .object([
            .init("prompt_tokens_per_second", number(promptTokens)),
            .init("generated_tokens_per_second", number(generatedTokens)), .init("steps_per_second", number(steps)),
            .init(
                "bytes_sent_per_second",
                .object(sent.sorted { $0.key < $1.key }.map { .init($0.key, number($0.value)) })),
        ])
    }
}
