import Core
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import NIOPosix
import Tokenization

/// `/v1/jobs`: work that outlives the connection that asked for it.
struct JobRoutes: Sendable {
    let service: any ClusterService
    let generation: Generation

    func add(to router: Router<BasicRequestContext>) {
        router.post("/v1/jobs") { request, _ in try await create(request) }
        router.get("/v1/jobs") { request, _ in
            let wish = request.uri.queryParameters["limit"]
            let limit = wish.flatMap { Int($0) } ?? .max
            guard limit > 0, wish == nil || limit < .max else {
                throw APIError.field("limit", "limit: expected a number from 1, found \(wish ?? "")")
            }
            let jobs = try await service.jobs().prefix(limit)
            return Response(
                json: .record(["object": .string("list"), "data": .array(jobs.map { $0.json(withTokens: false) })]))
        }
        router.get("/v1/jobs/:id") { _, context in
            Response(json: try await service.job(try id(context)).json(withTokens: true))
        }
        router.get("/v1/jobs/:id/events") { request, context in try await events(request, of: try id(context)) }
        router.delete("/v1/jobs/:id") { _, context in
            let id = try id(context)
            try await service.cancel(id)
            return Response(json: try await service.job(id).json(withTokens: false))
        }
    }

    private func id(_ context: BasicRequestContext) throws -> JobID { JobID(try context.parameters.require("id")) }

    /// Accepts the body of another route as a job of its own: as JSON, or in a form that brings a document with it.
    private func create(_ request: Request) async throws -> Response {
        var request = request
        let bytes = try await generation.body(of: &request)
        let model = try await generation.models.served()
        let type = request.headers[.contentType] ?? ""
        let parsed = try await NIOThreadPool.singleton.runIfActive {
            type.lowercased().hasPrefix("multipart/")
                ? try JobBody(try Multipart(bytes, contentType: type)) : try JobBody(try Generation.json(bytes))
        }
        let body = try await FileParts.filled(parsed.body, from: service)
        var submitted = try await NIOThreadPool.singleton.runIfActive {
            try parsed.endpoint.read(body, model: model, asJob: true).lonelyJob(of: parsed.endpoint)
        }
        submitted.tag = try Self.tag(of: request)
        let job = try await service.submit(submitted) { _ in }
        return Response(
            json: .record([
                "id": .string(job.name), "object": .string("job"), "status": .string(JobState.Phase.queued.rawValue),
                "prompt_tokens": .integer(submitted.prompt.count), "attention": submitted.options.attention.json,
                "priority": .integer(submitted.options.priority),
                "events": .string("/v1/jobs/\(job.name)/events"),
            ]), status: .accepted)
    }

    /// What a client calls its request, so that it may send it twice (`Idempotency-Key`); each API key has names of its own.
    private static func tag(of request: Request) throws -> String {
        guard let name = HTTPField.Name("Idempotency-Key"), let key = request.headers[name] else { return "" }
        guard (1...200).contains(key.utf8.count), key.utf8.allSatisfy({ (32..<127).contains($0) }) else {
            throw APIError(
                status: 400, message: "Idempotency-Key: expected 1 to 200 printable characters", code: "invalid_value")
        }
        return "request/\(Caller.current?.id ?? "")/\(key)"
    }

    /// The events of a job from its beginning, or after the one that `Last-Event-ID` names.
    private func events(_ request: Request, of job: JobID) async throws -> Response {
        let events = Signals<JobEvent>()
        try await service.events(of: job) { events.hear($0) }
        let last = HTTPField.Name("Last-Event-ID").flatMap { request.headers[$0] }.flatMap { Int($0) } ?? -1
        let stream = JobStream(events: events, heartbeat: generation.heartbeat, last: last)
        return EventStream.response(for: request.body) { writer in try await stream.write(to: &writer) }
    }
}

/// The events of one job as a stream, numbered so that a reader can go on where it was.
struct JobStream: Sendable {
    let events: Signals<JobEvent>
    let heartbeat: Duration
    /// The last event that the reader has already.
    let last: Int

    /// Writes all events after `last`, the job's end included.
    @concurrent func write(to writer: inout any ResponseBodyWriter) async throws {
        var id = 0
        // Progress has no id: it is another when a prompt is read again, and who has heard of tokens is past it.
        let isComplete = try await events.forEach(heartbeat: heartbeat) { signal in
            guard case .event(let event) = signal else {
                try await writer.comment("still here")
                return false
            }
            guard event.isNumbered else {
                if last < 0 { try await writer.event(event.json.text(), name: event.name) }
                return false
            }
            if id > last { try await writer.event(event.json.text(), id: id, name: event.name) }
            id += 1
            return event.isLast
        }
        guard !isComplete else { return }
        let event = JobEvent.failed(Answer.interrupted)
        try await writer.event(event.json.text(), id: id, name: event.name)
    }
}

extension JobEvent {
    /// The event's name in a stream.
    var name: String {
        switch self {
        case .prefilled: "prefill"
        case .scored: "scored"
        case .embedded: "embedding"
        case .token: "token"
        case .finished: "finished"
        case .failed: "failed"
        }
    }

    /// Whether nothing follows.
    var isLast: Bool {
        switch self {
        case .prefilled, .scored, .embedded, .token: false
        case .finished, .failed: true
        }
    }

    /// The event for programs; `type` is its name.
    var json: JSONValue {
        let type = ("type", JSONValue?.some(.string(name)))
        switch self {
        case .prefilled(let progress):
            return .record([
                type, ("tokens", .integer(progress.tokens)), ("of", .integer(progress.total)),
                ("cached", .integer(progress.cached)), ("tokens_per_second", .real(progress.tokensPerSecond)),
                ("seconds_left", .real(progress.secondsLeft)),
            ])
        case .scored(let first, let tokens):
            return .record([
                type, ("first", .integer(first)),
                (
                    "tokens",
                    .array(
                        tokens.map { scored in
                            .record([
                                "token": .integer(scored.token.token), "logprob": scored.token.logprobJSON,
                                "top": .array(
                                    scored.top.map {
                                        .record(["token": .integer($0.token), "logprob": $0.logprobJSON])
                                    }),
                            ])
                        })
                ),
            ])
        case .embedded(let values):
            return .record([type, ("embedding", .array(values.map { .real(Double($0)) }))])
        case .token(let drawn, let text, let top):
            var members = [type, ("token", .integer(drawn.token)), ("text", .string(text))]
            members.append(("logprob", drawn.logprobJSON))
            if !top.isEmpty {
                members.append(
                    ("top", .array(top.map { .record(["token": .integer($0.token), "logprob": $0.logprobJSON]) })))
            }
            return .record(members)
        case .finished(let finish, let text, let usage, let timings):
            let choice = Choice(finish: finish, usage: usage, timings: timings)
            return .record([
                type, ("finish_reason", choice.finishJSON), ("text", .string(text)), ("usage", usage.json),
                ("timings", choice.timingsJSON),
            ])
        case .failed(let problem):
            return .record([type, ("error", APIError(problem).json["error"])])
        }
    }
}

extension JobState {
    /// The job for programs.
    func json(withTokens: Bool) -> JSONValue {
        .record([
            "id": .string(id.name), "object": .string("job"), "status": .string(phase.rawValue),
            "created": .real(accepted), "attention": attention.json, "priority": .integer(priority),
            "prompt_tokens": .integer(prefill.total),
            "prefilled_tokens": .integer(prefill.tokens), "cached_tokens": .integer(prefill.cached),
            "prefill_tokens_per_second": .real(prefill.tokensPerSecond),
            "prefill_seconds_left": .real(prefill.secondsLeft),
            "queue_position": queuePosition.map { .integer($0) } ?? .null,
            "expected_start_seconds": secondsToStart.map { .real($0) } ?? .null,
            "completion_tokens": .integer(tokens.count),
            "tokens": withTokens ? .array(tokens.map { .integer($0) }) : nil, "text": .string(text),
            "finish_reason": .optional(finish?.rawValue),
            "error": problem.flatMap { APIError($0).json["error"] } ?? .null,
            "timings": .record([
                "queued_ms": .real(timings.queued.milliseconds), "prefill_ms": .real(timings.prefill.milliseconds),
                "decode_ms": .real(timings.decode.milliseconds),
            ]),
        ])
    }
}
