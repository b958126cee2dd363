import Core
import Router

/// Where jobs that wait stand, and when they are expected to start.
///
/// A job that waits starts when one that runs gives its room back. Those are expected to take all tokens that they may have, at
/// the pace that they have now, and the ones that follow them as long on average: answers that end earlier make it sooner.
struct QueueForecast {
    private var position: [JobID: Int] = [:]
    /// Seconds until those that run give their rooms back, the soonest first; empty when that is not known.
    private let ends: [Double]
    private let average: Double

    /// A forecast from the jobs that wait, the next one first, and from how long those that run will take.
    init(waiting: [JobID], running: [Double?]) {
        for (index, id) in waiting.enumerated() { position[id] = index + 1 }
        ends = running.compactMap { $0 }.sorted()
        average = ends.isEmpty ? 0 : ends.reduce(0, +) / Double(ends.count)
    }

    /// Seconds until the one at `position`, from 1, starts.
    func secondsToStart(at position: Int) -> Double? {
        guard !ends.isEmpty else { return nil }
        let (round, place) = (position - 1).quotientAndRemainder(dividingBy: ends.count)
        return ends[place] + Double(round) * average
    }

    /// The state of a job, with its place when it waits.
    func completed(_ state: JobState) -> JobState {
        guard let at = position[state.id] else { return state }
        var state = state
        state.queuePosition = at
        state.secondsToStart = secondsToStart(at: at)
        return state
    }
}

extension Coordinator {
    /// The queue as it is now.
    func forecast() -> QueueForecast {
        let open = table.open
        // In the order in which the router will take them; those that wait for another layout come last.
        let next = router.waitingSequences.compactMap { table.job(of: $0) }
        let known = Set(next)
        let later = open.lazy.filter { $0.state.phase == .queued && !known.contains($0.id) }.map(\.id)
        return QueueForecast(
            waiting: next.filter { table[$0]?.state.phase == .queued } + later,
            running: open.filter { $0.state.phase != .queued }.map(\.secondsLeft))
    }
}
