import Glibc
import Synchronization

/// Ctrl-C as cancellation.
enum Interrupt {
    /// How many SIGINTs and SIGTERMs came; a signal's handler may do no more than count.
    private static let count = Atomic<Int>(0)
    /// The count when the operation began: the next signal cancels it, one more ends the process.
    private static let handled = Atomic<Int>(0)

    /// Runs `operation`; SIGINT or SIGTERM cancels it instead of ending the process, a second one does end it.
    ///
    /// An operation that throws after it was cancelled, whatever it throws, is a `CancellationError`.
    static func cancelling<Result: Sendable>(
        _ operation: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        let before = count.load(ordering: .relaxed)
        handled.store(before, ordering: .relaxed)
        let signals = [SIGINT, SIGTERM]
        for number in signals {
            signal(number) { _ in
                if Interrupt.count.add(1, ordering: .relaxed).oldValue > Interrupt.handled.load(ordering: .relaxed) {
                    _exit(130)
                }
            }
        }
        defer { for number in signals { signal(number, SIG_DFL) } }
        let task = Task { try await operation() }
        let watch = Task {
            while count.load(ordering: .relaxed) == before { try await Task.sleep(for: .milliseconds(50)) }
            task.cancel()
        }
        defer { watch.cancel() }
        do {
            return try await task.value
        } catch {
            if task.isCancelled { throw CancellationError() }
            throw error
        }
    }
}
