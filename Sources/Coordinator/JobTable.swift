import Core

/// The jobs the coordinator remembers, oldest first: all that run, and the last of those that are over.
struct JobTable {
    private let remembered: Int
    private var jobs: [JobID: Job] = [:]
    private var order: [JobID] = []
    private var bySequence: [SequenceID: JobID] = [:]
    private var number = 0

    init(remembered: Int) { self.remembered = remembered }

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
        bySequence[job.sequence] = job.id
        forget()
    }

    /// Whose sequence it is.
    func job(of sequence: SequenceID) -> JobID? { bySequence[sequence] }

    /// Changes a job; returns what `change` returns and the events it added, with the number of the first.
    mutating func update<Result>(
        _ id: JobID, _ change: (inout Job) -> Result
    ) -> (result: Result, first: Int, events: [JobEvent])? {
        guard var job = jobs[id] else { return nil }
        let first = job.events.count
        let result = change(&job)
        jobs[id] = job
        if job.isOver { bySequence[job.sequence] = nil }
        return (result, first, Array(job.events[first...]))
    }

    /// Drops the oldest that are over, when there are too many.
    private mutating func forget() {
        guard order.count > remembered else { return }
        let excess = order.count - remembered
        let gone = Set(order.filter { jobs[$0]?.isOver ?? true }.prefix(excess))
        for id in gone { jobs[id] = nil }
        order.removeAll { gone.contains($0) }
    }
}
