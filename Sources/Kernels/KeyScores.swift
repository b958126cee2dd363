import Core

/// scores [rows][64] <- the products of some int8 queries and a page of keys in blocks: those of 16 tokens are a panel of weights.
///
/// - Needs: `scratch` of `keyScoreScratchBytes`.
func scoreKeys(
    _ page: UnsafeRawPointer, type: KVType, _ queries: Activations, rows: Range<Int>,
    into scores: UnsafeMutablePointer<Float>, scratch: UnsafeMutableRawPointer
) {
    for panel in 0..<4 {
        let to = scores + 16 &* panel
        #if arch(x86_64)
            let q = BlockRun(queries, token: rows.lowerBound)
            let blocks = queries.blocks
            if type == .q4 {
                let keys = page + panel &* blocks &* PackedRun<4, 0>.blockBytes
                PackedRun<4, 0>(panel: keys, index: 0)
                    .tiles(q, blocks: blocks, tokens: rows.count, into: to, stride: 64, scratch)
            } else {
                let keys = page + panel &* blocks &* PackedRun<8, 0>.blockBytes
                PackedRun<8, 0>(panel: keys, index: 0)
                    .tiles(q, blocks: blocks, tokens: rows.count, into: to, stride: 64, scratch)
            }
        #else
            let held: WeightType = type == .q4 ? .q4 : .q8
            let bytes = queries.blocks * held.panelBlockBytes
            let keys = PanelMatrix(type: held, rows: 16, columns: queries.columns, base: page + panel * bytes)
            plainIntegerLeaf(
                keys, panel: 0, queries, tokens: rows, blocks: 0..<queries.blocks, into: to, stride: 64)
        #endif
    }
}
