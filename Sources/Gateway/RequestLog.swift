import Hummingbird
import HummingbirdCore
import Logging

/// Writes one line for every request once its answer, or the head of its stream, is ready.
struct RequestLog<Context: RequestContext>: RouterMiddleware {
    let logger: Logger

    /// What is asked every few seconds by those who watch: their lines would drown the others.
    private static var watched: Set<String> { ["/metrics", "/health", "/ready", "/v1/status", "/v1/jobs"] }

    func handle(
        _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        let clock = ContinuousClock()
        let start = clock.now
        let response = try await next(request, context)
        var metadata: Logger.Metadata = [
            "method": "\(request.method)", "path": "\(request.uri.path)", "status": "\(response.status.code)",
            "milliseconds": "\((clock.now - start).milliseconds)",
        ]
        if let scope = RequestScope.current {
            metadata["request_id"] = "\(scope.id)"
            metadata["trace_id"] = "\(scope.trace.traceID)"
        }
        let isWatch =
            request.method == .get && Self.watched.contains(request.uri.path) && response.status.code < 400
        logger.log(level: isWatch ? .debug : .info, "request", metadata: metadata)
        return response
    }
}
