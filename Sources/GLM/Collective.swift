public import Core

/// What the ranks of a stage tell one another. Every rank calls the same methods in the same order within a step.
public protocol Collective: AnyObject {
    /// Sends this rank's subtree roots, `count` floats each, to the other ranks and returns theirs.
    ///
    /// The memory returned is valid until the next call.
    func exchange(_ roots: [SubtreeRoot], count: Int) throws -> [SubtreeRoot]

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
    public func exchange(_ roots: [SubtreeRoot], count: Int) -> [SubtreeRoot] { [] }
    /// Nobody else has values.
    public func gather(_ values: UnsafeBufferPointer<Float>) -> [UnsafeBufferPointer<Float>] { [] }
}
