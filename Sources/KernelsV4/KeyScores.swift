#if AVX512
    import Core

    /// scores [rows][64] <- the products of some int8 queries and a page of keys in blocks: those of 16 tokens are a panel of weights.
    func scoreKeys(
        _ page: UnsafeRawPointer, type: KVType, _ queries: Activations, rows: Range<Int>,
        into scores: UnsafeMutablePointer<Float>, scratch: UnsafeMutableRawPointer
    ) {
        let q = BlockRun(queries, token: rows.lowerBound)
        let blocks = queries.blocks
        for panel in 0..<4 {
            let to = scores + 16 &* panel
            if type == .q4 {
                let keys = page + panel &* blocks &* PackedRun<4, 0>.blockBytes
                IntegerLeaf<4, 0>.matrix(PackedRun(panel: keys, index: 0), q, blocks, rows.count, to, stride: 64)
            } else {
                let keys = page + panel &* blocks &* PackedRun<8, 0>.blockBytes
                IntegerLeaf<8, 0>.matrix(PackedRun(panel: keys, index: 0), q, blocks, rows.count, to, stride: 64)
            }
        }
    }
#endif
