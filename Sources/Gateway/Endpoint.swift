import Core
import Tokenization

/// The routes that give the model work, each with a body of its own: what is asked of them can also be a job or a line of a batch.
enum Endpoint: String, CaseIterable, Sendable {
    case chat = "/v1/chat/completions"
    case completions = "/v1/completions"
    case responses = "/v1/responses"
    case messages = "/v1/messages"
    case embeddings = "/v1/embeddings"

    /// Reads a body. OpenAI's 16 tokens are the default of completions that somebody waits for, and not of a job.
    func read(_ body: JSONValue, model: ServedModel, asJob: Bool = false) throws -> GenerationRequest {
        switch self {
        case .chat: try ChatRoute.read(body, model: model)
        case .completions: try CompletionRoute.read(body, model: model, defaultMaxTokens: asJob ? nil : 16)
        case .responses: try ResponsesRoute.read(body, model: model)
        case .messages: try MessagesRoute.read(body, model: model)
        case .embeddings: try EmbeddingRoute.read(body, model: model)
        }
    }

    /// The field that holds the text.
    var textField: String {
        switch self {
        case .chat, .messages: "messages"
        case .completions: "prompt"
        case .responses, .embeddings: "input"
        }
    }
}
