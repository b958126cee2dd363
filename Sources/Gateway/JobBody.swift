import Core
import Tokenization

/// What a job is made of: the body of one of the routes, and which.
struct JobBody: Sendable {
    var endpoint: Endpoint
    var body: JSONValue

    /// A body as it is, or with its route beside it as a line of a batch has them (`{"url": ..., "body": ...}`).
    ///
    /// A bare body is known by the field of its text: that of a message or of an embedding needs its route.
    init(_ json: JSONValue) throws(APIError) {
        let fields = try Fields(json)
        if let url = try fields.string("url") {
            guard let endpoint = Endpoint(rawValue: url) else {
                let all = Endpoint.allCases.map(\.rawValue).joined(separator: ", ")
                throw .field("url", "url: expected one of \(all), found \(url.prefix(80))")
            }
            guard let body = fields.value("body") else {
                throw .field("body", "body: missing; expected the body of \(url)", code: "missing")
            }
            self.endpoint = endpoint
            self.body = body
            return
        }
        body = json
        if fields.value("messages") != nil {
            endpoint = .chat
        } else if fields.value("prompt") != nil {
            endpoint = .completions
        } else if fields.value("input") != nil {
            endpoint = .responses
        } else {
            throw .field(
                "messages",
                "expected messages (a chat), prompt (a completion), input (a response), or url and body, found none of them",
                code: "missing")
        }
    }

    /// The work in a form: the JSON in its field `request`, and files, whose texts are put before what is asked about them.
    init(_ form: Multipart) throws {
        guard let request = form.text("request") else {
            throw APIError.field(
                "request", "request: missing in the form; expected the JSON of a request", code: "missing")
        }
        let files = form.parts.filter { $0.name != "request" }
        let texts = try files.map { part in
            guard let text = String(validating: part.data, as: UTF8.self) else {
                throw APIError.field(part.name, "\(part.name): the file \(part.fileName ?? "") is not UTF-8 text")
            }
            return text
        }
        try self.init(try Generation.json(Array(request.utf8)))
        guard !texts.isEmpty else { return }
        body = try Self.body(body, of: endpoint, with: texts.joined(separator: "\n\n"))
    }

    /// A body with a document before the last thing that the user says, or before the text that is to be continued or embedded.
    private static func body(_ body: JSONValue, of endpoint: Endpoint, with document: String) throws -> JSONValue {
        let field = endpoint.textField
        let fields = try Fields(body)
        let value = try text(fields.value(field), after: document, of: endpoint)
        let others = (body.members ?? []).filter { $0.key != field }
        return .object(others + [JSONValue.Member(field, value)])
    }

    private static func text(_ asked: JSONValue?, after document: String, of endpoint: Endpoint) throws -> JSONValue {
        let field = endpoint.textField
        let gap = endpoint == .completions || endpoint == .embeddings ? "" : "\n\n"
        if let text = asked?.string { return .string(document + gap + text) }
        guard endpoint != .completions, endpoint != .embeddings else {
            guard asked == nil else {
                throw APIError.field(field, "\(field): with a file in the form, expected a text or nothing")
            }
            return .string(document)
        }
        guard var messages = asked?.elements, let last = messages.lastIndex(where: { $0["role"]?.string == "user" })
        else { throw APIError.field(field, "\(field): with a file in the form, expected a message of the user's") }
        let type = endpoint == .responses ? "input_text" : "text"
        let part = JSONValue.record(["type": .string(type), "text": .string(document + gap)])
        let content: JSONValue =
            switch messages[last]["content"] {
            case .string(let text): .string(document + gap + text)
            case .array(let parts): .array([part] + parts)
            case let other: other ?? .null
            }
        let members = (messages[last].members ?? []).filter { $0.key != "content" }
        messages[last] = .object(members + [JSONValue.Member("content", content)])
        return .array(messages)
    }
}
