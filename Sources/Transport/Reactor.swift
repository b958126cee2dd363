import CZeroMQ
import Core
import Synchronization
import Threads

/// One thread, one control socket, one loop: wait, empty the outbox, empty the socket, again.
///
/// All of libzmq happens on that thread. The rest of the program puts messages into the outbox, from anywhere and
/// without waiting, and hears of events in a callback on the reactor's thread.
final class Reactor: Sendable {
    /// What the thread tells its owner.
    enum Event {
        case message([[UInt8]])
        case unsent([[UInt8]])
        case connected
        case disconnected
        case refused(String)
        case closed
    }

    /// What to do with the new socket, on the thread that will own it; returns its address.
    typealias Setup = @Sendable (borrowing Socket) throws -> String

    private enum Order: Sendable {
        case send([[UInt8]])
        case close
    }

    private let outbox: Mailbox<Order>
    let endpoint: String

    /// Starts the thread and waits until the socket is set up.
    ///
    /// With a `greeting` the socket connects: the greeting is the first message of every connection, and what is sent
    /// while there is no connection comes back as `unsent`. Each connection has a new socket, since libzmq would send
    /// what the old one still holds before the greeting.
    init(
        context: Context, kind: Socket.Kind, name: String, greeting: [[UInt8]]?, setup: @escaping Setup,
        onEvent: @escaping @Sendable (Event) -> Void
    ) throws {
        let outbox = Mailbox<Order>(isPollable: true)
        let started = Mailbox<Result<String, Problem>>()
        self.outbox = outbox
        _ = Thread(name: name) {
            var loop = Loop(greeting: greeting, onEvent: onEvent)
            do {
                repeat {
                    let socket = try Socket(context, kind)
                    let monitor = try Monitor(socket, context: context)
                    let endpoint = try setup(socket)
                    if started.put(.success(endpoint)) { started.close() }
                    loop.run(socket, monitor, outbox)
                } while !loop.isClosing
            } catch {
                let problem = error as? Problem ?? .failed("\(error)")
                if !started.put(.failure(problem)) { onEvent(.refused(problem.message)) }
            }
            outbox.close()
            onEvent(.closed)
        }
        guard let result = started.take() else { throw Problem.failed("the \(name) thread did not start") }
        endpoint = try result.get()
    }

    func send(_ frames: [[UInt8]]) { outbox.put(.send(frames)) }

    /// Has the thread send what is queued, close the socket and end; does not wait for it.
    func close() { outbox.put(.close) }

    deinit { close() }

    /// The state of the thread.
    private struct Loop {
        let greeting: [[UInt8]]?
        let onEvent: @Sendable (Event) -> Void
        var isConnected = false
        var isLost = false
        var pending: [[[UInt8]]] = []
        var lastRefusal = ""
        var isClosing = false

        init(greeting: [[UInt8]]?, onEvent: @escaping @Sendable (Event) -> Void) {
            self.greeting = greeting
            self.onEvent = onEvent
        }

        /// Serves the socket until the owner closes it or, for one that connects, the connection is lost.
        mutating func run(_ socket: borrowing Socket, _ monitor: borrowing Monitor, _ outbox: Mailbox<Order>) {
            var items = [
                zmq_pollitem_t(socket: socket.raw, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0),
                zmq_pollitem_t(socket: monitor.raw, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0),
                zmq_pollitem_t(socket: nil, fd: outbox.descriptor, events: Int16(ZMQ_POLLIN), revents: 0),
            ]
            while !isClosing, !isLost {
                items[0].events = Int16(pending.isEmpty ? ZMQ_POLLIN : ZMQ_POLLIN | ZMQ_POLLOUT)
                if zmq_poll(&items, 3, -1) < 0, zmq_errno() != EINTR { isClosing = true }
                while let event = monitor.next() { note(event) }
                outbox.clearSignal()
                while let order = outbox.poll() { take(order) }
                if !isLost { flush(socket) }
                // A flood from one side must not keep the outbox waiting.
                for _ in 0..<256 {
                    guard let frames = socket.receive() else { break }
                    onEvent(.message(frames))
                }
            }
            if isClosing {
                // Last words get a moment to leave; the context waits for them.
                socket.set(ZMQ_LINGER, 500)
            } else {
                lose(socket)
            }
        }

        private mutating func take(_ order: Order) {
            switch order {
            case .close: isClosing = true
            case .send(let frames) where greeting != nil && !isConnected: onEvent(.unsent(frames))
            case .send(let frames): pending.append(frames)
            }
        }

        private mutating func note(_ event: Monitor.Event) {
            switch event {
            case .connected:
                lastRefusal = ""
                guard let greeting, !isConnected else { return }
                isConnected = true
                pending = [greeting]
                onEvent(.connected)
            case .disconnected: isLost = isConnected
            case .refused(let reason):
                guard reason != lastRefusal else { return }
                lastRefusal = reason
                onEvent(.refused(reason))
            }
        }

        /// Takes leave of a socket whose connection is lost, so that the next one begins with nothing but the greeting.
        private mutating func lose(_ socket: borrowing Socket) {
            (isLost, isConnected) = (false, false)
            while let frames = socket.receive() { onEvent(.message(frames)) }
            for frames in pending.dropFirst(pending.first == greeting ? 1 : 0) { onEvent(.unsent(frames)) }
            pending = []
            onEvent(.disconnected)
        }

        private mutating func flush(_ socket: borrowing Socket) {
            var sent = 0
            for frames in pending {
                let code = Frames.send(socket.raw, frames)
                if code == EAGAIN { break }
                sent += 1
                if code != 0 { onEvent(.unsent(frames)) }
            }
            pending.removeFirst(sent)
        }
    }
}
