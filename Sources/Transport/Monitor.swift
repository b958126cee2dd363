import CZeroMQ
import Core
import Synchronization

/// What libzmq tells about the connections of one socket.
struct Monitor: ~Copyable {
    enum Event {
        case connected
        case disconnected
        case refused(String)
    }

    private static let made = Atomic(0)
    let raw: UnsafeMutableRawPointer
    private let context: Context

    init(_ socket: borrowing Socket, context: Context) throws {
        let name = "inproc://monitor-\(Self.made.add(1, ordering: .relaxed).newValue)"
        let wanted =
            ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH
            | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL
        guard zmq_socket_monitor(socket.raw, name, wanted) == 0, let raw = zmq_socket(context.raw, ZMQ_PAIR) else {
            throw Problem.lastZeroMQ("watching a socket")
        }
        var linger: Int32 = 0
        zmq_setsockopt(raw, ZMQ_LINGER, &linger, MemoryLayout<Int32>.size)
        guard zmq_connect(raw, name) == 0 else {
            let problem = Problem.lastZeroMQ("watching a socket")
            zmq_close(raw)
            throw problem
        }
        self.raw = raw
        self.context = context
    }

    deinit { zmq_close(raw) }

    /// The next event, or nil when nothing more has happened.
    func next() -> Event? {
        while let frames = Frames.receive(raw) {
            guard let first = frames.first, first.count == 6 else { continue }
            switch Int32(first[0]) | Int32(first[1]) << 8 {
            case ZMQ_EVENT_HANDSHAKE_SUCCEEDED: return .connected
            case ZMQ_EVENT_DISCONNECTED: return .disconnected
            case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
                return .refused("the key was refused: it is not the cluster's; give this member the cluster's key file")
            case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
                return .refused(
                    "the other side does not speak as we do: one side has keys and the other none, or it is no cluster")
            default:
                return .refused("the other side hung up in the handshake: it may hold another key, or be no cluster")
            }
        }
        return nil
    }
}
