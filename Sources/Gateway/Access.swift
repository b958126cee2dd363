import Core
import HTTPTypes
import Hummingbird
import HummingbirdCore

/// Lets requests through whose key allows them.
struct Access<Context: RequestContext>: RouterMiddleware {
    let desk: KeyDesk

    /// What shows that the gateway is there, and nothing of what it does: for probes, and for a page that then asks for a key.
    private static var open: Set<String> { ["/", "/health", "/ready", "/openapi.json"] }

    func handle(
        _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        let isLook = request.method == .get || request.method == .head
        if isLook, Self.open.contains(request.uri.path) || request.uri.path.hasPrefix("/dashboard/") {
            return try await next(request, context)
        }
        let caller = try await desk.caller(with: Self.secret(in: request.headers))
        let needed = Self.scope(of: request)
        guard APIKey(id: caller.id, name: "", hash: [], scope: caller.scope, created: 0).allows(needed) else {
            throw APIError(
                status: 403,
                message: "API key \(caller.id) has scope \(caller.scope.rawValue), this needs \(needed.rawValue)",
                type: "permission_error", code: "insufficient_scope")
        }
        return try await Caller.$current.withValue(caller) { try await next(request, context) }
    }

    /// The key as OpenAI's clients send it, or as Anthropic's do.
    private static func secret(in headers: HTTPFields) -> String? {
        if let value = headers[.authorization] {
            let words = value.split(separator: " ", maxSplits: 1)
            guard words.count == 2, words[0].lowercased() == "bearer" else { return nil }
            return String(words[1]).trimmed
        }
        return HTTPField.Name("x-api-key").flatMap { headers[$0] }?.trimmed
    }

    /// What a request needs: to look, to use, or to rule.
    private static func scope(of request: Request) -> APIKey.Scope {
        let path = request.uri.path
        if path.hasPrefix("/v1/cluster") || path.hasPrefix("/debug") { return .admin }
        let looks = ["/v1/models", "/v1/status", "/metrics"]
        let isLook = request.method == .get || request.method == .head
        return isLook && looks.contains { path == $0 || path.hasPrefix($0 + "/") } ? .watch : .use
    }
}

/// Refuses what a page of another site sends: a browser sends it with the power of whoever sits before it.
///
/// Nothing is said about other origins (no CORS) unless they are named.
struct Origins<Context: RequestContext>: RouterMiddleware {
    /// Origins like `https://chat.example.org` that may call.
    let allowed: [String]

    func handle(
        _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        guard let name = HTTPField.Name("Origin"), let origin = request.headers[name] else {
            return try await next(request, context)
        }
        let isAllowed = allowed.contains(origin)
        // A proxy may have ended TLS: only host and port are compared.
        let host = origin.split(separator: "/", omittingEmptySubsequences: true).dropFirst().first.map(String.init)
        guard isAllowed || host == request.head.authority else {
            throw APIError(
                status: 403, message: "pages of \(origin.prefix(200)) may not call; allow them with --allow-origin",
                type: "permission_error", code: "origin_not_allowed")
        }
        var response =
            isAllowed && request.method == .options
            ? Response(status: .noContent) : try await next(request, context)
        if isAllowed {
            for (key, value) in [
                ("Access-Control-Allow-Origin", origin), ("Vary", "Origin"),
                ("Access-Control-Allow-Methods", "GET, POST, DELETE"),
                (
                    "Access-Control-Allow-Headers",
                    "Authorization, Content-Type, Last-Event-ID, X-Api-Key, Anthropic-Version"
                ),
            ] {
                if let name = HTTPField.Name(key) { response.headers[name] = value }
            }
        }
        return response
    }
}

extension String {
    /// Without blanks at its ends.
    fileprivate var trimmed: String {
        var text = Substring(self)
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
