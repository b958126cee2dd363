import Core
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import Tokenization

/// Server-sent events: how they are written, and the response that carries them.
enum EventStream {
    /// A response whose body `write` produces; it is cancelled when the client goes away.
    static func response(
        for body: RequestBody,
        write: @escaping @Sendable @concurrent (inout any ResponseBodyWriter) async throws -> Void
    ) -> Response {
        var headers: HTTPFields = [
            .contentType: "text/event-stream; charset=utf-8", .cacheControl: "no-cache", .connection: "close",
        ]
        // Asks nginx, if there is one, to pass events on at once.
        if let name = HTTPField.Name("X-Accel-Buffering") { headers[name] = "no" }
        return Response(
            status: .ok, headers: headers,
            body: ResponseBody { writer in
                try await body.consumeWithCancellationOnInboundClose { _ in try await write(&writer) }
                try await writer.finish(nil)
            })
    }
}

extension ResponseBodyWriter {
    /// Writes an event; `id` and `name` are left out when nil.
    @concurrent mutating func event(_ text: String, id: Int? = nil, name: String? = nil) async throws {
        var frame = ""
        if let id { frame += "id: \(id)\n" }
        if let name { frame += "event: \(name)\n" }
        try await write(ByteBuffer(string: frame + "data: \(text)\n\n"))
    }

    /// Writes events as one piece.
    @concurrent mutating func events(_ events: [ServerEvent]) async throws {
        guard !events.isEmpty else { return }
        let frames = events.map { event in
            (event.name.map { "event: \($0)\n" } ?? "") + "data: \(event.json.text())\n\n"
        }
        try await write(ByteBuffer(string: frames.joined()))
    }

    /// Writes a line that readers pass over: it keeps proxies from closing a stream that has nothing to say.
    @concurrent mutating func comment(_ text: String) async throws {
        try await write(ByteBuffer(string: ": \(text)\n\n"))
    }
}

/// One answer as a stream of events.
struct AnswerStream: Sendable {
    let shape: any AnswerShape
    let builder: AnswerBuilder
    let events: AsyncStream<JobGroup.Event>
    let heartbeat: Duration

    /// Writes everything, the end mark included. An error after the head was sent becomes an event of its own.
    @concurrent func write(to writer: inout any ResponseBodyWriter) async throws {
        var shape = shape
        var builder = builder
        try await writer.events(shape.opening())
        do {
            let isComplete = try await forEachSignal(of: events, heartbeat: heartbeat) { signal in
                guard case .event(let event) = signal else {
                    try await writer.comment("still here")
                    return false
                }
                if case .prefilled(let progress) = event.event { try await writer.comment(progress.line) }
                if let delta = try builder.take(event.event, of: event.index) {
                    try await writer.events(shape.events(of: delta))
                }
                guard builder.isComplete else { return false }
                try await writer.events(shape.closing(builder.answer))
                if let mark = shape.endMark { try await writer.event(mark) }
                return true
            }
            if !isComplete { throw Answer.interrupted }
        } catch let problem as Problem {
            try await writer.events(shape.failure(APIError(problem)))
        }
    }
}

extension PrefillProgress {
    /// The progress as a comment of a stream: tokens and, where they are known, rate and time left.
    var line: String {
        let rate = ", \(Int(tokensPerSecond)) tokens/s, \(Int(secondsLeft.rounded(.up))) s left"
        return "prefill \(tokens)/\(total)" + (tokensPerSecond > 0 ? rate : "")
    }
}
