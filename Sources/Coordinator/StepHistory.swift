import Core
import Wire

/// The last steps: when each was sent, when it was done, and what every worker did with the time between.
struct StepHistory {
    private static let length = 256
    private var steps: [StepRecord] = []

    /// The steps, oldest first.
    var records: [StepRecord] { steps }

    /// A step was sent.
    mutating func sent(_ step: Step, at now: Duration) {
        if steps.count == Self.length { steps.removeFirst() }
        // A token alone is an answer's next one; the last token of a prompt may be alone, too, and is counted so.
        let decodes = step.segments.count { $0.tokens.count == 1 }
        steps.append(
            StepRecord(
                epoch: step.epoch, number: step.number, sent: now, promptTokens: step.tokenCount - decodes,
                decodes: decodes))
    }

    /// A worker at this place of the plan is done with its part.
    mutating func done(_ worker: WorkerID, at slice: Slice, _ done: StepDone, now: Duration) {
        guard let index = index(done.epoch, done.number) else { return }
        let input = min(done.inputWaitMicroseconds, done.waitMicroseconds)
        steps[index].parts.append(
            StepRecord.Part(
                worker: worker, stage: slice.stage, rank: slice.rank, end: now, inputWait: .microseconds(input),
                rankWait: .microseconds(done.waitMicroseconds - input),
                compute: .microseconds(done.computeMicroseconds)))
    }

    /// A step's results are there.
    mutating func finished(_ epoch: UInt32, _ number: UInt64, at now: Duration) {
        if let index = index(epoch, number) { steps[index].done = now }
    }

    private func index(_ epoch: UInt32, _ number: UInt64) -> Int? {
        steps.lastIndex { $0.number == number && $0.epoch == epoch }
    }
}
