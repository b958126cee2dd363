import Synchronization

/// Items that a team's members take a few at a time, fewer towards the end: who was held up takes less, and all end at nearly the same moment.
///
/// Shares cut beforehand wait for the slowest thread at the end of each run, and a forward pass has hundreds of runs.
public struct Portions: ~Copyable, Sendable {
    private let next = Atomic<Int>(0)
    private let count: Int
    private let members: Int
    private let most: Int

    /// `count` items for so many members, `most` at a time.
    public init(of count: Int, members: Int, most: Int) {
        self.count = count
        self.members = members
        self.most = most
    }

    /// Items that nobody else has, or nil when none are left.
    public func take() -> Range<Int>? {
        var first = next.load(ordering: .relaxed)
        while first < count {
            let size = max(1, min(most, (count &- first) / (2 &* members)))
            let (isMine, now) = next.compareExchange(
                expected: first, desired: first &+ size, ordering: .relaxed)
            if isMine { return first..<first &+ size }
            first = now
        }
        return nil
    }
}
