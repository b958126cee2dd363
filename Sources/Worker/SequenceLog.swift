import Core

/// What a worker did for each request: it is written down when the request's sequence is closed.
///
/// Only sequences whose request has a name are counted.
struct SequenceLog {
    private struct Entry {
        var request: String
        var steps = 0
        var tokens = 0
        var computed = Duration.zero
        var waited = Duration.zero
    }

    private var open: [SequenceID: Entry] = [:]

    /// A step was run; returns the facts of the sequences that it closed, each ready to be written down.
    ///
    /// Steps are shared, so their time counts in full for every sequence that they advanced.
    mutating func ran(_ step: Step, computed: Duration, waited: Duration) -> [[(String, String)]] {
        for (sequence, request) in step.requests { open[sequence] = Entry(request: request) }
        for segment in step.segments where open[segment.sequence] != nil {
            open[segment.sequence]?.steps += 1
            open[segment.sequence]?.tokens += segment.tokens.count
            open[segment.sequence]?.computed += computed
            open[segment.sequence]?.waited += waited
        }
        var closed: [[(String, String)]] = []
        for case .close(let sequence) in step.changes {
            guard let entry = open.removeValue(forKey: sequence) else { continue }
            closed.append([
                ("request_id", entry.request), ("sequence", "\(sequence.number)"), ("steps", "\(entry.steps)"),
                ("tokens", "\(entry.tokens)"), ("compute_ms", "\(entry.computed.microseconds / 1000)"),
                ("wait_ms", "\(entry.waited.microseconds / 1000)"),
            ])
        }
        return closed
    }

    /// The plan is over, and with it every sequence.
    mutating func clear() { open = [:] }
}
