// One token times integer weights. Memory sets the pace: panels are read from end to end, leaf after leaf, and what happens
// between two of them waits for nothing. (Where a panel's sums were stored and words just written were loaded again, those waited for
// the stores, and the stores for their lines: a quarter of the time.)

/// Some panels, one token, one root of a tree of leaves.
struct TokenProduct {
    /// The matrix's first panel.
    let base: UnsafeRawPointer
    /// Bytes from a panel to the next.
    let panelBytes: Int
    /// Blocks of a panel before column 0.
    let skippedBlocks: Int
    /// Rows of the matrix.
    let rows: Int
    /// Columns of each leaf, a power of two of them.
    let leaves: UnsafeBufferPointer<Range<Int>>
    /// The token's blocks, from column 0 on.
    let activations: BlockRun
    /// [rows]
    let output: UnsafeMutablePointer<Float>
    /// [rows], or nil.
    let bias: UnsafePointer<Float>?
    /// Room for 16 floats.
    let scratch: UnsafeMutablePointer<Float>

    /// output <- the tree's sum, plus the bias, for the rows of some panels; `sum` gives that of some blocks.
    @inline(__always)
    func write<let B: Int, let K: Int>(
        panels: Range<Int>, _ sum: (_ run: PackedRun<B, K>, _ activations: BlockRun, _ blocks: Int) -> Sixteen
    ) {
        for panel in panels {
            let first = base + panel &* panelBytes
            guard
                var total = treeSum({ leaf in
                    let columns = leaves[leaf]
                    guard !columns.isEmpty else { return nil }
                    let block = columns.lowerBound / 32
                    return sum(
                        PackedRun(panel: first, index: skippedBlocks &+ block), activations.advanced(by: block),
                        (columns.upperBound &+ 31) / 32 &- block)
                })
            else { return }
            let row = 16 &* panel
            if row &+ 16 <= rows {
                if let bias { total = total + Sixteen(bias + row) }
                total.write(output + row)
            } else {
                total.write(scratch)
                for i in 0..<rows &- row { output[row &+ i] = scratch[i] + (bias.map { $0[row &+ i] } ?? 0) }
            }
        }
    }

    /// The sum of the leaves in a balanced tree, or nil when all are empty: an empty side is no zero.
    @inline(__always)
    private func treeSum(_ leaf: (Int) -> Sixteen?) -> Sixteen? {
        var waiting = InlineArray<4, Sixteen?>(repeating: nil)
        var sum: Sixteen?
        for i in 0..<leaves.count {
            sum = leaf(i)
            // The subtrees that end with this leaf: their left halves wait.
            var level = 0
            while i &>> level & 1 == 1 {
                if let left = waiting[level] { sum = sum.map { left + $0 } ?? left }
                level &+= 1
            }
            waiting[level] = sum
        }
        return sum
    }
}
