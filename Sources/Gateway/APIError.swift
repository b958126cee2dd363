import Core
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import Tokenization

/// An error as OpenAI's clients understand it: a status and `{"error":{"message","type","param","code"}}`.
///
/// Every error that a client can see passes here; `init(_: Problem)` is the one place where problems become statuses.
struct APIError: Error {
    var status: Int
    var message: String
    var type: String
    var param: String?
    var code: String?
    /// The methods that the path has, when it has not the one that was asked for.
    var allowed: [String] = []
    /// Seconds after which to try again.
    var retryAfter: Int?

    init(
        status: Int, message: String, type: String = "invalid_request_error", param: String? = nil, code: String? = nil
    ) {
        self.status = status
        self.message = message
        self.type = type
        self.param = param
        self.code = code
    }

    /// The status that says who can mend a problem.
    init(_ problem: Problem, param: String? = nil) {
        switch problem.kind {
        case .invalid: self.init(status: 400, message: problem.message, param: param, code: "invalid_value")
        case .notFound: self.init(status: 404, message: problem.message, param: param, code: "not_found")
        case .refused: self.init(status: 403, message: problem.message, type: "permission_error", code: "refused")
        case .unavailable:
            self.init(status: 503, message: problem.message, type: "service_unavailable_error", code: "unavailable")
        case .busy:
            self.init(status: 429, message: problem.message, type: "rate_limit_error", code: "rate_limit_exceeded")
        case .cancelled: self.init(status: 499, message: problem.message, type: "cancelled_error", code: "cancelled")
        case .failed: self.init(status: 500, message: problem.message, type: "server_error", code: "failed")
        }
        retryAfter = problem.retryAfter ?? (status == 503 ? 2 : nil)
    }

    /// Whatever was thrown.
    init(any error: any Error, request: Request) {
        switch error {
        case let error as APIError: self = error
        case let error as Problem: self.init(error)
        case is CancellationError: self.init(Problem(.cancelled, "the client closed the connection before the answer"))
        case let error as any HTTPResponseError where error.status == .notFound:
            let allowed = Document.methods(of: request.uri.path)
            guard allowed.isEmpty else {
                self.init(
                    status: 405,
                    message: "\(request.uri.path) has no \(request.method); it has \(allowed.joined(separator: ", "))",
                    code: "method_not_allowed")
                self.allowed = allowed
                return
            }
            self.init(
                status: 404,
                message: "there is no \(request.method) \(request.uri.path); see /v1/models for what is served",
                code: "unknown_url")
        case let error as any HTTPResponseError:
            let status = Int(error.status.code)
            self.init(
                status: status, message: "the request was refused: \(error.status.reasonPhrase)",
                type: status < 500 ? "invalid_request_error" : "server_error")
        default: self.init(Problem.failed("the gateway met something unexpected: \(error)"))
        }
    }

    /// A field that is missing or has a wrong value.
    static func field(_ param: String, _ message: String, code: String = "invalid_value") -> APIError {
        APIError(status: 400, message: message, param: param, code: code)
    }

    /// A field that asks for what this gateway does not do.
    static func unsupported(_ param: String, _ message: String) -> APIError {
        APIError(status: 400, message: message, param: param, code: "unsupported_value")
    }

    /// OpenAI's error object.
    var json: JSONValue {
        .record([
            "error": .record([
                "message": .string(message), "type": .string(type), "param": .optional(param),
                "code": .optional(code),
            ])
        ])
    }

    /// The answer, in the form of the API that `path` belongs to; one that may be tried again says when.
    func response(for path: String) -> Response {
        let body = path.hasPrefix("/v1/messages") ? messagesJSON : json
        var response = Response(json: body, status: HTTPResponse.Status(code: status))
        if let retryAfter, let name = HTTPField.Name("Retry-After") { response.headers[name] = "\(retryAfter)" }
        if !allowed.isEmpty, let name = HTTPField.Name("Allow") {
            response.headers[name] = allowed.joined(separator: ", ")
        }
        return response
    }
}

/// Turns whatever a route throws into an error answer.
struct ErrorResponses<Context: RequestContext>: RouterMiddleware {
    func handle(
        _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch {
            return APIError(any: error, request: request).response(for: request.uri.path)
        }
    }
}

extension Response {
    /// An answer that is one JSON value.
    init(json: JSONValue, status: HTTPResponse.Status = .ok) {
        self.init(
            status: status, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: json.text())))
    }
}
