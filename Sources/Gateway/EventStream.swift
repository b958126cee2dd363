import Core
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import Telemetry
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
        if let frames = ServerEvent.frames(events) { try await write(frames) }
    }

    /// Writes a line that readers pass over: it keeps proxies from closing a stream that has nothing to say.
    @concurrent mutating func comment(_ text: String) async throws {
        try await write(ByteBuffer(string: ": \(text)\n\n"))
    }
}

extension ServerEvent {
    /// Events as they are written, in one piece; nil for none.
    fileprivate static func frames(_ events: [ServerEvent]) -> ByteBuffer? {
        guard !events.isEmpty else { return nil }
        let frames = events.map { event in
            (event.name.map { "event: \($0)\n" } ?? "") + "data: \(event.json.text())\n\n"
        }
        return ByteBuffer(string: frames.joined())
    }
}

/// One answer as a stream of events.
struct AnswerStream: Sendable {
    let shape: any AnswerShape
    let builder: AnswerBuilder
    let group: JobGroup
    let heartbeat: Duration
    let meters: RequestMeters

    /// Writes everything, the end mark included. An error after the head was sent becomes an event of its own.
    @concurrent func write(to writer: inout any ResponseBodyWriter) async throws {
        defer { group.leave() }
        var shape = shape
        var builder = builder
        try await writer.events(shape.opening())
        // A write returns when the reader has room for the next: what comes meanwhile waits for the reader, not for the gateway.
        var hasRoom = ContinuousClock.now
        do {
            let isComplete = try await group.signals.forEach(heartbeat: heartbeat) { signal in
                guard case .event(let event) = signal else {
                    try await writer.comment("still here")
                    return false
                }
                if case .prefilled(let progress) = event.event { try await writer.comment(progress.line) }
                if let delta = try builder.take(event.event, of: event.index) {
                    let frames = ServerEvent.frames(shape.events(of: delta))
                    if case .token = event.event {
                        meters.handedOn(after: (.now - max(event.heard, hasRoom)) / .seconds(1))
                    }
                    if let frames { try await writer.write(frames) }
                    hasRoom = .now
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
