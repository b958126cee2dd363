import Core

/// A worker's or gateway's end of the control plane: connects, and reconnects whenever the connection is lost.
///
/// The greeting (a hello) is the first message of every connection, so that a coordinator that was restarted knows who
/// is there. Messages are only sent over a living connection; others come back as `unsent`.
public final class Client: Sendable {
    /// What happens.
    public enum Event: Sendable {
        /// The coordinator sent these frames; they may be anything.
        case message([[UInt8]])
        /// There is no connection, so this could not be sent.
        case unsent([[UInt8]])
        /// A connection stands, and the greeting is on its way.
        case connected
        /// The connection is lost; the next one is being tried.
        case disconnected
        /// The other side does not want us; the text says why.
        case refused(String)
    }

    private let reactor: Reactor

    /// Begins to connect to `endpoint`; `onEvent` runs on the client's thread and must not wait.
    public init(
        context: Context, endpoint: String, greeting: [[UInt8]], onEvent: @escaping @Sendable (Event) -> Void,
        onClose: @escaping @Sendable () -> Void = {}
    ) throws {
        reactor = try Reactor(
            context: context, kind: .dealer, name: "control", greeting: greeting,
            setup: { socket in
                try socket.connect(endpoint)
                return endpoint
            }
        ) { event in
            switch event {
            case .message(let frames): onEvent(.message(frames))
            case .unsent(let frames): onEvent(.unsent(frames))
            case .connected: onEvent(.connected)
            case .disconnected: onEvent(.disconnected)
            case .closed: onClose()
            case .refused(let reason): onEvent(.refused(reason))
            }
        }
    }

    /// The same with the events as a stream, which ends when the client is closed.
    public static func streaming(
        context: Context, endpoint: String, greeting: [[UInt8]]
    ) throws -> (client: Client, events: AsyncStream<Event>) {
        let (events, sink) = AsyncStream.makeStream(of: Event.self)
        let client = try Client(context: context, endpoint: endpoint, greeting: greeting) {
            sink.yield($0)
        } onClose: {
            sink.finish()
        }
        return (client, events)
    }

    /// Queues `frames`; never waits.
    public func send(_ frames: [[UInt8]]) { reactor.send(frames) }

    /// Sends what is queued and closes the connection.
    public func close() { reactor.close() }
}
