import Core
import Hummingbird

/// The OpenAPI document of the gateway, which is served at `/openapi.json`.
enum Document {
    /// One method of one path.
    struct Operation: Sendable {
        var path: String
        var method: String
        var summary: String
        /// The name of the body's schema.
        var body: String?
        /// The body's media type.
        var bodyMedia = "application/json"
        /// The name of the schema of a form that is taken in the body's place.
        var form: String?
        /// Parameters behind the path, none of them needed.
        var query: [String] = []
        var status = 200
        /// The name of the answer's schema, unless the answer is no JSON.
        var answer: String?
        /// The media types of an answer that is no JSON or may be something else besides.
        var media: [String] = []
        /// The schema of errors.
        var error = "Error"
    }

    /// Every operation, in the order of the document.
    static let operations: [Operation] = generation + cluster

    /// The document, for a model with so many tokens.
    static func json(vocabulary: Int) -> JSONValue {
        .record([
            "openapi": .string("3.1.0"), "info": info, "servers": .array([.record(["url": .string("/")])]),
            "security": security, "paths": paths, "components": components(vocabulary: vocabulary),
        ])
    }

    private static let info = JSONValue.record([
        "title": .string("GLM Cluster"), "version": .string("1"),
        "description": .string(
            "GLM-4 on CPU hosts behind the APIs of OpenAI and Anthropic. Fields that are not named here are ignored."),
        "license": .record(["name": .string("Apache-2.0"), "identifier": .string("Apache-2.0")]),
    ])

    private static func components(vocabulary: Int) -> JSONValue {
        let all = [("Token", Schema.int(0...vocabulary - 1))] + schemas
        return .record([
            "schemas": .record(all.map { ($0.0, JSONValue?.some($0.1)) }), "securitySchemes": keys,
        ])
    }

    private static let keys = JSONValue.record([
        "key": .record(["type": .string("http"), "scheme": .string("bearer")]),
        "anthropicKey": .record(["type": .string("apiKey"), "in": .string("header"), "name": .string("x-api-key")]),
    ])

    /// A key, or none where the gateway wants none.
    private static let security = JSONValue.array([
        .record(["key": .array([])]), .record(["anthropicKey": .array([])]), .object([]),
    ])

    /// The methods that a path has; none when there is no such path.
    static func methods(of path: String) -> [String] {
        let parts = path.split(separator: "/")
        return operations.filter { operation in
            let wanted = operation.path.split(separator: "/")
            return wanted.count == parts.count && zip(wanted, parts).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
        }.map(\.method)
    }

    private static var paths: JSONValue {
        var order: [String] = []
        var members: [String: [(String, JSONValue?)]] = [:]
        for operation in operations {
            if members[operation.path] == nil { order.append(operation.path) }
            members[operation.path, default: []].append((operation.method.lowercased(), operation.json))
        }
        return .record(order.map { ($0, .record(members[$0] ?? [])) })
    }

    private static let schemas: [(String, JSONValue)] = requests + answers + clusterSchemas
}

extension Document.Operation {
    /// The operation object.
    fileprivate var json: JSONValue {
        let inPath = path.split(separator: "/").filter { $0.hasPrefix("{") }.map { part in
            parameter(String(part.dropFirst().dropLast()), in: "path", isRequired: true)
        }
        let parameters = inPath + query.map { parameter($0, in: "query", isRequired: false) }
        var content: [(String, JSONValue?)] = []
        if let answer { content.append(("application/json", holder(Schema.ref(answer)))) }
        for type in media { content.append((type, holder(type.hasPrefix("text/event") ? Schema.any : Schema.string))) }
        let done = JSONValue.record(["description": .string("Done."), "content": .record(content)])
        let failed = JSONValue.record([
            "description": .string("What went wrong."),
            "content": .record(["application/json": holder(Schema.ref(error))]),
        ])
        return .record([
            "operationId": .string(identifier), "summary": .string(summary),
            "parameters": parameters.isEmpty ? nil : .array(parameters), "requestBody": body.map { request($0) },
            "responses": .object([.init("\(status)", done), .init("default", failed)]),
        ])
    }

    private func parameter(_ name: String, in place: String, isRequired: Bool) -> JSONValue {
        .record([
            "name": .string(name), "in": .string(place), "required": .bool(isRequired),
            "schema": isRequired ? Schema.filled : Schema.string,
        ])
    }

    private func request(_ schema: String) -> JSONValue {
        let media = [(bodyMedia, schema)] + (form.map { [("multipart/form-data", $0)] } ?? [])
        return .record([
            "required": .bool(true), "content": .object(media.map { .init($0, holder(Schema.ref($1))) }),
        ])
    }

    private func holder(_ schema: JSONValue) -> JSONValue { .record(["schema": schema]) }

    /// `POST /v1/chat/completions` is `post_v1_chat_completions`.
    private var identifier: String {
        ([method.lowercased()] + path.split(separator: "/").map { $0.filter { $0 != "{" && $0 != "}" } })
            .joined(separator: "_").replacing(".", with: "_")
    }
}

/// `/openapi.json`.
struct DocumentRoute: Sendable {
    let models: ModelShelf

    func add(to router: Router<BasicRequestContext>) {
        router.get("/openapi.json") { [models] _, _ in
            // While there is no model the document says of tokens only that they are small numbers.
            let card = try? await models.card()
            return Response(json: Document.json(vocabulary: card?.vocabularySize ?? Int(Int32.max)))
        }
    }
}
