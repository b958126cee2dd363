import CLinux
import Glibc

/// A named thread of its own, for work that blocks or computes for long.
///
/// `join` waits for its end; a thread that nobody joins runs on and frees itself.
public final class Thread: @unchecked Sendable {
    // `handle` is written once before anybody else sees the object; `isJoined` is guarded by the caller's one join.
    private var handle = pthread_t()
    private var isJoined = false

    private final class Start {
        let name: String
        let body: @Sendable () -> Void

        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    /// Starts `body` on a new thread; the kernel keeps 15 bytes of `name`.
    public init(name: String, _ body: @escaping @Sendable () -> Void) {
        let start = Unmanaged.passRetained(Start(name: name, body: body))
        let status = pthread_create(
            &handle, nil,
            { raw in
                guard let raw else { return nil }
                let start = Unmanaged<Start>.fromOpaque(raw).takeRetainedValue()
                clinux_set_thread_name(start.name)
                start.body()
                return nil
            }, start.toOpaque())
        precondition(status == 0, "the system has no more threads")
    }

    /// Waits until the thread has ended; call it once, from another thread.
    public func join() {
        guard !isJoined else { return }
        isJoined = true
        pthread_join(handle, nil)
    }

    deinit {
        if !isJoined { pthread_detach(handle) }
    }
}
