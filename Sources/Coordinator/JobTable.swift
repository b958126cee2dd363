import Core

/// The jobs the coordinator remembers, oldest first: all that run, and the last of those that are over.
///
/// Long answers count: what bounds the memory is the number of events.
struct JobTable {
    private let remembered: Int
    private let rememberedEvents: Int
    private var eventCount = 0
    private var jobs: [JobID: Job] = [:]
    private var order: [JobID] = []
    private var bySequence: [SequenceID: JobID] = [:]
    private var number = 0

    /// A table of so many jobs, with so many events in all.
    init(remembered: Int, events: Int) {
        self.remembered = remembered
        rememberedEvents = events
    }

    subscript(_ id: JobID) -> Job? { jobs[id] }

    /// Every job, newest first.
    var all: [Job] { order.reversed().compactMap { jobs[$0] } }
    var queued: Int { jobs.values.count { $0.state.phase == .queued } }
    var running: Int { jobs.values.count { $0.state.phase == .prefill || $0.state.phase == .decode } }

    mutating func nextID() -> JobID {
        number += 1
        return JobID("job-\(number)")
    }

    mutating func add(_ job: Job) {
        jobs[job.id] = job
        order.append(job.id)
        eventCount += job.events.count
        if !job.isOver { bySequence[job.sequence] = job.id }
        forget()
    }

    /// Whose sequence it is.
    func job(of sequence: SequenceID) -> JobID? { bySequence[sequence] }

    /// Changes a job; returns what `change` returns and the events it added, with the number of the first.
    mutating func update<Result>(
        _ id: JobID, _ change: (inout Job) -> Result
    ) -> (result: Result, first: Int, events: [JobEvent])? {
        // Taken out while it changes, or its list of events would be copied with every token.
        guard var job = jobs.removeValue(forKey: id) else { return nil }
        let first = job.events.count
        let result = change(&job)
        eventCount += job.events.count - first
        job.forgetPrompt()
        jobs[id] = job
        if job.isOver { bySequence[job.sequence] = nil }
        return (result, first, Array(job.events[first...]))
    }

    /// What a job's answer may go on with, and behind each of some guesses; nothing where anything may.
    mutating func masks(of id: JobID, guesses: some Sequence<TokenID>) throws -> [TokenMask] {
        try jobs[id]?.masks(guesses: guesses) ?? []
    }

    /// Drops the oldest that are over, while there are too many.
    private mutating func forget() {
        guard order.count > remembered || eventCount > rememberedEvents else { return }
        var kept: [JobID] = []
        for (index, id) in order.enumerated() {
            let isMuch = kept.count + order.count - index > remembered || eventCount > rememberedEvents
            if isMuch, let job = jobs[id], job.isOver {
                eventCount -= job.events.count
                jobs[id] = nil
            } else {
                kept.append(id)
            }
        }
        order = kept
    }
}
