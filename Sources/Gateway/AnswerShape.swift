import Core
import Tokenization

/// A server-sent event: its data and, where the API names its events, its name.
struct ServerEvent: Sendable {
    var name: String?
    var json: JSONValue

    init(_ json: JSONValue, name: String? = nil) {
        self.name = name
        self.json = json
    }
}

/// What a token, or the end, added to one choice.
struct Delta: Sendable {
    /// A part of what was added.
    enum Part: Sendable {
        case text(String)
        /// A call begins; its arguments follow.
        case call(FunctionCall)
        case arguments(String)
    }

    var choice: Int
    var parts: [Part]
    var token: AnswerToken?
    /// The tokens whose text the first part is, when that is a text: this one, and those before it that waited to be told from a call.
    var spoken: [AnswerToken] = []
    /// How likely tokens of the prompt were, from a place on.
    var scored: (first: Int, tokens: [ScoredToken])?
    /// The choice, when this was its end.
    var end: Choice?
}

/// The form in which one API shows an answer, whole or in pieces.
///
/// A stream is an opening, the events of each delta, and a closing; a route knows nothing of jobs, a shape nothing of HTTP.
protocol AnswerShape: Sendable {
    /// The line that a stream ends with, when it has one.
    var endMark: String? { get }
    /// What a stream begins with.
    mutating func opening() -> [ServerEvent]
    /// What a stream shows of a delta; they come in order.
    mutating func events(of delta: Delta) -> [ServerEvent]
    /// What a stream ends with when all choices have ended.
    mutating func closing(_ answer: Answer) -> [ServerEvent]
    /// What a stream ends with when something went wrong.
    mutating func failure(_ error: APIError) -> [ServerEvent]
    /// The answer in one.
    func whole(_ answer: Answer) -> JSONValue
}

/// What every object of OpenAI's two older APIs begins with, and what their streams have in common.
struct AnswerHead: Sendable {
    let id: String
    let model: String
    let created: Int
    let fingerprint: String
    let attention: AttentionMode
    let streaming: StreamFields

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

    /// A chunk of a stream with one choice; those before the usage say that they have none.
    func chunk(_ object: String, choice: JSONValue, timings: JSONValue? = nil) -> ServerEvent {
        ServerEvent(
            self.object(
                object, choices: [choice], usage: streaming.includesUsage ? .null : nil, timings: timings))
    }

    /// The chunk with the usage, when the client asked for it.
    func usage(_ object: String, _ answer: Answer) -> [ServerEvent] {
        streaming.includesUsage ? [ServerEvent(self.object(object, choices: [], usage: answer.usage.json))] : []
    }
}
