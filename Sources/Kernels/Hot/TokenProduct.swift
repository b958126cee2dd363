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

    /// output <- the tree's sum, plus the bias, for the rows of some panels, a multiple of `N`; `sums` gives those of some blocks of `N`.
    ///
    /// Panels that are read together lie far apart, so that the processor has a long stretch to fetch ahead in each.
    @inline(__always)
    func write<let B: Int, let K: Int, let N: Int>(
        panels: Range<Int>,
        _ sums: (_ runs: InlineArray<N, PackedRun<B, K>>, BlockRun, _ blocks: Int) -> InlineArray<N, Sixteen>
    ) {
        let count = panels.count / N
        for place in 0..<count {
            let first = panels.lowerBound &+ place
            guard
                let totals: InlineArray<N, Sixteen> = treeSum({ leaf in
                    let columns = leaves[leaf]
                    guard !columns.isEmpty else { return nil }
                    let block = columns.lowerBound / 32
                    return sums(
                        InlineArray { n in
                            PackedRun(
                                panel: base + (first &+ n &* count) &* panelBytes, index: skippedBlocks &+ block)
                        }, activations.advanced(by: block), (columns.upperBound &+ 31) / 32 &- block)
                })
            else { return }
            for n in 0..<N { write(totals[n], panel: first &+ n &* count) }
        }
    }

    /// Writes a panel's rows, plus the bias.
    @inline(__always)
    private func write(_ sum: Sixteen, panel: Int) {
        var sum = sum
        let row = 16 &* panel
        if row &+ 16 <= rows {
            if let bias { sum = sum + Sixteen(bias + row) }
            sum.write(output + row)
        } else {
            sum.write(scratch)
            for i in 0..<rows &- row { output[row &+ i] = scratch[i] + (bias.map { $0[row &+ i] } ?? 0) }
        }
    }

    /// The sums of the leaves in a balanced tree, or nil when all are empty: an empty side is no zero.
    @inline(__always)
    private func treeSum<let N: Int>(_ leaf: (Int) -> InlineArray<N, Sixteen>?) -> InlineArray<N, Sixteen>? {
        var waiting = InlineArray<4, InlineArray<N, Sixteen>?>(repeating: nil)
        var sum: InlineArray<N, Sixteen>?
        for i in 0..<leaves.count {
            sum = leaf(i)
            // The subtrees that end with this leaf: their left halves wait.
            var level = 0
            while i &>> level & 1 == 1 {
                if let left = waiting[level] {
                    if let right = sum {
                        sum = InlineArray<N, Sixteen> { left[$0] + right[$0] }
                    } else {
                        sum = left
                    }
                }
                level &+= 1
            }
            waiting[level] = sum
        }
        return sum
    }
}
