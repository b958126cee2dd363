import CZeroMQ
import Core
import Synchronization

/// The libzmq context of the process: its io thread, and the gatekeeper of its encrypted sockets.
///
/// Every socket keeps its context alive. One context serves one `Security`.
public final class Context: @unchecked Sendable {  // libzmq contexts may be used from any thread
    let raw: UnsafeMutableRawPointer
    /// Who may talk to the sockets of this context.
    public let security: Security
    private let gatekeeper: Gatekeeper?

    /// A context whose sockets are protected as `security` says.
    ///
    /// `onRefusal` hears, once for each wrong key, from where somebody with that key tried to connect.
    public init(
        security: Security = .open, ioThreads: Int = 1,
        onRefusal: @escaping @Sendable (_ message: String) -> Void = { _ in }
    ) throws {
        guard let raw = zmq_ctx_new() else { throw Problem.lastZeroMQ("a new context") }
        zmq_ctx_set(raw, ZMQ_IO_THREADS, Int32(clamping: max(1, ioThreads)))
        zmq_ctx_set(raw, ZMQ_MAX_SOCKETS, 4096)
        do {
            if case .curve(let keys) = security {
                guard zmq_has("curve") == 1 else {
                    throw Problem.failed(
                        "this libzmq has no CURVE; install Debian's libzmq5, or start without keys on loopback")
                }
                gatekeeper = try Gatekeeper(context: raw, allowed: keys.client.publicBytes, onRefusal: onRefusal)
            } else {
                gatekeeper = nil
            }
        } catch {
            zmq_ctx_term(raw)
            throw error
        }
        self.raw = raw
        self.security = security
    }

    deinit {
        gatekeeper?.stop()
        zmq_ctx_term(raw)
    }
}

extension Problem {
    /// libzmq's complaint about `what`, in its own words.
    static func lastZeroMQ(_ what: String) -> Problem {
        let code = zmq_errno()
        let kind: Kind = code == EADDRINUSE || code == EACCES || code == EADDRNOTAVAIL ? .invalid : .failed
        return Problem(kind, "\(what): \(String(cString: zmq_strerror(code)))")
    }
}
