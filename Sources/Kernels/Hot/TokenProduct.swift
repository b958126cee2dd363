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
    /// Room for 16 floats of each panel that is read at a time, of each of four partial sums.
    let scratch: UnsafeMutablePointer<Float>

    /// output <- the tree's sum, plus the bias, for the rows of some panels, a multiple of `N`; `sums` writes [N][16] of some blocks of `N`.
    ///
    /// Panels that are read together lie far apart, so that the processor has a long stretch to fetch ahead in each.
    @inline(__always)
    func write<let B: Int, let K: Int, let N: Int>(
        panels: Range<Int>,
        _ sums: (_ runs: InlineArray<N, PackedRun<B, K>>, BlockRun, _ blocks: Int, UnsafeMutablePointer<Float>) -> Void
    ) {
        let count = panels.count / N
        for place in 0..<count {
            let first = panels.lowerBound &+ place
            let isThere = treeSum(floats: 16 &* N) { leaf, slot in
                let columns = leaves[leaf]
                if columns.isEmpty { return false }
                let block = columns.lowerBound / 32
                sums(
                    InlineArray { n in
                        PackedRun(panel: base + (first &+ n &* count) &* panelBytes, index: skippedBlocks &+ block)
                    }, activations.advanced(by: block), (columns.upperBound &+ 31) / 32 &- block, slot)
                return true
            }
            if !isThere { return }
            for n in 0..<N { write(scratch + 16 &* n, panel: first &+ n &* count) }
        }
    }

    /// Writes a panel's rows, plus the bias.
    @inline(__always)
    private func write(_ sums: UnsafePointer<Float>, panel: Int) {
        let row = 16 &* panel
        if row &+ 16 <= rows {
            var sum = Sixteen(sums)
            if let bias { sum = sum + Sixteen(bias + row) }
            sum.write(output + row)
        } else {
            // Not plus zero where there is no bias: -0 must stay what it is.
            for i in 0..<rows &- row { output[row &+ i] = bias.map { sums[i] + $0[row &+ i] } ?? sums[i] }
        }
    }

    /// The sums of the leaves in a balanced tree, so many floats each, are in `scratch` then; false when all leaves are empty, as `leaf`
    /// says of one: an empty side is no zero.
    ///
    /// Every sum is loaded in the pieces in which it was stored. A load of two stores' bytes waits until they have left the processor,
    /// and before that all weights on their way must have come: as optional values, which the compiler moves in pieces of its own
    /// choice, the sums of eight leaves cost a quarter of the time.
    @inline(__always)
    private func treeSum(floats: Int, _ leaf: (Int, UnsafeMutablePointer<Float>) -> Bool) -> Bool {
        // Subtrees that are summed wait one behind the other; a bit says whether there is anything in one.
        var depth = 0
        var present = 0
        for i in 0..<leaves.count {
            let bit = 1 &<< depth
            present = leaf(i, scratch + depth &* floats) ? present | bit : present & ~bit
            depth &+= 1
            // Subtrees that end with this leaf.
            var ended = i &+ 1
            while ended & 1 == 0 {
                depth &-= 1
                if present &>> depth & 1 == 1 {
                    add(slot: depth, floats: floats, isAlone: present &>> (depth &- 1) & 1 == 0)
                }
                present |= present &>> 1 & 1 &<< (depth &- 1)
                ended /= 2
            }
        }
        return present & 1 == 1
    }

    /// Adds a subtree's sum to that of the one before, or puts it there.
    @inline(__always)
    private func add(slot: Int, floats: Int, isAlone: Bool) {
        let right = scratch + slot &* floats
        let left = right - floats
        for i in stride(from: 0, to: floats, by: 16) {
            (isAlone ? Sixteen(right + i) : Sixteen(left + i) + Sixteen(right + i)).write(left + i)
        }
    }
}
