/// What a stream's writer reacts to: the next event, or that nothing happened for a while.
enum Signal<Event: Sendable>: Sendable {
    case event(Event)
    case heartbeat
}

/// Calls `react` with every event of a stream, and with a heartbeat after every `interval`, until it says that it is done.
///
/// Ends with a `CancellationError` when the task is cancelled, and returns false when the stream ended first.
@concurrent func forEachSignal<Event: Sendable>(
    of events: AsyncStream<Event>, heartbeat interval: Duration, react: @concurrent (Signal<Event>) async throws -> Bool
) async throws -> Bool {
    let (signals, feed) = AsyncStream<Signal<Event>>.makeStream()
    return try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
            for await event in events { feed.yield(.event(event)) }
            feed.finish()
        }
        group.addTask {
            while true {
                try await Task.sleep(for: interval)
                feed.yield(.heartbeat)
            }
        }
        defer { group.cancelAll() }
        for await signal in signals where try await react(signal) { return true }
        try Task.checkCancellation()
        return false
    }
}
