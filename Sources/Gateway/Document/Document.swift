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
        var status = 200
        /// The name of the answer's schema, unless the answer is no JSON.
        var answer: String?
        /// The media types of an answer that is no JSON or may be something else besides.
        var media: [String] = []
        /// The schema of errors.
        var error = "Error"
    }

    /// Every operation, in the order of the document.
    static let operations = generation + cluster

    /// The document.
    static let json = JSONValue.record([
        "openapi": .string("3.1.0"),
        "info": .record([
            "title": .string("GLM Cluster"), "version": .string("1"),
            "description": .string(
                "GLM-4 on CPU hosts behind the APIs of OpenAI and Anthropic. Fields that are not named here are ignored."
            ),
            "license": .record(["name": .string("Apache-2.0"), "identifier": .string("Apache-2.0")]),
        ]), "servers": .array([.record(["url": .string("/")])]), "paths": paths,
        "components": .record(["schemas": .record(schemas.map { ($0.0, $0.1) })]),
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

    private static let schemas = generationSchemas + answerSchemas + clusterSchemas
}

extension Document.Operation {
    /// The operation object.
    fileprivate var json: JSONValue {
        let parameters = path.split(separator: "/").filter { $0.hasPrefix("{") }.map { part in
            JSONValue.record([
                "name": .string(String(part.dropFirst().dropLast())), "in": .string("path"), "required": .bool(true),
                "schema": .record(["type": .string("string"), "minLength": .integer(1)]),
            ])
        }
        var content: [(String, JSONValue?)] = []
        if let answer { content.append(("application/json", .record(["schema": Schema.ref(answer)]))) }
        content += media.map { ($0, .record(["schema": Schema.string])) }
        return .record([
            "operationId": .string(identifier), "summary": .string(summary),
            "parameters": parameters.isEmpty ? nil : .array(parameters),
            "requestBody": body.map { name in
                .record([
                    "required": .bool(true),
                    "content": .record(["application/json": .record(["schema": Schema.ref(name)])]),
                ])
            },
            "responses": .record([
                ("\(status)", .record(["description": .string("Done."), "content": .record(content)])),
                (
                    "default",
                    .record([
                        "description": .string("What went wrong."),
                        "content": .record([
                            "application/json": .record(["schema": Schema.ref(error)])
                        ]),
                    ])
                ),
            ]),
        ])
    }

    /// `POST /v1/chat/completions` is `post_v1_chat_completions`.
    private var identifier: String {
        ([method.lowercased()] + path.split(separator: "/").map { $0.filter { $0 != "{" && $0 != "}" } })
            .joined(separator: "_").replacing(".", with: "_")
    }
}

/// `/openapi.json`.
struct DocumentRoute: Sendable {
    func add(to router: Router<BasicRequestContext>) {
        router.get("/openapi.json") { _, _ in Response(json: Document.json) }
    }
}
