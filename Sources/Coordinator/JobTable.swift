import Core

/// The jobs the coordinator remembers, oldest first: all that run, and the last of those that are over.
///
/// Long answers count: what bounds the memory is the number of events. Of jobs that end with their clients, who have heard
/// everything when they are over, only a few are remembered.
struct JobTable {
    private let remembered: Int
    private let rememberedEvents: Int
    private var eventCount = 0
    private var jobs: [JobID: Job] = [:]
    private var order: [JobID] = []
    private var bySequence: [SequenceID: JobID] = [:]
    private var byTag: [String: JobID] = [:]
    private var number: Int
    private var forgotten: [JobID] = []
    /// Those that are over and ended with their clients, oldest first.
    private var heard: [JobID] = []
    /// So many of them are remembered, and as many again before the older ones are dropped together.
    private static let rememberedHeard = 200
    /// Those that ended with their clients, oldest first, as long as their gateways may come back for what they did not hear.
    private var claimable: [(id: JobID, ended: Double)] = []
    /// What was done since the coordinator started.
    private(set) var totals = ClusterTotals()

    /// A table of so many jobs, with so many events in all; the first has the number `first`.
    init(remembered: Int, events: Int, first: Int = 1) {
        self.remembered = remembered
        rememberedEvents = events
        number = first - 1
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
        // One that is over comes from an earlier coordinator's journal.
        if job.isOver, job.request.endsWithClient { claimable.append((job.id, job.ended ?? 0)) }
        if !job.isOver { totals.accepted += 1 }
        if !job.isOver { bySequence[job.sequence] = job.id }
        if !job.request.tag.isEmpty { byTag[job.request.tag] = job.id }
        forget()
    }

    /// The job with a tag.
    func job(tagged tag: String) -> JobID? { byTag[tag] }

    /// Jobs that wait or run, oldest first.
    var open: [Job] { bySequence.sorted { $0.key < $1.key }.compactMap { jobs[$0.value] } }

    /// Drops a job.
    mutating func remove(_ id: JobID) {
        guard let job = jobs.removeValue(forKey: id) else { return }
        eventCount -= job.events.count
        bySequence[job.sequence] = nil
        byTag[job.request.tag] = nil
        order.removeAll { $0 == id }
    }

    /// Drops those that ended before a time, in seconds since 1970.
    mutating func forget(endedBefore seconds: Double) {
        let old = order.filter { jobs[$0]?.ended ?? .infinity < seconds }
        guard !old.isEmpty else { return }
        for id in old { drop(id) }
        forgotten += old
        order.removeAll { jobs[$0] == nil }
    }

    /// Those that were dropped for their age or number since this was last asked.
    mutating func takeForgotten() -> [JobID] {
        defer { forgotten = [] }
        return forgotten
    }

    private mutating func drop(_ id: JobID) {
        guard let job = jobs.removeValue(forKey: id) else { return }
        eventCount -= job.events.count
        byTag[job.request.tag] = nil
    }

    /// Whose sequence it is.
    func job(of sequence: SequenceID) -> JobID? { bySequence[sequence] }

    /// Changes a job; returns what `change` returns and the events it added, with the number of the first that has one.
    mutating func update<Result>(
        _ id: JobID, _ change: (inout Job) -> Result
    ) -> (result: Result, first: Int, events: [JobEvent])? {
        // Taken out while it changes, or its list of events would be copied with every token.
        guard var job = jobs.removeValue(forKey: id) else { return nil }
        let first = job.events.count
        let before = Mark(job.state)
        let number = job.nextNumber
        let result = change(&job)
        before.add(job.state, looksUp: job.request.options.reusesPrefix, to: &totals)
        eventCount += job.events.count - first
        job.forgetPrompt()
        jobs[id] = job
        if job.isOver { bySequence[job.sequence] = nil }
        if job.isOver, !before.isOver, job.request.endsWithClient { forgetHeard(adding: id) }
        return (result, number, Array(job.events[first...]))
    }

    /// What a job's answer may go on with, and behind each of some guesses; nothing where anything may.
    mutating func masks(of id: JobID, guesses: some Sequence<TokenID>) throws -> [TokenMask] {
        try jobs[id]?.masks(guesses: guesses) ?? []
    }

    /// The little of a job's state that totals are made of: a copy of the whole would copy its tokens with every token.
    private struct Mark {
        var phase: JobState.Phase
        var read: Int
        var cached: Int
        var generated: Int
        var isOver: Bool

        init(_ state: JobState) {
            phase = state.phase
            (read, cached, generated) = (state.prefill.tokens, state.prefill.cached, state.tokens.count)
            isOver = state.finish != nil
        }

        /// Adds what happened since. A prompt that is read once more, a worker being lost, counts once more: it is work.
        func add(_ after: JobState, looksUp: Bool, to totals: inout ClusterTotals) {
            totals.promptTokens += max(0, after.prefill.tokens - read)
            totals.cachedTokens += max(0, after.prefill.cached - cached)
            totals.generatedTokens += max(0, after.tokens.count - generated)
            if looksUp, phase == .queued, after.phase == .prefill { totals.lookedUpTokens += after.prefill.total }
            if !isOver, let reason = after.finish { totals.ended[reason, default: 0] += 1 }
        }
    }

    /// Those that ended before a time, in seconds since 1970, with clients who have heard them by now: they need not be on disk
    /// any more. What of them was there alone is dropped.
    mutating func takeHeard(endedBefore seconds: Double) -> [JobID] {
        let heard = claimable.prefix { $0.ended < seconds }.map(\.id)
        claimable.removeFirst(heard.count)
        let archived = heard.filter { jobs[$0]?.isArchived == true }
        for id in archived { drop(id) }
        if !archived.isEmpty { order.removeAll { jobs[$0] == nil } }
        return heard
    }

    private mutating func forgetHeard(adding id: JobID) {
        claimable.append((id, jobs[id]?.ended ?? 0))
        heard.append(id)
        guard heard.count >= 2 * Self.rememberedHeard else { return }
        for id in heard.prefix(Self.rememberedHeard) { drop(id) }
        heard.removeFirst(Self.rememberedHeard)
        order.removeAll { jobs[$0] == nil }
    }

    /// Drops the oldest that are over, while there are too many.
    private mutating func forget() {
        guard order.count > remembered || eventCount > rememberedEvents else { return }
        var kept: [JobID] = []
        for (index, id) in order.enumerated() {
            let isMuch = kept.count + order.count - index > remembered || eventCount > rememberedEvents
            if isMuch, let job = jobs[id], job.isOver {
                drop(id)
                forgotten.append(id)
            } else {
                kept.append(id)
            }
        }
        order = kept
    }
}
