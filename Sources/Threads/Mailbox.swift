import CLinux
import Glibc
import Synchronization

/// A queue from any thread to one: nobody who puts waits, the one who takes may.
///
/// With `isPollable` it rings an eventfd too, so that a loop in `poll` or `zmq_poll` can watch it beside sockets.
public final class Mailbox<Element: Sendable>: Sendable {
    private struct State {
        var items: [Element] = []
        var next = 0
        var isClosed = false
    }

    private let state = Mutex(State())
    private let puts = Futex()
    /// The eventfd that becomes readable with every put, or -1.
    public let descriptor: Int32

    /// An empty mailbox.
    public init(isPollable: Bool = false) {
        descriptor = isPollable ? clinux_eventfd() : -1
    }

    deinit {
        if descriptor >= 0 { Glibc.close(descriptor) }
    }

    /// Adds `item` at the end; false when the mailbox is closed.
    @discardableResult
    public func put(_ item: Element) -> Bool {
        let isOpen = state.withLock { state in
            if !state.isClosed { state.items.append(item) }
            return !state.isClosed
        }
        if isOpen { ring() }
        return isOpen
    }

    /// Ends it: nothing more goes in, and who takes gets what is left and then nil at once.
    public func close() {
        state.withLock { $0.isClosed = true }
        ring()
    }

    /// Whether nothing is in it.
    public var isEmpty: Bool { state.withLock { $0.next >= $0.items.count } }

    /// Whether it has been closed.
    public var isClosed: Bool { state.withLock { $0.isClosed } }

    /// The oldest item, or nil when there is none now.
    public func poll() -> Element? {
        state.withLock { state in
            guard state.next < state.items.count else { return nil }
            let item = state.items[state.next]
            state.next += 1
            // Taken items are cut off in one go, when they are half of the array or all of it.
            if state.next == state.items.count {
                state.items.removeAll(keepingCapacity: state.next <= 1024)
                state.next = 0
            } else if state.next >= 1024, state.next * 2 >= state.items.count {
                state.items.removeFirst(state.next)
                state.next = 0
            }
            return item
        }
    }

    /// The oldest item; waits for one, for at most `timeout`. Nil when the time is over or the mailbox closed and empty.
    public func take(timeout: Duration? = nil) -> Element? {
        let end = timeout.map { ContinuousClock.now + $0 }
        while true {
            let seen = puts.value
            if let item = poll() { return item }
            if isClosed { return nil }
            if let end {
                let left = end - ContinuousClock.now
                if left <= .zero { return nil }
                puts.sleep(while: seen, limit: left)
            } else {
                puts.sleep(while: seen)
            }
        }
    }

    /// Makes the descriptor unreadable again; call it before emptying the mailbox with `poll`.
    public func clearSignal() {
        var rings: UInt64 = 0
        if descriptor >= 0 { _ = read(descriptor, &rings, 8) }
    }

    private func ring() {
        puts.increment()
        puts.wake(1)
        var one: UInt64 = 1
        if descriptor >= 0 { _ = write(descriptor, &one, 8) }
    }
}
