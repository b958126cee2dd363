import Hummingbird
import HummingbirdCore
import Logging

/// Writes one line for every request once its answer, or the head of its stream, is ready.
struct RequestLog<Context: RequestContext>: RouterMiddleware {
    let logger: Logger

    func handle(
        _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        let clock = ContinuousClock()
        let start = clock.now
        let response = try await next(request, context)
        logger.info(
            "request",
            metadata: [
                "method": "\(request.method)", "path": "\(request.uri.path)", "status": "\(response.status.code)",
                "milliseconds": "\((clock.now - start).milliseconds)",
            ])
        return response
    }
}
