import Core
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import NIOPosix
import Tokenization

/// Whether and how an answer is streamed.
struct StreamFields: Sendable {
    let isStream: Bool
    let includesUsage: Bool

    init(_ fields: Fields) throws(APIError) {
        isStream = try fields.bool("stream") ?? false
        includesUsage = try fields.object("stream_options")?.bool("include_usage") ?? false
    }
}

/// A request that was read: the job it makes and the form of its answer.
struct GenerationRequest: Sendable {
    var prompt: [TokenID]
    var options: GenerationOptions
    var streaming: StreamFields
    /// The form of the answer, given the job's name.
    var shape: @Sendable (JobID) -> any AnswerShape
}

/// What all routes that generate share: body to request, request to job, events to answer.
struct Generation: Sendable {
    let service: any ClusterService
    let models: ModelShelf
    let heartbeat: Duration
    let bodyLimit: Int

    /// Reads a body with one of the routes' readers.
    ///
    /// Parsing and tokenizing a long document takes seconds: it is done on a thread that nobody else waits for.
    func read(
        _ bytes: ByteBuffer, _ reader: @escaping @Sendable (JSONValue, ServedModel) throws -> GenerationRequest
    ) async throws -> GenerationRequest {
        let model = try await models.served()
        return try await NIOThreadPool.singleton.runIfActive { try reader(try Self.json(bytes), model) }
    }

    /// A request's body, which stays readable: its end tells that the client has left.
    func body(of request: inout Request) async throws -> ByteBuffer {
        do {
            return try await request.collectBody(upTo: bodyLimit)
        } catch is NIOTooManyBytesError {
            throw APIError(
                status: 413, message: "the request's body is over \(bodyLimit) bytes; send a shorter one",
                code: "body_too_long")
        }
    }

    /// Answers a request, whole or as a stream; the job ends when the client leaves.
    func answer(
        _ request: Request, _ reader: @escaping @Sendable (JSONValue, ServedModel) throws -> GenerationRequest
    ) async throws -> Response {
        var request = request
        let bytes = try await body(of: &request)
        let body = request.body
        let generation = try await read(bytes, reader)
        let (job, events) = try await service.submit(
            JobRequest(prompt: generation.prompt, options: generation.options, endsWithClient: true))
        let lease = JobLease(job: job, service: service)
        let shape = generation.shape(job)
        if generation.streaming.isStream {
            let stream = AnswerStream(
                shape: shape, events: events, lease: lease, heartbeat: heartbeat,
                includesUsage: generation.streaming.includesUsage)
            return EventStream.response(for: body) { writer in try await stream.write(to: &writer) }
        }
        var response = try await body.consumeWithCancellationOnInboundClose { _ in
            Response(json: shape.whole(try await Self.collect(events, shape: shape, lease: lease)))
        }
        // Watching for the client to leave uses the connection up.
        response.headers[.connection] = "close"
        return response
    }

    /// Waits for the whole answer.
    private static func collect(
        _ events: AsyncStream<JobEvent>, shape: any AnswerShape, lease: JobLease
    ) async throws -> Answer {
        var shape = shape
        var answer = Answer()
        for await event in events {
            switch event {
            case .prefilled, .scored, .embedded: continue
            case .token(let drawn, let text, let top):
                let text = shape.visible(text)
                answer.text += text
                answer.tokens.append(AnswerToken(drawn: drawn, top: top, text: text))
            case .finished(let finish, let text, let usage, let timings):
                lease.finish()
                answer.text += shape.visible(text)
                return try answer.finished(finish, usage, timings)
            case .failed(let problem):
                lease.finish()
                throw problem
            }
        }
        try Task.checkCancellation()
        throw Answer.interrupted
    }

    /// The JSON of a body.
    static func json(_ bytes: ByteBuffer) throws -> JSONValue {
        do {
            return try JSONValue(parsing: Array(bytes.readableBytesView), source: "the body")
        } catch {
            throw APIError(status: 400, message: "\(error)", code: "invalid_json")
        }
    }
}

extension Answer {
    /// The problem of a job whose events ended before the job did.
    static var interrupted: Problem {
        .failed("the coordinator went away before the answer was complete; send the request again")
    }

    /// The answer with its end, unless somebody cancelled the job.
    func finished(_ finish: FinishReason, _ usage: Usage, _ timings: Timings) throws -> Answer {
        guard finish != .cancelled else { throw Problem(.cancelled, "the job was cancelled") }
        var answer = self
        answer.finish = finish
        answer.usage = usage
        answer.timings = timings
        return answer
    }
}

/// The two routes that generate.
struct GenerationRoutes: Sendable {
    let generation: Generation

    func add(to router: Router<BasicRequestContext>) {
        router.post("/v1/chat/completions") { [generation] request, _ in
            try await generation.answer(request) { try ChatRoute.read($0, model: $1) }
        }
        router.post("/v1/completions") { [generation] request, _ in
            try await generation.answer(request) { try CompletionRoute.read($0, model: $1, defaultMaxTokens: 16) }
        }
    }
}
