// y <- W x with the canonical order: one accumulator per output element, from +0, K in order, one fused multiply-add
// per element (float weights) or per 32-block (integer weights: exact int32 dot product, then one by scale). Lanes run
// over rows, so a token's bits depend neither on the tokens beside it nor on the instruction set.
//
// A row-parallel product is cut into leaves along K; leaf sums meet in a balanced binary tree. The walk below is shared;
// `leafProduct` does the arithmetic of one leaf for a few panels and tokens, in ProductInteger and ProductFloat
// (AVX2) or ProductPortable (anything else).

import Core

/// How a product's columns are summed: for each root a list of leaves, added in a balanced binary tree.
public struct ColumnTree: Sendable {
    /// For each root its leaves' columns in order: at most eight, a power of two of them, starts multiples of 32, or empty.
    public var roots: [[Range<Int>]]

    /// A tree of these leaves.
    public init(roots: [[Range<Int>]]) { self.roots = roots }

    /// One root of one leaf with all columns: what a column-parallel product wants.
    public static func whole(_ columns: Int) -> ColumnTree { ColumnTree(roots: [[0..<columns]]) }
}

/// Cells (16 rows of one panel for one token) summed together; four partial sums of so many fit the L2 cache.
private let cellsAtOnce = 1024

/// The same for integer weights, whose sums pass through the L1 cache with every block.
private let integerCellsAtOnce = integerTokensAtOnce

/// Partial sums that a tree of eight leaves holds at once.
private let treeDepth = 4

/// Bytes of scratch that `product` needs for `tokens` tokens: one such buffer, 64-byte aligned, per thread.
public func productScratchBytes(tokens: Int) -> Int {
    max(min(max(tokens, 1) * panelsAtOnce, cellsAtOnce), integerCellsAtOnce) * 64 * treeDepth + leafScratchBytes
}

/// For every root, y[token][row] <- the tree's sum of w x for the rows of some panels and some tokens, plus `bias`.
///
/// - Shapes: `outputs` one pointer a root, each [x.tokens, outputStride], rows counted from the matrix's first;
///   `bias` [rows], added last, once, or nil. A root whose leaves are all empty leaves its output untouched.
/// - Needs: `x` floats for float weights, int8 blocks for integer weights; `scratch` as `productScratchBytes` says.
/// - Threads: any number may share a product, each with its own panels (or tokens) and scratch.
/// - Parameter instructions: Whose code computes it; the bits are the same.
public func product(
    _ w: PanelMatrix, panels: Range<Int>, _ x: Activations, tokens: Range<Int>, tree: ColumnTree,
    into outputs: UnsafePointer<UnsafeMutablePointer<Float>>, outputStride: Int, bias: UnsafePointer<Float>?,
    scratch: UnsafeMutableRawPointer, instructions: InstructionSet = .current
) {
    let isOneLeaf = tree.roots.allSatisfy { $0.count < 2 }
    let (panelStep, tokenStep) = steps(type: w.type, tokens: tokens.count, isOneLeaf: isOneLeaf)
    let walk = Walk(
        w: w, x: x, instructions: instructions, sums: scratch.assumingMemoryBound(to: Float.self),
        slotFloats: panelStep * tokenStep * 16,
        scratch: scratch + panelStep * tokenStep * 64 * treeDepth)
    for root in 0..<tree.roots.count {
        tree.roots[root].withUnsafeBufferPointer { leaves in
            #if arch(x86_64)
                if w.type.isInteger, tokens.count == 1 {
                    return integerToken(
                        w, panels: panels, x, token: tokens.lowerBound, leaves: leaves,
                        into: outputs[root] + tokens.lowerBound * outputStride, bias: bias, scratch: scratch,
                        instructions: instructions)
                }
            #endif
            var token = tokens.lowerBound
            while token < tokens.upperBound {
                let some = token..<min(token + tokenStep, tokens.upperBound)
                var panel = panels.lowerBound
                while panel < panels.upperBound {
                    let few = panel..<min(panel + panelStep, panels.upperBound)
                    if walk.sum(leaves, 0..<leaves.count, panels: few, tokens: some, slot: 0) {
                        walk.store(
                            panels: few, tokens: some, into: outputs[root], outputStride: outputStride, bias: bias)
                    }
                    panel = few.upperBound
                }
                token = some.upperBound
            }
        }
    }
}

/// Panels and tokens that are summed together. Integer panels of several leaves come one by one: each is read from end to end then.
private func steps(type: WeightType, tokens: Int, isOneLeaf: Bool) -> (panels: Int, tokens: Int) {
    let most = type.isInteger ? integerTokensAtOnce : floatTokensAtOnce
    let tokenStep = min(max(tokens, 1), most)
    let panelStep =
        type.isInteger ? (isOneLeaf ? integerCellsAtOnce / tokenStep : 1) : min(panelsAtOnce, cellsAtOnce / tokenStep)
    return (panelStep, tokenStep)
}

/// The walk over one tree.
private struct Walk {
    let w: PanelMatrix
    let x: Activations
    let instructions: InstructionSet
    /// [treeDepth][panels][tokens][16]
    let sums: UnsafeMutablePointer<Float>
    let slotFloats: Int
    let scratch: UnsafeMutableRawPointer

    /// Sums some leaves into slot `slot`, using higher slots on the way; says whether any leaf had a column.
    func sum(
        _ leaves: UnsafeBufferPointer<Range<Int>>, _ some: Range<Int>, panels: Range<Int>, tokens: Range<Int>,
        slot: Int
    ) -> Bool {
        let y = sums + slot * slotFloats
        if some.count <= 1 {
            guard let leaf = some.first, !leaves[leaf].isEmpty else { return false }
            leafProduct(panels: panels, tokens: tokens, columns: leaves[leaf], into: y)
            return true
        }
        let middle = some.lowerBound + some.count / 2
        guard sum(leaves, some.lowerBound..<middle, panels: panels, tokens: tokens, slot: slot) else {
            return sum(leaves, middle..<some.upperBound, panels: panels, tokens: tokens, slot: slot)
        }
        if sum(leaves, middle..<some.upperBound, panels: panels, tokens: tokens, slot: slot + 1) {
            let z = sums + (slot + 1) * slotFloats
            for i in 0..<panels.count * tokens.count * 16 { y[i] += z[i] }
        }
        return true
    }

    /// Writes slot 0 to the output, real rows only.
    func store(
        panels: Range<Int>, tokens: Range<Int>, into output: UnsafeMutablePointer<Float>, outputStride: Int,
        bias: UnsafePointer<Float>?
    ) {
        var cell = UnsafePointer(sums)
        for panel in panels {
            let row = panel * 16
            let rows = min(16, w.rows - row)
            for token in tokens {
                let y = output + token * outputStride + row
                if let bias {
                    for i in 0..<rows { y[i] = cell[i] + bias[row + i] }
                } else if rows == 16 {
                    let whole = UnsafeRawPointer(cell).loadUnaligned(as: SIMD16<Float>.self)
                    UnsafeMutableRawPointer(y).storeBytes(of: whole, as: SIMD16<Float>.self)
                } else {
                    y.update(from: cell, count: rows)
                }
                cell += 16
            }
        }
    }

    /// y[panel][token][16 rows] <- the sum of w x over `columns`, for one leaf; `columns` is not empty.
    private func leafProduct(
        panels: Range<Int>, tokens: Range<Int>, columns: Range<Int>, into y: UnsafeMutablePointer<Float>
    ) {
        guard w.type.isInteger else {
            floatLeaf(
                w, panels: panels, x, tokens: tokens, columns: columns, into: y, scratch: scratch,
                instructions: instructions)
            return
        }
        integerLeaf(
            w, panels: panels, x, tokens: tokens, blocks: columns.lowerBound / 32..<blockCount(columns.upperBound),
            into: y, scratch: scratch, instructions: instructions)
    }
}
