/// What tensors take from one worker to another.
public enum LinkWay: String, Sendable, CaseIterable {
    /// A ring in memory that both share, on one host.
    case ring
    /// A socket.
    case socket
}

/// What a link was measured to do.
public struct LinkSpeed: Hashable, Sendable {
    /// What the messages took.
    public var way: LinkWay
    /// The median time of a message of 64 bytes there and back.
    public var roundTripNanoseconds: Int
    /// The same for 16 KiB: a hidden row of GLM-4-9B, which is what a decode step sends.
    public var rowRoundTripNanoseconds: Int
    /// Of large messages, one way.
    public var bytesPerSecond: Int

    /// A speed.
    public init(way: LinkWay, roundTripNanoseconds: Int, rowRoundTripNanoseconds: Int, bytesPerSecond: Int) {
        self.way = way
        self.roundTripNanoseconds = roundTripNanoseconds
        self.rowRoundTripNanoseconds = rowRoundTripNanoseconds
        self.bytesPerSecond = bytesPerSecond
    }
}

/// A link between two workers of a plan, and what it can do.
public struct LinkRate: Hashable, Sendable {
    /// Who sent.
    public var from: WorkerID
    /// Who answered.
    public var to: WorkerID
    /// How fast.
    public var speed: LinkSpeed

    /// A link.
    public init(from: WorkerID, to: WorkerID, speed: LinkSpeed) {
        self.from = from
        self.to = to
        self.speed = speed
    }
}
