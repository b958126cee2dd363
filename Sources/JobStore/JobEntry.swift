public import Core

/// What happens to a job, as the journal takes it down.
enum JobEntry: Sendable {
    /// It was accepted; `written` hears when that is on the disk, or why it cannot be.
    case accepted(AcceptedJob, written: (@Sendable (Problem?) -> Void)?)
    /// Events followed, `first` being the first one's number; with `end` it is over.
    case happened(JobID, first: Int, [JobEvent], end: JobEnd?)
    /// Nobody remembers these any more.
    case forgotten([JobID])

    /// Whether it is to be written at once: a job that is not on the disk is lost with its coordinator, a token is not.
    var isUrgent: Bool {
        switch self {
        case .accepted: true
        case .happened(_, _, _, let end): end != nil
        case .forgotten: false
        }
    }
}

/// A job as it was accepted.
public struct AcceptedJob: Sendable {
    /// Its name.
    public var id: JobID
    /// What is asked.
    public var request: JobRequest
    /// The tokens that may be generated.
    public var limit: Int
    /// Seconds since 1970.
    public var accepted: Double

    /// A job.
    public init(id: JobID, request: JobRequest, limit: Int, accepted: Double) {
        self.id = id
        self.request = request
        self.limit = limit
        self.accepted = accepted
    }
}

/// How a job ended.
public struct JobEnd: Sendable {
    /// Its last state.
    public var state: JobState
    /// Seconds since 1970.
    public var at: Double
    /// Whether its client waits for the answer: it is kept until that client has surely heard it, not for others to ask for.
    public var endsWithClient: Bool

    /// An end.
    public init(state: JobState, at: Double, endsWithClient: Bool) {
        self.state = state
        self.at = at
        self.endsWithClient = endsWithClient
    }
}

/// What a coordinator that starts finds.
public struct FoundJobs: Sendable {
    /// Jobs that are not over, oldest first, with the events that are written down, numbered from 0.
    public var unfinished: [(job: AcceptedJob, events: [JobEvent])] = []
    /// Jobs that are over, oldest first.
    public var finished: [(state: JobState, tag: String, ended: Double, endsWithClient: Bool)] = []
    /// Unfinished jobs that this cluster cannot go on with, since they were begun with another model or other types; they are left.
    public var foreign = 0
    /// What could not be read, in words.
    public var problems: [String] = []
}
