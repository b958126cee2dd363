import Core
import Glibc
import NIOCore
import NIOHTTP1
import NIOPosix

/// A small HTTP/1.1 client for the gateway: one connection a request, answers as one piece or as server-sent events.
struct HTTPClient: Sendable {
    /// What a request does, as HTTP spells it.
    enum Method: String, Sendable {
        case GET, POST, DELETE
    }

    /// An answer that is complete.
    struct Answer: Sendable {
        /// The status code.
        var status: Int
        /// The body.
        var body: String
    }

    /// The gateway's address as the user gave it.
    let url: String
    private let host: String
    private let port: Int
    private let prefix: String
    private let key: String?

    /// A client for the gateway at `url`, of the form `http://HOST:PORT`, which sends the API key `key`.
    init(url: String, key: String? = nil) throws {
        self.key = key
        let wanted = "expected http://HOST:PORT, for example http://127.0.0.1:8080"
        guard !url.hasPrefix("https://") else {
            throw Problem.invalid(
                "the gateway's address \(url) is not supported: the gateway speaks plain HTTP; \(wanted)")
        }
        guard url.hasPrefix("http://") else { throw Problem.invalid("'\(url)' is no gateway's address; \(wanted)") }
        let rest = url.dropFirst("http://".count)
        let authority = rest.prefix { $0 != "/" }
        let path = rest.dropFirst(authority.count)
        self.url = url
        prefix = path.hasSuffix("/") ? String(path.dropLast()) : String(path)
        var host = authority
        var port = 80
        if let colon = authority.lastIndex(of: ":"), !authority.hasSuffix("]") {
            guard let number = Int(authority[authority.index(after: colon)...]), (1...65535).contains(number) else {
                throw Problem.invalid("'\(url)' is no gateway's address; \(wanted)")
            }
            port = number
            host = authority[..<colon]
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { throw Problem.invalid("'\(url)' is no gateway's address; \(wanted)") }
        self.host = String(host)
        self.port = port
    }

    /// Sends a request and collects the answer.
    func send(
        _ method: Method, _ path: String, body: String? = nil, headers: [(String, String)] = []
    ) async throws -> Answer {
        var text = ByteBuffer()
        let status = try await exchange(method, path, body: body, headers: headers) { _, part in
            text.writeImmutableBuffer(part)
            return true
        }
        return Answer(status: status, body: String(buffer: text))
    }

    /// Sends a request and calls `react` with the data of every event of the answer until it returns false, `comment` with what
    /// the gateway says between events.
    ///
    /// Returns nil, or the whole answer when it is an error and no stream.
    func events(
        _ method: Method, _ path: String, body: String? = nil, after: Int = -1,
        comment: (String) async -> Void = { _ in },
        react: (String) async throws -> Bool
    ) async throws -> Answer? {
        var refusal = ByteBuffer()
        var reader = EventReader()
        let place = after < 0 ? [] : [("last-event-id", "\(after)")]
        let status = try await exchange(method, path, body: body, headers: place) { status, part in
            guard status == 200 else {
                refusal.writeImmutableBuffer(part)
                return true
            }
            let events = reader.read(part.readableBytesView)
            for text in reader.takeComments() { await comment(text) }
            for event in events where try await !react(event) { return false }
            return true
        }
        return status == 200 ? nil : Answer(status: status, body: String(buffer: refusal))
    }

    /// Sends a request and calls `react` with the status and every part of the body until it returns false.
    ///
    /// Returns the status; throws when the connection ends before the answer does.
    private func exchange(
        _ method: Method, _ path: String, body: String?, headers extra: [(String, String)] = [],
        react: (Int, ByteBuffer) async throws -> Bool
    ) async throws -> Int {
        let channel = try await connect()
        do {
            return try await channel.executeThenClose { inbound, outbound in
                let payload = body.map { ByteBuffer(string: $0) }
                var headers = HTTPHeaders([("host", "\(host):\(port)"), ("connection", "close")])
                if let key { headers.add(name: "authorization", value: "Bearer \(key)") }
                for (name, value) in extra { headers.add(name: name, value: value) }
                if let payload {
                    if !headers.contains(name: "content-type") {
                        headers.add(name: "content-type", value: "application/json")
                    }
                    headers.add(name: "content-length", value: "\(payload.readableBytes)")
                }
                let head = HTTPRequestHead(
                    version: .http1_1, method: HTTPMethod(rawValue: method.rawValue), uri: prefix + path,
                    headers: headers)
                do {
                    try await outbound.write(.head(head))
                    if let payload { try await Self.send(payload, to: outbound) }
                    try await outbound.write(.end(nil))
                } catch ChannelError.ioOnClosedChannel {
                    // The gateway has answered and hung up before it heard all of this: its answer may be here.
                }
                var status: Int?
                for try await part in inbound {
                    switch part {
                    case .head(let head): status = Int(head.status.code)
                    case .body(let buffer):
                        if let status, try await !react(status, buffer) { return status }
                    case .end: if let status { return status }
                    }
                }
                try Task.checkCancellation()
                throw Problem.unavailable(
                    status == nil
                        ? "\(url) closed the connection without an answer; is a glm gateway listening there?"
                        : "the gateway at \(url) closed the connection before its answer was complete; try again")
            }
        } catch is HTTPParserError {
            throw Problem.failed("\(url) does not answer in HTTP; is a glm gateway listening there?")
        } catch let error as IOError {
            throw Problem.unavailable("the connection to the gateway at \(url) broke: \(Self.words(error)); try again")
        }
    }

    /// Sends a body piece by piece, as fast as the gateway takes it, and shows how far it is when that takes long.
    private static func send(
        _ payload: ByteBuffer, to outbound: NIOAsyncChannelOutboundWriter<HTTPClientRequestPart>
    ) async throws {
        var progress = ProgressLine("sending:", unit: "KiB")
        defer { progress.clear() }
        var rest = payload
        while rest.readableBytes > 0, let piece = rest.readSlice(length: min(rest.readableBytes, 256 << 10)) {
            try await outbound.write(.body(.byteBuffer(piece)))
            progress.show((payload.readableBytes - rest.readableBytes) >> 10, of: payload.readableBytes >> 10)
        }
    }

    private func connect() async throws -> NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart> {
        let hint = "start one with `glm up` or `glm gateway`, or name another with --gateway"
        do {
            return try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connectTimeout(.seconds(5))
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .connect(host: host, port: port) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHTTPClientHandlers()
                        return try NIOAsyncChannel(wrappingChannelSynchronously: channel)
                    }
                }
        } catch let error as NIOConnectionError {
            guard let cause = error.connectionErrors.first?.error else {
                throw Problem.unavailable("no gateway at \(url) (no such host); \(hint)")
            }
            throw Problem.unavailable("no gateway at \(url) (\(Self.words(cause))); \(hint)")
        } catch let error as CancellationError {
            throw error
        } catch {
            throw Problem.unavailable("no gateway at \(url) (\(Self.words(error))); \(hint)")
        }
    }

    private static func words(_ error: any Error) -> String {
        if let error = error as? IOError { return String(cString: strerror(error.errnoCode)).lowercased() }
        if case .connectTimeout? = error as? ChannelError { return "no answer" }
        return "\(error)"
    }
}

/// Takes a stream of server-sent events apart, however it was cut.
struct EventReader {
    private var line: [UInt8] = []
    private var data: [String] = []
    private var comments: [String] = []

    /// The comments that were complete and not taken yet.
    mutating func takeComments() -> [String] {
        defer { comments = [] }
        return comments
    }

    /// The data of the events that `bytes` complete.
    mutating func read(_ bytes: some Sequence<UInt8>) -> [String] {
        var events: [String] = []
        for byte in bytes {
            guard byte == UInt8(ascii: "\n") else {
                line.append(byte)
                continue
            }
            if line.last == UInt8(ascii: "\r") { line.removeLast() }
            let text = String(decoding: line, as: UTF8.self)
            line.removeAll(keepingCapacity: true)
            if text.isEmpty {
                if !data.isEmpty { events.append(data.joined(separator: "\n")) }
                data = []
            } else if text.hasPrefix("data:") {
                let value = text.dropFirst("data:".count)
                data.append(String(value.hasPrefix(" ") ? value.dropFirst() : value))
            } else if text.hasPrefix(": ") {
                comments.append(String(text.dropFirst(2)))
            }
        }
        return events
    }
}
