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

    /// Writes a line that readers pass over: it keeps proxies from closing a stream that has nothing to say.
    @concurrent mutating func comment(_ text: String) async throws {
        try await write(ByteBuffer(string: ": \(text)\n\n"))
    }
}

/// One answer as a stream of OpenAI's chunks.
struct AnswerStream: Sendable {
    let shape: any AnswerShape
    let events: AsyncStream<JobEvent>
    let lease: JobLease
    let heartbeat: Duration
    let includesUsage: Bool

    /// Writes everything, the end mark included. An error after the head was sent becomes an event of its own.
    @concurrent func write(to writer: inout any ResponseBodyWriter) async throws {
        var shape = shape
        if let opening = shape.opening() { try await writer.event(opening.text()) }
        do {
            let isComplete = try await forEachSignal(of: events, heartbeat: heartbeat) { signal in
                switch signal {
                case .heartbeat:
                    try await writer.comment("still here")
                case .event(.prefilled(let progress)):
                    try await writer.comment(progress.line)
                case .event(.scored), .event(.embedded): break
                case .event(.token(let drawn, let text, let top)):
                    let text = shape.visible(text)
                    let token = AnswerToken(drawn: drawn, top: top, text: text)
                    if let piece = shape.piece(text, token: token) { try await writer.event(piece.text()) }
                case .event(.finished(let finish, let text, let usage, let timings)):
                    lease.finish()
                    if let piece = shape.piece(shape.visible(text), token: nil) { try await writer.event(piece.text()) }
                    let answer = try Answer().finished(finish, usage, timings)
                    try await writer.event(shape.closing(answer).text())
                    if includesUsage { try await writer.event(shape.usage(answer).text()) }
                    try await writer.event("[DONE]")
                    return true
                case .event(.failed(let problem)):
                    lease.finish()
                    throw problem
                }
                return false
            }
            if !isComplete { throw Answer.interrupted }
        } catch let problem as Problem {
            try await writer.event(APIError(problem).json.text())
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
