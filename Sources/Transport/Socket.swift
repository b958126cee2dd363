import CZeroMQ
import Core

/// One libzmq socket, which lives and dies on the thread that made it.
///
/// Move-only, so the compiler sees to it that there is one owner and one close.
public struct Socket: ~Copyable {
    /// The four kinds that the cluster uses.
    public enum Kind: Sendable {
        /// Control, at the coordinator: knows its peers one by one.
        case router
        /// Control, at everybody else.
        case dealer
        /// Data, sending end.
        case push
        /// Data, receiving end.
        case pull

        var number: Int32 {
            switch self {
            case .router: ZMQ_ROUTER
            case .dealer: ZMQ_DEALER
            case .push: ZMQ_PUSH
            case .pull: ZMQ_PULL
            }
        }
    }

    let raw: UnsafeMutableRawPointer
    private let context: Context

    /// A socket of `kind`, set up so that nothing hides in it: no linger, no queue to a peer that is not there, a limit
    /// on frames, heartbeats below us.
    ///
    /// `highWater` is in messages, each way; 0 means no limit, for sockets whose protocol has limits of its own.
    public init(_ context: Context, _ kind: Kind, highWater: Int = 0, mostFrameBytes: Int = 256 << 20) throws {
        guard let raw = zmq_socket(context.raw, kind.number) else { throw Problem.lastZeroMQ("a new socket") }
        self.raw = raw
        self.context = context
        set(ZMQ_LINGER, 0)
        set(ZMQ_SNDHWM, Int32(clamping: highWater))
        set(ZMQ_RCVHWM, Int32(clamping: highWater))
        // A dealer knows from its monitor when it is connected; with this option libzmq would throw away what it has
        // received and nobody has read yet when the connection ends.
        if kind == .push { set(ZMQ_IMMEDIATE, 1) }
        set(ZMQ_HANDSHAKE_IVL, 5000)
        set(ZMQ_HEARTBEAT_IVL, 1000)
        set(ZMQ_HEARTBEAT_TIMEOUT, 5000)
        set(ZMQ_HEARTBEAT_TTL, 5000)
        set(ZMQ_RECONNECT_IVL, 50)
        set(ZMQ_RECONNECT_IVL_MAX, 1000)
        // A length in somebody's garbage must not make us allocate it.
        var limit = Int64(mostFrameBytes)
        zmq_setsockopt(raw, ZMQ_MAXMSGSIZE, &limit, MemoryLayout<Int64>.size)
        if kind == .router { set(ZMQ_ROUTER_MANDATORY, 1) }
    }

    deinit { zmq_close(raw) }

    /// Listens; returns the address in use, with the port that a `*` or 0 became.
    public borrowing func bind(_ endpoint: String) throws -> String {
        if let keys = context.security.keys, !Endpoint.isPath(endpoint) {
            guard let secret = keys.serverSecretKey else {
                throw Problem.refused(
                    "this key file is a gateway's and can not protect a listening socket; use cluster.key")
            }
            set(ZMQ_CURVE_SERVER, 1)
            set(ZMQ_CURVE_SECRETKEY, secret)
            set(ZMQ_ZAP_DOMAIN, "glm")
        }
        if Endpoint.isIPv6(endpoint) { set(ZMQ_IPV6, 1) }
        // libzmq looks up names only where it connects.
        let name = "tcp://localhost:"
        let address = endpoint.hasPrefix(name) ? "tcp://127.0.0.1:" + endpoint.dropFirst(name.count) : endpoint
        guard zmq_bind(raw, address) == 0 else { throw Problem.lastZeroMQ("listening on \(endpoint)") }
        var last = [CChar](repeating: 0, count: 1024)
        var size = last.count
        guard zmq_getsockopt(raw, ZMQ_LAST_ENDPOINT, &last, &size) == 0 else {
            throw Problem.lastZeroMQ("listening on \(endpoint)")
        }
        return String(decoding: last.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Begins to connect, and does so again whenever the connection is lost.
    ///
    /// `serverKey` is the listener's public key when it is not the cluster's.
    public borrowing func connect(_ endpoint: String, serverKey: String? = nil) throws {
        if let keys = context.security.keys, !Endpoint.isPath(endpoint) {
            set(ZMQ_CURVE_SERVERKEY, serverKey ?? keys.serverPublicKey)
            set(ZMQ_CURVE_PUBLICKEY, keys.client.publicKey)
            set(ZMQ_CURVE_SECRETKEY, keys.client.secretKey)
        }
        if Endpoint.isIPv6(endpoint) { set(ZMQ_IPV6, 1) }
        guard zmq_connect(raw, endpoint) == 0 else { throw Problem.lastZeroMQ("connecting to \(endpoint)") }
    }

    /// Sends without waiting; false when nobody can take it now. A peer that a router does not know is a problem.
    public borrowing func send(_ frames: [[UInt8]]) throws -> Bool {
        switch Frames.send(raw, frames) {
        case 0: return true
        case EAGAIN: return false
        default: throw Problem.lastZeroMQ("sending")
        }
    }

    /// The message that waits, or nil.
    public borrowing func receive() -> [[UInt8]]? { Frames.receive(raw) }

    /// Waits until a message is there or `timeout` is over; tells which.
    public borrowing func waitForMessage(timeout: Duration) -> Bool {
        var item = zmq_pollitem_t(socket: raw, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0)
        return zmq_poll(&item, 1, Int(timeout.milliseconds)) > 0
    }

    borrowing func set(_ option: Int32, _ value: Int32) {
        var value = value
        zmq_setsockopt(raw, option, &value, MemoryLayout<Int32>.size)
    }

    borrowing func set(_ option: Int32, _ value: String) {
        zmq_setsockopt(raw, option, value, value.utf8.count)
    }
}

extension Duration {
    /// Whole milliseconds, rounded up so that waiting never ends early.
    var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        return min(seconds, 1 << 31) * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
    }
}
