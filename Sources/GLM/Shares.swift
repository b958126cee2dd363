import Core

/// Which heads, KV heads and feed-forward columns belong to a rank, and how its columns fall into leaves.
///
/// Leaves are cut in units of whole heads and whole 32-blocks, so that a block of int8 activations never straddles a
/// leaf: heads of 16 go in pairs. What a leaf holds depends on the model alone, never on the layout.
public struct Shares: Sendable {
    /// Columns in a quantisation block.
    static let block = 32

    /// The query heads of the rank.
    public let heads: Range<Int>
    /// The KV heads that those query heads read. One that straddles two ranks is held by both.
    public let kvHeads: Range<Int>
    /// The columns of the feed-forward's inner size.
    public let ffn: Range<Int>
    /// The subtrees of leaves that the rank owns.
    public let subtrees: [Range<Int>]
    /// For each subtree its leaves' columns of the attention output, counted from the rank's first.
    public let attentionTree: [[Range<Int>]]
    /// For each subtree its leaves' columns of the feed-forward, counted from the rank's first.
    public let ffnTree: [[Range<Int>]]

    /// The share of a run of leaves.
    public init(_ configuration: Configuration, leaves: Range<Int>) {
        let headDim = configuration.headDim
        var unit = 1
        while unit * headDim % Self.block != 0 { unit += 1 }
        let headUnits = (configuration.heads + unit - 1) / unit
        let ffnUnits = (configuration.ffn + Self.block - 1) / Self.block

        func heads(_ leaves: Range<Int>) -> Range<Int> {
            let units = Leaves.units(of: leaves, in: headUnits)
            let end = min(units.upperBound * unit, configuration.heads)
            return min(units.lowerBound * unit, end)..<end
        }
        func columns(_ leaves: Range<Int>) -> Range<Int> {
            let units = Leaves.units(of: leaves, in: ffnUnits)
            let end = min(units.upperBound * Self.block, configuration.ffn)
            return min(units.lowerBound * Self.block, end)..<end
        }
        let own = heads(leaves)
        let ownColumns = columns(leaves)
        self.heads = own
        ffn = ownColumns
        let group = configuration.heads / configuration.kvHeads
        kvHeads = own.isEmpty ? 0..<0 : own.lowerBound / group..<(own.upperBound - 1) / group + 1
        subtrees = Leaves.subtrees(of: leaves)
        attentionTree = subtrees.map { subtree in
            subtree.map { leaf in
                let range = heads(leaf..<leaf + 1)
                return (range.lowerBound - own.lowerBound) * headDim..<(range.upperBound - own.lowerBound) * headDim
            }
        }
        ffnTree = subtrees.map { subtree in
            subtree.map { leaf in
                let range = columns(leaf..<leaf + 1)
                return range.lowerBound - ownColumns.lowerBound..<range.upperBound - ownColumns.lowerBound
            }
        }
    }
}
