#if AVX512
    import Core

    /// scores [rows][64] <- the products of some int8 queries and a page of keys in blocks: those of 16 tokens are a panel of weights.
    func scoreKeys(
        _ page: UnsafeRawPointer, type: KVType, _ queries: Activations, rows: Range<Int>,
        into scores: UnsafeMutablePointer<Float>, scratch: UnsafeMutableRawPointer
    ) {
        let q = BlockRun(queries, token: rows.lowerBound)
        let blocks = queries.blocks
        @inline(__always) func score<let B: Int>(_ leaf: IntegerLeaf<B, 0>.Type) {
            leaf.matrix(
                page, panelBytes: blocks &* PackedRun<B, 0>.blockBytes, panels: 4, index: 0, q, blocks, rows.count,
                into: scores, strides: (panel: 16, token: 64))
        }
        if type == .q4 { score(IntegerLeaf<4, 0>.self) } else { score(IntegerLeaf<8, 0>.self) }
    }
#endif
