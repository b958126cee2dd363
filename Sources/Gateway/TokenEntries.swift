import Core
import Tokenization

/// Tokens among the log-probabilities of a chat, in OpenAI's form.
extension ServedModel {
    /// A token's entry with its alternatives; special tokens have none, as they are no content.
    func entry(_ token: AnswerToken) -> JSONValue? {
        guard !isSpecial(token.drawn.token) else { return nil }
        return .record(
            candidate(token.drawn) + [("top_logprobs", .array(token.top.map { .record(candidate($0)) }))])
    }

    private func candidate(_ token: TokenLogprob) -> [(String, JSONValue?)] {
        let bytes = bytes(of: token.token)
        return [
            ("token", .string(String(decoding: bytes, as: UTF8.self))), ("logprob", token.logprobJSON),
            ("bytes", .array(bytes.map { .integer(Int($0)) })),
        ]
    }
}
