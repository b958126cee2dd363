import Core
import Synchronization

/// Jobs that live as long as somebody waits for their answer.
///
/// Those that have not ended are cancelled by `cancel`, and when this is dropped (the client went away, a write failed, the
/// response was never sent), whatever the path that dropped it.
final class OpenJobs: Sendable {
    private struct State {
        var running: [Int: JobID] = [:]
        var ended: Set<Int> = []
    }

    private let service: any ClusterService
    private let state = Mutex(State())

    init(service: any ClusterService) { self.service = service }

    deinit { cancel() }

    /// A job was accepted; it may have ended before that was known.
    func began(_ index: Int, _ job: JobID) {
        state.withLock { if !$0.ended.contains(index) { $0.running[index] = job } }
    }

    /// A job has ended by itself; the answer is how many have.
    func ended(_ index: Int) -> Int {
        state.withLock { state in
            state.running[index] = nil
            state.ended.insert(index)
            return state.ended.count
        }
    }

    /// Cancels what has not ended.
    func cancel() {
        let left = state.withLock { state in
            defer { state.running = [:] }
            return state.running.values
        }
        // New tasks: the one that gave up is usually cancelled itself. A job that is gone already is fine.
        for job in left { Task { [service] in try? await service.cancel(job) } }
    }
}
