public import Core

/// Who is in the cluster, decided from what was heard alone.
///
/// A plain value: it sends nothing and reads no clock. Each method takes what happened and when, and says what follows.
public struct Membership: Sendable {
    /// What follows.
    public enum Action: Equatable, Sendable {
        /// Somebody new is here.
        case admit(WorkerID)
        /// Somebody said nothing for three intervals, or said goodbye.
        case remove(WorkerID)
    }

    /// Intervals of silence after which a worker is out.
    public static let patience = 3

    /// The time between two heartbeats.
    public let interval: Duration
    private var lastHeard: [WorkerID: Duration] = [:]

    /// Nobody yet; workers speak at least once per `interval`.
    public init(interval: Duration) { self.interval = interval }

    /// The members, by name.
    public var workers: [WorkerID] { lastHeard.keys.sorted() }

    /// `worker` introduced itself at `now`.
    public mutating func greeted(by worker: WorkerID, now: Duration) -> Action? {
        let isKnown = lastHeard[worker] != nil
        lastHeard[worker] = now
        return isKnown ? nil : .admit(worker)
    }

    /// Anything else was heard from `worker`; false when it is no member and must introduce itself first.
    public mutating func heard(from worker: WorkerID, now: Duration) -> Bool {
        guard lastHeard[worker] != nil else { return false }
        lastHeard[worker] = now
        return true
    }

    /// Whether `worker` was heard of within one interval and a half: alive, and its name is taken.
    public func isLive(_ worker: WorkerID, now: Duration) -> Bool {
        guard let last = lastHeard[worker] else { return false }
        return (now - last) * 2 < interval * 3
    }

    /// `worker` said goodbye, or its process ended.
    public mutating func left(_ worker: WorkerID) -> Action? {
        lastHeard.removeValue(forKey: worker) == nil ? nil : .remove(worker)
    }

    /// Time moved on to `now`; call it about once per interval.
    public mutating func tick(now: Duration) -> [Action] {
        let silent = workers.filter { now - (lastHeard[$0] ?? now) >= interval * Self.patience }
        for worker in silent { lastHeard[worker] = nil }
        return silent.map { .remove($0) }
    }
}
