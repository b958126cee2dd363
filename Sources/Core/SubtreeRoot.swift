/// The sum of a complete subtree of the eight leaves of a row-parallel product: what ranks exchange and the tree adds.
public struct SubtreeRoot {
    /// An aligned run of leaves whose length is a power of two, as `Leaves.subtrees` gives them.
    public var leaves: Range<Int>
    /// The subtree's sum, or the leaf's partial product: [tokens, hidden].
    public var values: UnsafePointer<Float>

    /// A subtree's sum.
    public init(leaves: Range<Int>, values: UnsafePointer<Float>) {
        self.leaves = leaves
        self.values = values
    }
}
