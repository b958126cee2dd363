import ArgumentParser
import Core
import Tokenization

/// How the next token is drawn, beyond temperature, top-p and top-k, as flags.
struct DrawingFlags: ParsableArguments {
    @Option(name: .customLong("min-p"), help: "Keep tokens at least this times as likely as the most likely one.")
    var minP: Float?

    @Option(
        name: .customLong("repetition-penalty"),
        help: "Divide the logits of tokens in prompt and answer by this; 1 is none.")
    var repetitionPenalty: Float?

    @Option(name: .customLong("presence-penalty"), help: "Take this from the logits of tokens in the answer.")
    var presencePenalty: Float?

    @Option(
        name: .customLong("frequency-penalty"),
        help: "Take this from a token's logit for each time that it is in the answer.")
    var frequencyPenalty: Float?

    @Option(name: .customLong("logit-bias"), help: "Add to a token's logit: TOKEN=NUMBER; may be given several times.")
    var logitBias: [String] = []

    @Option(name: .customLong("min-tokens"), help: "Let nothing end the answer before so many tokens.")
    var minTokens: Int?

    @Option(name: .customLong("stop-token"), help: "End the answer at this token id; may be given several times.")
    var stopTokens: [Int32] = []

    /// Puts what was given into `options`.
    func apply(to options: inout GenerationOptions) throws {
        if let minP { options.sampling.minP = minP }
        if let repetitionPenalty { options.sampling.repetitionPenalty = repetitionPenalty }
        if let presencePenalty { options.sampling.presencePenalty = presencePenalty }
        if let frequencyPenalty { options.sampling.frequencyPenalty = frequencyPenalty }
        for (token, bias) in try biases() { options.sampling.logitBias[token] = bias }
        if let minTokens { options.minTokens = minTokens }
        options.stopTokenIDs = stopTokens
    }

    /// The fields of a request.
    func members() throws -> [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        func add(_ name: String, _ value: Float?) {
            if let value { members.append(.init(name, .number("\(value)"))) }
        }
        add("min_p", minP)
        add("repetition_penalty", repetitionPenalty)
        add("presence_penalty", presencePenalty)
        add("frequency_penalty", frequencyPenalty)
        let biases = try biases()
        if !biases.isEmpty {
            members.append(
                .init("logit_bias", .object(biases.map { .init("\($0)", .number("\($1)")) })))
        }
        if let minTokens { members.append(.init("min_tokens", .integer(minTokens))) }
        if !stopTokens.isEmpty { members.append(.init("stop_token_ids", .array(stopTokens.map { .integer($0) }))) }
        return members
    }

    private func biases() throws -> [(TokenID, Float)] {
        try logitBias.map { text in
            let parts = text.split(separator: "=", omittingEmptySubsequences: false)
            guard parts.count == 2, let token = TokenID(parts[0]), let bias = Float(parts[1]), bias.isFinite else {
                throw Problem.invalid("--logit-bias '\(text)': expected TOKEN=NUMBER, like 42=-5")
            }
            return (token, bias)
        }
    }
}
