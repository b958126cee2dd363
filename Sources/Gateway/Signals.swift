/// What a stream's writer reacts to: the next event, or that nothing happened for a while.
enum Signal<Event: Sendable>: Sendable {
    case event(Event)
    case heartbeat
}

/// Events on their way from whoever tells them to a stream's writer.
struct Signals<Event: Sendable>: Sendable {
    /// The events, without heartbeats unless `forEach` runs.
    let stream: AsyncStream<Signal<Event>>
    private let sink: AsyncStream<Signal<Event>>.Continuation

    init() { (stream, sink) = AsyncStream.makeStream() }

    /// Adds an event, or with nil the end.
    func hear(_ event: Event?) {
        if let event { sink.yield(.event(event)) } else { sink.finish() }
    }

    /// Calls `react` with every event, and with a heartbeat after every `interval`, until it says that it is done.
    ///
    /// Ends with a `CancellationError` when the task is cancelled, and returns false when the events ended first.
    @concurrent func forEach(
        heartbeat interval: Duration, react: @concurrent (Signal<Event>) async throws -> Bool
    ) async throws -> Bool {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { [sink] in
                while true {
                    try await Task.sleep(for: interval)
                    sink.yield(.heartbeat)
                }
            }
            defer { group.cancelAll() }
            for await signal in stream where try await react(signal) { return true }
            try Task.checkCancellation()
            return false
        }
    }
}
