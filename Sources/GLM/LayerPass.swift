import Core
import KVCache
import Kernels
import Threads

/// One packed matrix of a product, and where its rows of the result go.
struct Product {
    var matrix: PackedMatrix
    var output: UnsafeMutablePointer<Float>
    var stride: Int
}

/// One decoder layer, as the specification writes it (section 2; 2.2 for the two extra norms of GLM-4-0414).
extension Stage {
    /// Runs one layer on the residual stream; `rows` names the rows that go on after attention.
    func runLayer(_ index: Int, batch: Batch, rows: [Int], collective: any Collective) throws {
        let layer = weights.layers[index]
        let headDim = configuration.headDim
        let queryWidth = shares.heads.count * headDim
        let kvWidth = shares.kvHeads.count * headDim
        try project(
            [
                layer.q.map { Product(matrix: $0, output: scratch.query, stride: queryWidth) },
                layer.k.map { Product(matrix: $0, output: scratch.key, stride: kvWidth) },
                layer.v.map { Product(matrix: $0, output: scratch.value, stride: kvWidth) },
            ], norm: layer.inputNorm, rows: batch.tokens.count, collective: collective)
        rotateAndStore(layer: index, batch: batch)

        if rows.isEmpty { return }
        keep(rows, queryWidth: queryWidth)
        try attend(batch: batch, rows: rows, collective: collective)
        try reduce(
            layer.o, tree: shares.attentionTree, input: scratch.attended, inputWidth: queryWidth, rows: rows.count,
            norm: layer.afterAttentionNorm, collective: collective)

        let ffn = shares.ffn.count
        try project(
            [
                layer.gate.map { Product(matrix: $0, output: scratch.gate, stride: ffn) },
                layer.up.map { Product(matrix: $0, output: scratch.up, stride: ffn) },
            ], norm: layer.preFeedForwardNorm, rows: rows.count, collective: collective)
        team.run { rank in
            let share = team.share(of: rows.count * ffn, rank: rank)
            swiglu(
                gate: scratch.gate + share.lowerBound, up: scratch.up + share.lowerBound,
                into: scratch.gate + share.lowerBound, count: share.count)
        }
        try reduce(
            layer.down, tree: shares.ffnTree, input: scratch.gate, inputWidth: ffn, rows: rows.count,
            norm: layer.afterFeedForwardNorm, collective: collective)
    }

    /// Column-parallel products of RMSNorm(x), of all rows; rows that are still on their way from other ranks come last.
    private func project<let count: Int>(
        _ products: InlineArray<count, Product?>, norm: StoredVector, rows: Int, collective: any Collective
    ) throws {
        guard let arriving, arriving.division.isOverlapped else {
            try arrive(collective)
            normalise(rows: 0..<rows, norm: norm)
            return multiply(products, input: scratch.normed, rows: rows, some: 0..<rows)
        }
        for distance in 0..<slice.rankCount {
            let rank = (slice.rank + distance) % slice.rankCount
            if distance > 0 { try arrive(from: rank, arriving, collective) }
            let some = arriving.division.rows(of: rank)
            normalise(rows: some, norm: norm)
            multiply(products, input: scratch.normed, rows: rows, some: some)
        }
        self.arriving = nil
    }

    /// normed <- RMSNorm(x), of some rows.
    func normalise(rows: Range<Int>, norm: StoredVector) {
        let hidden = configuration.hidden
        team.run { rank in
            for index in team.share(of: rows.count, rank: rank) {
                let offset = (rows.lowerBound + index) * hidden
                rmsNorm(
                    scratch.x + offset, weight: norm.values, eps: configuration.eps, count: hidden,
                    into: scratch.normed + offset)
            }
        }
    }

    /// Column-parallel products of some rows of an input [rows, hidden]: each output [rows, its stride]. A matrix that is not there has none.
    func multiply<let count: Int>(
        _ products: InlineArray<count, Product?>, input: UnsafePointer<Float>, rows: Int, some: Range<Int>
    ) {
        let columns = configuration.hidden
        var panels = 0
        var areIntegers = false
        for index in products.indices {
            guard let matrix = products[index]?.matrix.matrix else { continue }
            panels += matrix.panelCount
            areIntegers = areIntegers || matrix.type.isInteger
        }
        if panels == 0 { return }
        let floats = Activations(floats: input, stride: columns, tokens: rows, columns: columns)
        let blocks = areIntegers ? quantise(input, rows: rows, some: some, columns: columns) : floats
        let portions = team.portions(of: panels, most: panelsInPortion)
        team.run { rank in
            while var share = portions.take() {
                for index in products.indices {
                    guard let product = products[index] else { continue }
                    let count = product.matrix.matrix.panelCount
                    let own = share.clamped(to: 0..<count)
                    if !own.isEmpty {
                        withUnsafePointer(to: product.output) { output in
                            Kernels.product(
                                product.matrix.matrix, panels: own,
                                product.matrix.matrix.type.isInteger ? blocks : floats, tokens: some,
                                tree: wholeHidden, into: output, outputStride: product.stride,
                                bias: product.matrix.bias, scratch: scratch.product[rank])
                        }
                    }
                    share = share.lowerBound - count..<share.upperBound - count
                }
            }
        }
    }

    /// Int8 blocks of `rows` rows of `columns` floats, of which some are written now.
    func quantise(_ input: UnsafePointer<Float>, rows: Int, some: Range<Int>, columns: Int) -> Activations {
        let blocks = Activations(buffer: scratch.activations, tokens: rows, columns: columns)
        team.run { rank in
            quantizeActivations(
                input, stride: columns, tokens: some, columns: columns,
                blocks: team.share(of: blocks.blocks, rank: rank), into: blocks)
        }
        return blocks
    }

    /// Moves the rows that go on to the front of the residual stream and of the queries.
    private func keep(_ rows: [Int], queryWidth: Int) {
        let hidden = configuration.hidden
        for (target, source) in rows.enumerated() where target != source {
            (scratch.x + target * hidden).update(from: scratch.x + source * hidden, count: hidden)
            (scratch.query + target * queryWidth).update(from: scratch.query + source * queryWidth, count: queryWidth)
        }
    }
}
