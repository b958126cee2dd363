import Core
import NIOPosix
import Tokenization

/// The model that is served, with its tokenizer ready for use.
struct ServedModel: Sendable {
    let card: ModelCard
    let tokenizer: Tokenizer
    /// The token with which a model opens another turn of its own.
    let turnToken: TokenID?
    private let silent: Set<TokenID>

    init(card: ModelCard) throws {
        self.card = card
        tokenizer = try Tokenizer(serialized: card.tokenizer)
        turnToken = tokenizer.specials["<|assistant|>"]
        silent = tokenizer.stopTokens.union(tokenizer.specials.values)
    }

    /// Whether a token is no content: a special one, or one that ends an answer.
    func isSpecial(_ token: TokenID) -> Bool { silent.contains(token) }

    /// The name of the token that ends a text, if there is one.
    var endName: String? {
        let ends = tokenizer.stopTokens.sorted().map { text(of: $0) }
        return ends.first { $0 == "<|endoftext|>" } ?? ends.first
    }

    /// The bytes of a token.
    func bytes(of token: TokenID) -> [UInt8] { tokenizer.bytes(of: token) }

    /// A token as text; what is no UTF-8 alone becomes U+FFFD.
    func text(of token: TokenID) -> String { String(decoding: tokenizer.bytes(of: token), as: UTF8.self) }

    /// Refuses a request for another model.
    func check(_ fields: Fields) throws(APIError) {
        guard let asked = try fields.string("model"), !asked.isEmpty, asked != card.name else { return }
        throw card.unknown(asked)
    }

    /// Refuses a prompt that is empty or leaves no room for an answer.
    func check(_ prompt: [TokenID], param: String) throws(APIError) {
        guard !prompt.isEmpty else { throw .field(param, "\(param): no tokens; send some text") }
        guard prompt.count < card.contextLength else {
            throw .field(
                param,
                "the prompt has \(prompt.count) tokens, but this model's context holds \(card.contextLength), "
                    + "the answer included; send a shorter one", code: "context_length_exceeded")
        }
    }

    /// What every object of an answer begins with.
    func head(id: String, streaming: StreamFields, attention: AttentionMode) -> AnswerHead {
        AnswerHead(
            id: id, model: card.name, created: EpochClock.seconds, fingerprint: "fp_\(card.digest.prefix(12))",
            attention: attention, streaming: streaming)
    }
}

/// Keeps the card and the tokenizer of the model that is served.
///
/// A card holds a whole tokenizer, a megabyte and more, so it is asked for once a second at most, and the tokenizer is
/// built once for a model, not once a request.
actor ModelShelf {
    private static let freshness = Duration.seconds(1)

    private let service: any ClusterService
    private var latest: (card: ModelCard, asked: ContinuousClock.Instant)?
    private var current: (key: Key, model: Task<ServedModel, any Error>)?

    private struct Key: Equatable {
        var name: String
        var digest: String
        var tokenizerBytes: Int
    }

    init(service: any ClusterService) { self.service = service }

    /// What is served now, or was a second ago.
    func card() async throws -> ModelCard {
        let now = ContinuousClock.now
        if let latest, now - latest.asked < Self.freshness { return latest.card }
        let card = try await service.model()
        latest = (card, now)
        return card
    }

    /// The model that is served now.
    func served() async throws -> ServedModel {
        let card = try await card()
        let key = Key(name: card.name, digest: card.digest, tokenizerBytes: card.tokenizer.count)
        if let current, current.key == key { return try await current.model.value }
        guard !card.tokenizer.isEmpty else {
            throw Problem.invalid(
                "the model \(card.name) has no tokenizer; start the coordinator with a model that has one")
        }
        // Requests that come meanwhile wait for the same build.
        let model = Task { try await NIOThreadPool.singleton.runIfActive { try ServedModel(card: card) } }
        current = (key, model)
        return try await model.value
    }
}
