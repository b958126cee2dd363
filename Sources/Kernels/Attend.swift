public import Core
import KernelsV4

/// Exact attention of some rows over the pages of one KV head, for an aligned run of slots.
///
/// The order is fixed, whatever the rows, the calls and the runs:
/// - a score is one FMA a dimension, in order from +0, of q (times 1 / sqrt(headDim) beforehand) and k; with keys in blocks q is rounded
///   to int8 blocks too (`Activations`), and a score is one FMA a block, of the exact dot product and the product of both scales;
/// - a page is one step of the online softmax: m' = max(m, its maximum), f = e^(m - m'), l = fma(l, f, sum of e^(s - m') in
///   sixteen lanes), o = o f and then one FMA a key, in order, and at last + 0;
/// - a slot takes its pages in order; slots are merged in the balanced tree over 64.
/// A key that a row may not see has weight +0. Adding +0 times anything finite can only turn o = -0 into +0; since
/// every page ends with + 0 there is no -0, so what lies in unseen keys never shows, and neither does which rows share a tile.
///
/// - Shapes: `queries` [rowCount] rows of headDim, rotated, not scaled; row i sees the keys of positions 0...visible[i] (none
///   when negative); `keyPages`, `valuePages` by page number in the sequence, only those of these slots are read, as
///   `type`; `state` gets the root of the run.
/// - Needs: `headDim % 8 == 0`; `slots` aligned, its length a power of two; `scratch` of
///   `attentionScratchBytes(rowCount:headDim:)`, `state` of as many rows; nothing overlaps.
/// - Parameter choice: Leaves pages out: rows do not see the keys of a page that their token did not choose. All pages unless given.
/// - Cost: 4 headDim operations a row and key; values of q8 or q4, and beyond 24 rows pages of f16, are widened once for all.
public func attend(
    queries: UnsafePointer<UnsafePointer<Float>>, visible: UnsafePointer<Int>, rowCount: Int,
    keyPages: UnsafePointer<UnsafeRawPointer>, valuePages: UnsafePointer<UnsafeRawPointer>, headDim: Int,
    type: KVType = .f16, slots: Range<Int>, state: AttentionState, scratch: UnsafeMutableRawPointer,
    choice: PageChoice? = nil, instructions: InstructionSet = .current
) {
    if let choice {
        let attention = Attention(
            queries: queries, visible: visible, rowCount: rowCount, keyPages: keyPages, valuePages: valuePages,
            headDim: headDim, type: type, slots: slots, state: state, scratch: scratch)
        guard let attention,
            let chooser = Chooser(
                choice, queries: queries, visible: visible, rowCount: rowCount, headDim: headDim,
                pageCount: attention.pageCount)
        else { return }
        return attention.run(first: slots.lowerBound, slots: slots.count, into: state, level: 0) {
            chooser.add(slot: $0, of: attention, to: $1)
        }
    }
    switch instructions {
    case .v3:
        attendHere(
            queries: queries, visible: visible, rowCount: rowCount, keyPages: keyPages, valuePages: valuePages,
            headDim: headDim, type: type, slots: slots, state: state, scratch: scratch)
    case .v4:
        KernelsV4.attend(
            queries: queries, visible: visible, rowCount: rowCount, keyPages: keyPages, valuePages: valuePages,
            headDim: headDim, type: type, slots: slots, m: state.m, l: state.l, o: state.o, scratch: scratch)
    }
}

/// Bytes of scratch memory that `attend` needs for `rowCount` rows, at any alignment.
public func attentionScratchBytes(rowCount: Int, headDim: Int) -> Int {
    64 + Attention.floatCount(rowCount: rowCount, headDim: headDim) * MemoryLayout<Float>.stride
}
