import Core
import Gateway
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Tokenization

/// An answer as the tests look at it.
struct Reply: Sendable {
    var status = 0
    /// By their names in small letters.
    var headers: [String: String] = [:]
    var body = ""

    /// The body as JSON.
    var json: JSONValue { get throws { try JSONValue(parsing: body, source: "the body") } }

    /// The data of the body's server-sent events.
    var events: [String] {
        body.split(separator: "\n").filter { $0.hasPrefix("data: ") }.map { String($0.dropFirst(6)) }
    }

    /// The same as JSON, the end mark left out.
    var chunks: [JSONValue] {
        get throws { try events.filter { $0 != "[DONE]" }.map { try JSONValue(parsing: $0, source: "an event") } }
    }
}

/// What a request does.
enum Method: String {
    case get = "GET"
    case post = "POST"
    case delete = "DELETE"
}

/// Asks one gateway over real connections, one a request.
struct Client: Sendable {
    let port: Int

    /// Sends a request; reads the whole answer, or hangs up as soon as `isEnough` says so of the body so far.
    func send(
        _ method: Method, _ path: String, _ body: String? = nil, headers: [(String, String)] = [],
        isEnough: @escaping @Sendable (String) -> Bool = { _ in false }
    ) async throws -> Reply {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    return try NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>(
                        wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            let payload = body.map { ByteBuffer(string: $0) }
            var fields = HTTPHeaders([("host", "127.0.0.1"), ("connection", "close")] + headers)
            if let payload { fields.add(name: "content-length", value: "\(payload.readableBytes)") }
            try await outbound.write(
                .head(
                    HTTPRequestHead(
                        version: .http1_1, method: HTTPMethod(rawValue: method.rawValue), uri: path, headers: fields)))
            if let payload { try await outbound.write(.body(.byteBuffer(payload))) }
            try await outbound.write(.end(nil))
            var reply = Reply()
            for try await part in inbound {
                switch part {
                case .head(let head):
                    reply.status = Int(head.status.code)
                    reply.headers = Dictionary(
                        head.headers.map { ($0.name.lowercased(), $0.value) }, uniquingKeysWith: { "\($0), \($1)" })
                case .body(let buffer):
                    reply.body += String(buffer: buffer)
                    if isEnough(reply.body) { return reply }
                case .end: return reply
                }
            }
            return reply
        }
    }
}

extension Client {
    /// Connects, says nothing, and tells whether the gateway hangs up.
    func isClosedWhenSilent() async throws -> Bool {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port).get()
        defer { channel.close(promise: nil) }
        return await eventually { !channel.isActive }
    }
}

/// Log lines would drown the results of the tests; bootstrapping is allowed once.
private let silence: Void = LoggingSystem.bootstrap { _ in SwiftLogNoOpLogHandler() }

/// Runs a gateway on a free port of the loopback interface around `body`.
func withGateway<Result: Sendable>(
    _ cluster: FakeCluster, heartbeat: Duration = .seconds(15), bodyLimit: Int = 1 << 20,
    origins: [String] = [], patience: Duration = .seconds(60), traces: String? = nil,
    _ body: @escaping @Sendable (Client) async throws -> Result
) async throws -> Result {
    _ = silence
    let settings = Gateway.Settings(
        listen: try ListenAddress("127.0.0.1:0"), heartbeat: heartbeat, bodyLimit: bodyLimit,
        origins: origins, patience: patience, traces: traces)
    let gateway = try Gateway(settings: settings, service: cluster)
    let (ports, announce) = AsyncStream<Int>.makeStream()
    let server = Task {
        defer { announce.finish() }
        try await gateway.run(handlesSignals: false) { announce.yield($0.port) }
    }
    defer { server.cancel() }
    guard let port = await ports.first(where: { _ in true }) else {
        try await server.value
        throw Problem.failed("the gateway ended before it listened")
    }
    return try await body(Client(port: port))
}

/// Waits until something is so, at least five seconds.
///
/// Looks are counted, not seconds: where tests keep every thread busy, each look lets the gateway have its turn too.
func eventually(_ condition: @Sendable () async -> Bool) async -> Bool {
    for _ in 0..<500 {
        if await condition() { return true }
        try? await Task.sleep(for: .milliseconds(10))
    }
    return false
}
