import Core
import HTTPTypes
import Hummingbird
import HummingbirdCore

/// The request that a task works for: its name in every role's log lines, when it came, and its place in a trace.
struct RequestScope: Sendable {
    /// The request of this task; nil outside of one.
    @TaskLocal static var current: RequestScope?

    /// What the client called it, or a name of our own.
    let id: String
    /// When it came.
    let arrived = Moment()
    /// Its place in a trace.
    let trace: TraceContext

    /// The scope of a request with these headers.
    init(_ headers: HTTPFields) {
        func header(_ name: String) -> String? { HTTPField.Name(name).flatMap { headers[$0] } }
        let asked = header("X-Request-Id").flatMap { Self.isName($0) ? $0 : nil }
        trace = TraceContext(traceparent: header("traceparent"))
        id = asked ?? "req-" + TraceContext.randomHex(words: 1)
    }

    /// The scope of work that no client waits for, with a name of its own.
    init(named id: String) {
        self.id = id
        trace = TraceContext(traceparent: nil)
    }

    /// Whether a client's name for a request may stand in log lines: printable, without spaces, not long.
    private static func isName(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count) && text.utf8.allSatisfy { (33...126).contains($0) }
    }
}

/// Gives every request its scope, its name back in `X-Request-Id`, and its span to the trace.
struct RequestScopes<Context: RequestContext>: RouterMiddleware {
    let traces: TraceFile?

    func handle(
        _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        let scope = RequestScope(request.headers)
        var response = try await RequestScope.$current.withValue(scope) { try await next(request, context) }
        if let name = HTTPField.Name("X-Request-Id") { response.headers[name] = scope.id }
        guard let traces, scope.trace.isSampled else { return response }
        let route = context.endpointPath ?? "unknown"
        var span = Span(scope.trace, name: "\(request.method) \(route)", kind: .server, start: scope.arrived)
        let status = Int(response.status.code)
        span.attributes = [
            ("http.request.method", .string("\(request.method)")), ("http.route", .string(route)),
            ("url.path", .string(request.uri.path)), ("http.response.status_code", .integer(status)),
            ("request.id", .string(scope.id)),
        ]
        if status >= 500 { span.problem = response.status.reasonPhrase }
        let (body, open) = (response.body, span)
        // A stream is a part of its request: the span ends with the last byte, or when nobody takes it any more.
        response.body = ResponseBody(contentLength: body.contentLength) { writer in
            do {
                try await body.write(writer)
                traces.write([open.ended()])
            } catch {
                traces.write([open.ended(problem: "the client left")])
                throw error
            }
        }
        return response
    }
}
