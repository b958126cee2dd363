/// The last steps of one worker: how much of the time it was computing.
struct StepTrace {
    private static let length = 64
    private var steps: [(computed: Duration, end: Duration)] = []

    /// A step ended at `end`, for which it computed so long.
    mutating func add(computed: Duration, at end: Duration) {
        if steps.count == Self.length { steps.removeFirst() }
        steps.append((computed, end))
    }

    /// The share of the time that it computed, 0 to 1, from the end of the oldest step that is remembered to that of the last.
    var busy: Double {
        guard let first = steps.first, let last = steps.last, last.end > first.end else { return 0 }
        let computed = steps.dropFirst().reduce(Duration.zero) { $0 + $1.computed }
        return min(1, computed / (last.end - first.end))
    }
}
