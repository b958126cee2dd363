import Core

/// A peer of a `Server`, as long as its connection lasts: one that reconnects is another peer.
public struct PeerID: Hashable, Sendable, CustomStringConvertible {
    let bytes: [UInt8]
    /// The id in hexadecimal, for logs.
    public var description: String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

/// The coordinator's end of the control plane: listens, and talks to each peer by its id.
///
/// One thread of its own owns the socket. Frames are handed over as bytes, whatever they hold.
public final class Server: Sendable {
    /// What happens.
    public enum Event: Sendable {
        /// `peer` sent these frames; they may be anything.
        case message(from: PeerID, frames: [[UInt8]])
        /// `peer` is gone, so this could not be sent.
        case unreachable(PeerID, frames: [[UInt8]])
        /// Somebody could not connect; the text says why.
        case refused(String)
    }

    private let reactor: Reactor
    /// The address that peers connect to, with the port that a `*` became.
    public var endpoint: String { reactor.endpoint }

    /// Listens on `endpoint`; `onEvent` runs on the server's thread and must not wait.
    public init(
        context: Context, endpoint: String, insecure: Bool = false,
        onEvent: @escaping @Sendable (Event) -> Void, onClose: @escaping @Sendable () -> Void = {}
    ) throws {
        try Endpoint.checkBind(endpoint, security: context.security, insecure: insecure)
        reactor = try Reactor(
            context: context, kind: .router, name: "control", greeting: nil, setup: { try $0.bind(endpoint) }
        ) { event in
            switch event {
            case .message(let frames):
                guard let id = frames.first else { return }
                onEvent(.message(from: PeerID(bytes: id), frames: Array(frames.dropFirst())))
            case .unsent(let frames):
                onEvent(.unreachable(PeerID(bytes: frames.first ?? []), frames: Array(frames.dropFirst())))
            case .refused(let reason): onEvent(.refused(reason))
            case .closed: onClose()
            case .connected, .disconnected: break
            }
        }
    }

    /// The same with the events as a stream, which ends when the server is closed.
    public static func streaming(
        context: Context, endpoint: String, insecure: Bool = false
    ) throws -> (server: Server, events: AsyncStream<Event>) {
        let (events, sink) = AsyncStream.makeStream(of: Event.self)
        let server = try Server(context: context, endpoint: endpoint, insecure: insecure) {
            sink.yield($0)
        } onClose: {
            sink.finish()
        }
        return (server, events)
    }

    /// Queues `frames` for `peer`; never waits.
    public func send(to peer: PeerID, _ frames: [[UInt8]]) { reactor.send([peer.bytes] + frames) }

    /// Sends what is queued and stops listening.
    public func close() { reactor.close() }
}
