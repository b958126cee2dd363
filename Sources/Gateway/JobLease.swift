import Core
import Synchronization

/// A job that lives as long as somebody waits for its answer.
///
/// Whoever holds the lease calls `finish` once the job has ended. A lease that is dropped before (the client went
/// away, a write failed, the response was never sent) cancels the job, whatever the path that dropped it.
final class JobLease: Sendable {
    /// The job.
    let job: JobID
    private let service: any ClusterService
    private let hasEnded = Atomic<Bool>(false)

    init(job: JobID, service: any ClusterService) {
        self.job = job
        self.service = service
    }

    /// The job has ended by itself.
    func finish() { hasEnded.store(true, ordering: .relaxed) }

    deinit {
        guard !hasEnded.load(ordering: .relaxed) else { return }
        // A new task: the one that dropped the lease is usually cancelled itself. A job that is gone already is fine.
        Task { [service, job] in try? await service.cancel(job) }
    }
}
