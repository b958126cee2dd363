import CLinux
import CZeroMQ
import Core
import Glibc
import Synchronization
import Threads

/// Decides which CURVE keys may connect: libzmq asks it over `inproc://zeromq.zap.01` (ZeroMQ RFC 27).
///
/// Without such a handler a CURVE socket would admit every client that knows the server's public key.
final class Gatekeeper: Sendable {
    private let door: Int32
    private let thread: Thread
    private let isStopping = Atomic(false)

    init(context: UnsafeMutableRawPointer, allowed: [UInt8], onRefusal: @escaping @Sendable (String) -> Void) throws {
        guard let socket = zmq_socket(context, ZMQ_REP) else { throw Problem.lastZeroMQ("the key check's socket") }
        var linger: Int32 = 0
        zmq_setsockopt(socket, ZMQ_LINGER, &linger, MemoryLayout<Int32>.size)
        guard zmq_bind(socket, "inproc://zeromq.zap.01") == 0 else {
            let problem = Problem.lastZeroMQ("the key check's socket")
            zmq_close(socket)
            throw problem
        }
        let door = clinux_eventfd()
        self.door = door
        let owned = Owned(socket: socket)
        thread = Thread(name: "keys") {
            Self.serve(owned.socket, door: door, allowed: allowed, onRefusal: onRefusal)
            zmq_close(owned.socket)
        }
    }

    /// A socket on its way to the one thread that will use it.
    private struct Owned: @unchecked Sendable {  // made here, used only by the thread that it is handed to
        let socket: UnsafeMutableRawPointer
    }

    func stop() {
        guard !isStopping.exchange(true, ordering: .acquiringAndReleasing) else { return }
        var one: UInt64 = 1
        _ = write(door, &one, 8)
        thread.join()
        close(door)
    }

    private static func serve(
        _ socket: UnsafeMutableRawPointer, door: Int32, allowed: [UInt8], onRefusal: (String) -> Void
    ) {
        var refused: Set<[UInt8]> = []
        var items = [
            zmq_pollitem_t(socket: socket, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0),
            zmq_pollitem_t(socket: nil, fd: door, events: Int16(ZMQ_POLLIN), revents: 0),
        ]
        while true {
            if zmq_poll(&items, 2, -1) < 0, zmq_errno() != EINTR { return }
            if items[1].revents != 0 { return }
            guard items[0].revents != 0, let frames = Frames.receive(socket) else { continue }
            // version, request id, domain, address, identity, mechanism, then the key
            let isCurve = frames.count == 7 && frames[0] == Array("1.0".utf8) && frames[5] == Array("CURVE".utf8)
            let isMember = isCurve && frames[6] == allowed
            if !isMember, refused.count < 1024, refused.insert(frames.last ?? []).inserted {
                let address = frames.count > 3 ? String(decoding: frames[3], as: UTF8.self) : "somewhere"
                onRefusal(
                    "refused a connection from \(address): its key is not this cluster's; give it the cluster's key file"
                )
            }
            let id = frames.count > 1 ? frames[1] : []
            let (code, text) = isMember ? ("200", "OK") : ("400", "this key is not the cluster's")
            let user = isMember ? "member" : ""
            _ = Frames.send(socket, ["1.0".bytes, id, code.bytes, text.bytes, user.bytes, []])
        }
    }
}

extension String {
    /// The UTF-8 of the text.
    fileprivate var bytes: [UInt8] { Array(utf8) }
}
