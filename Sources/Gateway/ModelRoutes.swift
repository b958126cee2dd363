import Core
import HTTPTypes
import Hummingbird
import Tokenization

/// What is served, and whether it is: `/health`, `/ready`, `/v1/models`.
struct ModelRoutes: Sendable {
    let service: any ClusterService
    let models: ModelShelf
    /// When this gateway began to offer the model.
    let created = EpochClock.seconds

    func add(to router: Router<BasicRequestContext>) {
        router.get("/health") { [models] _, _ in
            _ = try await models.card()
            return Response(json: .record(["status": .string("ok")]))
        }
        router.get("/ready") { [service] _, _ in
            let state = try await service.status().state
            guard state == "ready" else { throw Problem.unavailable("the cluster is not ready: \(state)") }
            return Response(json: .record(["status": .string("ready")]))
        }
        router.get("/v1/models") { [models, created] _, _ in
            let card = try await models.card()
            return Response(
                json: .record(["object": .string("list"), "data": .array([card.json(created: created)])]))
        }
        router.get("/v1/models/**") { [models, created] _, context in
            let card = try await models.card()
            // A model's name may hold slashes, escaped or not.
            let asked = percentDecoded(context.parameters.getCatchAll().joined(separator: "/"))
            guard asked == card.name else { throw card.unknown(asked) }
            return Response(json: card.json(created: created))
        }
    }
}

/// A part of a path with its escapes (`%2F`) undone; what is no escape stays.
func percentDecoded(_ text: String) -> String {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
        if byte == UInt8(ascii: "%"), rest.count >= 2,
            let escaped = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
        {
            bytes.append(escaped)
            rest.removeFirst(2)
        } else {
            bytes.append(byte)
        }
    }
    return String(decoding: bytes, as: UTF8.self)
}

extension ModelCard {
    /// OpenAI's model object, with the context's length as vLLM calls it.
    func json(created: Int) -> JSONValue {
        .record([
            "id": .string(name), "object": .string("model"), "created": .integer(created),
            "owned_by": .string("glm-cluster"), "max_model_len": .integer(contextLength),
        ])
    }

    /// The error for another model's name.
    func unknown(_ asked: String) -> APIError {
        APIError(
            status: 404, message: "the model '\(asked)' does not exist; this cluster serves '\(name)'", param: "model",
            code: "model_not_found")
    }
}
