import Core
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import NIOPosix
import Telemetry
import Tokenization

/// Whether and how an answer is streamed.
struct StreamFields: Sendable {
    let isStream: Bool
    let includesUsage: Bool

    /// Not at all.
    static let none = StreamFields(isStream: false, includesUsage: false)

    private init(isStream: Bool, includesUsage: Bool) {
        self.isStream = isStream
        self.includesUsage = includesUsage
    }

    init(_ fields: Fields) throws(APIError) {
        isStream = try fields.bool("stream") ?? false
        includesUsage = try fields.object("stream_options")?.bool("include_usage") ?? false
    }
}

/// A request that was read: the jobs it makes and the form of its answer.
struct GenerationRequest: Sendable {
    /// The prompts.
    var prompts: [[TokenID]]
    /// How many answers are wanted to each.
    var copies = 1
    var options: GenerationOptions
    var streaming: StreamFields
    /// How the answers are read.
    var plan: AnswerBuilder.Plan
    /// The form of the answer, given the first job's name.
    var shape: @Sendable (JobID) -> any AnswerShape

    /// The only job, which nobody waits for; a request that would make several is refused.
    func lonelyJob(of endpoint: Endpoint) throws(APIError) -> JobRequest {
        guard prompts.count == 1, copies == 1, let prompt = prompts.first else {
            throw .unsupported(
                copies == 1 ? endpoint.textField : "n", "a job has one prompt and one answer; submit a job for each")
        }
        return JobRequest(prompt: prompt, options: options, endsWithClient: false)
    }

    /// A job for every copy of every prompt, in the order of their choices. Copies draw from seeds in a row.
    var jobs: [JobRequest] {
        prompts.flatMap { prompt in
            (0..<copies).map { copy in
                var options = options
                options.sampling.seed &+= UInt64(copy)
                return JobRequest(prompt: prompt, options: options, endsWithClient: true)
            }
        }
    }
}

/// What all routes that generate share: body to request, request to job, events to answer.
struct Generation: Sendable {
    let service: any ClusterService
    let models: ModelShelf
    let heartbeat: Duration
    let bodyLimit: Int
    let meters = RequestMeters()

    /// Reads a body with one of the routes' readers.
    ///
    /// Parsing and tokenizing a long document takes seconds: it is done on a thread that nobody else waits for.
    private func read<Result: Sendable>(
        _ bytes: ByteBuffer, _ reader: @escaping @Sendable (JSONValue, ServedModel) throws -> Result
    ) async throws -> Result {
        let model = try await models.served()
        let parsed = try await NIOThreadPool.singleton.runIfActive { try Self.json(bytes) }
        let body = try await FileParts.filled(parsed, from: service)
        return try await NIOThreadPool.singleton.runIfActive { try reader(body, model) }
    }

    /// Reads a request's body with a reader that needs nothing else.
    func read<Result: Sendable>(
        _ request: Request, _ reader: @escaping @Sendable (JSONValue, ServedModel) throws -> Result
    ) async throws -> Result {
        var request = request
        return try await read(try await body(of: &request), reader)
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
    func answer(_ request: Request, at endpoint: Endpoint) async throws -> Response {
        var request = request
        let bytes = try await body(of: &request)
        let body = request.body
        let generation = try await read(bytes) { try endpoint.read($0, model: $1) }
        let jobs = generation.jobs
        let group = try await JobGroup(jobs, copies: generation.copies, service: service)
        let shape = generation.shape(group.first)
        let isStream = generation.streaming.isStream
        let builder = AnswerBuilder(
            choices: jobs.count, copies: generation.copies, plan: generation.plan,
            keepsTokens: !isStream && generation.options.sampling.logprobs != nil)
        if isStream {
            let stream = AnswerStream(
                shape: shape, builder: builder, group: group, heartbeat: heartbeat, meters: meters)
            return EventStream.response(for: body) { writer in try await stream.write(to: &writer) }
        }
        var response = try await body.consumeWithCancellationOnInboundClose { _ in
            Response(json: shape.whole(try await group.answer(builder)))
        }
        // Watching for the client to leave uses the connection up.
        response.headers[.connection] = "close"
        return response
    }

    /// The JSON of a body.
    static func json(_ bytes: ByteBuffer) throws -> JSONValue { try json(Array(bytes.readableBytesView)) }

    /// The JSON of a body.
    static func json(_ bytes: [UInt8]) throws -> JSONValue {
        do {
            return try JSONValue(parsing: bytes, source: "the body")
        } catch {
            throw APIError(status: 400, message: "\(error)", code: "invalid_json")
        }
    }
}

/// The routes that generate.
struct GenerationRoutes: Sendable {
    let generation: Generation

    func add(to router: Router<BasicRequestContext>) {
        router.post("/v1/chat/completions") { [generation] request, _ in
            try await generation.answer(request, at: .chat)
        }
        router.post("/v1/completions") { [generation] request, _ in
            try await generation.answer(request, at: .completions)
        }
        router.post("/v1/responses") { [generation] request, _ in
            try await generation.answer(request, at: .responses)
        }
        router.post("/v1/messages") { [generation] request, _ in
            try await generation.answer(request, at: .messages)
        }
        router.post("/v1/embeddings") { [generation] request, _ in
            try await generation.answer(request, at: .embeddings)
        }
        router.post("/v1/messages/count_tokens") { [generation] request, _ in
            let count = try await generation.read(request) { try MessagesRoute.count($0, model: $1) }
            return Response(json: .record(["input_tokens": .integer(count)]))
        }
    }
}
