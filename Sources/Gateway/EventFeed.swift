import Core

/// The events of one job on their way to one reader, who hears each of them once, however often the coordinator is started anew.
///
/// A job that goes on after a restart draws the same tokens again, so the number of an event says whether it was heard.
struct EventFeed: Sendable {
    let job: JobID
    /// Whether the job survives its coordinator.
    let isKept: Bool
    let listener: JobListener
    /// Whether the connection was lost since the feed began.
    var isPaused = false
    private var next: UInt64 = 0

    /// How long a feed waits for a coordinator that is gone.
    static let patience = Duration.seconds(60)
    /// What a reader hears when the coordinator that is back does not know the job.
    static let lost = Problem.failed("the coordinator was started again without this job; send the request again")

    init(job: JobID, isKept: Bool, listener: @escaping JobListener) {
        self.job = job
        self.isKept = isKept
        self.listener = listener
    }

    /// Passes an event on, unless it was heard before.
    mutating func take(_ event: JobEvent, number: UInt64) {
        guard event.isNumbered else {
            // Progress has no number of its own; who has heard of tokens is past it.
            if next == 0 { listener(event) }
            return
        }
        guard number >= next else { return }
        next = number + 1
        listener(event)
    }
}
