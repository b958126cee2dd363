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
    /// Rows that a rank has summed for all.
    case sums
    /// Queries, or partial results of attention.
    case attention
    /// Candidates for the next token, and sums of the vocabulary's tree.
    case draws
}

/// What the ranks of a stage tell one another. Every rank calls the same methods in the same order within a step.
public protocol Collective: AnyObject {
    /// Sends every other rank those elements of this rank's subtree roots that it adds up, and returns this one's of theirs.
    ///
    /// What is returned is addressed like a whole root; only those elements of it are there. It is valid until the next call.
    func exchange(_ roots: [SubtreeRoot], _ division: RowDivision) throws -> [SubtreeRoot]

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
    /// Nobody else has roots.
    public func exchange(_ roots: [SubtreeRoot], _ division: RowDivision) -> [SubtreeRoot] { [] }
    /// Nobody else is there to trade with.
    public func trade(_ goods: Goods, _ parcels: [Parcel]) -> [UnsafeBufferPointer<Float>] { [] }
    /// Nobody else has values.
    public func gather(_ values: UnsafeBufferPointer<Float>) -> [UnsafeBufferPointer<Float>] { [] }
}
