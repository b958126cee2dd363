public import Core

/// What one rank sends to another, and how much it gets back.
public struct Parcel {
    /// The other rank.
    public var rank: Int
    /// What goes there; may be empty.
    public var values: UnsafeBufferPointer<Float>
    /// How many values come from there.
    public var expected: Int

    /// A parcel.
    public init(rank: Int, values: UnsafeBufferPointer<Float>, expected: Int) {
        self.rank = rank
        self.values = values
        self.expected = expected
    }
}

/// What ranks trade: both sides know, it tells them apart when they are counted.
public enum Goods: Sendable {
    /// Queries, or partial results of attention.
    case attention
    /// Candidates for the next token, and sums of the vocabulary's tree.
    case draws
}

/// What the ranks of a stage tell one another. Every rank calls the same methods in the same order within a step.
public protocol Collective: AnyObject {
    /// Whether ranks are on different hosts: what they tell one another travels while they compute. The same on every rank.
    var spansHosts: Bool { get }

    /// The number of a new exchange of sums, the same on every rank.
    func open() -> UInt32

    /// Sends `rank` some elements of this rank's subtree roots.
    func send(_ roots: [SubtreeRoot], elements: Range<Int>, to rank: Int, in exchange: UInt32) throws

    /// The same elements of all other ranks' subtree roots, which they have sent here.
    ///
    /// What is returned is addressed like a whole root; only those elements of it are there. It is valid until the next call.
    func receive(elements: Range<Int>, in exchange: UInt32) throws -> [SubtreeRoot]

    /// Sends every other rank the rows that this one has summed.
    func spread(_ values: UnsafeBufferPointer<Float>, in exchange: UInt32) throws

    /// The `count` values that `rank` has spread.
    ///
    /// The memory returned is valid until the next call.
    func take(from rank: Int, count: Int, in exchange: UInt32) throws -> UnsafeBufferPointer<Float>

    /// Sends each parcel to its rank, and returns what those ranks have sent here, in the same order.
    ///
    /// A rank that has nobody to trade with calls it too, with no parcels. The memory returned is valid until the next call.
    func trade(_ goods: Goods, _ parcels: [Parcel]) throws -> [UnsafeBufferPointer<Float>]

    /// Sends values to rank 0; returns on rank 0 the other ranks' values in rank order, elsewhere nothing.
    ///
    /// The memory returned is valid until the next call.
    func gather(_ values: UnsafeBufferPointer<Float>) throws -> [UnsafeBufferPointer<Float>]
}

/// A stage of one rank, which has nobody to tell.
public final class SoloCollective: Collective {
    /// A collective of one.
    public init() {}
    /// One rank is on one host.
    public let spansHosts = false
    /// Nobody else counts.
    public func open() -> UInt32 { 0 }
    /// Nobody else wants roots.
    public func send(_ roots: [SubtreeRoot], elements: Range<Int>, to rank: Int, in exchange: UInt32) {}
    /// Nobody else has roots.
    public func receive(elements: Range<Int>, in exchange: UInt32) -> [SubtreeRoot] { [] }
    /// Nobody else wants rows.
    public func spread(_ values: UnsafeBufferPointer<Float>, in exchange: UInt32) {}
    /// Nobody else has rows.
    public func take(from rank: Int, count: Int, in exchange: UInt32) -> UnsafeBufferPointer<Float> {
        UnsafeBufferPointer(start: nil, count: 0)
    }
    /// Nobody else is there to trade with.
    public func trade(_ goods: Goods, _ parcels: [Parcel]) -> [UnsafeBufferPointer<Float>] { [] }
    /// Nobody else has values.
    public func gather(_ values: UnsafeBufferPointer<Float>) -> [UnsafeBufferPointer<Float>] { [] }
}
