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
        let tokens = batch.tokens.count
        normalise(rows: tokens, norm: layer.inputNorm)
        let headDim = configuration.headDim
        let queryWidth = shares.heads.count * headDim
        let kvWidth = shares.kvHeads.count * headDim
        multiply(
            [
                layer.q.map { Product(matrix: $0, output: scratch.query, stride: queryWidth) },
                layer.k.map { Product(matrix: $0, output: scratch.key, stride: kvWidth) },
                layer.v.map { Product(matrix: $0, output: scratch.value, stride: kvWidth) },
            ], input: scratch.normed, rows: tokens)
        rotateAndStore(layer: index, batch: batch)

        if rows.isEmpty { return }
        keep(rows, queryWidth: queryWidth)
        try attend(batch: batch, rows: rows, collective: collective)
        try reduce(
            layer.o, tree: shares.attentionTree, input: scratch.attended, inputWidth: queryWidth, rows: rows.count,
            norm: layer.afterAttentionNorm, collective: collective)

        normalise(rows: rows.count, norm: layer.preFeedForwardNorm)
        let ffn = shares.ffn.count
        if let gate = layer.gate, let up = layer.up {
            multiply(
                [
                    Product(matrix: gate, output: scratch.gate, stride: ffn),
                    Product(matrix: up, output: scratch.up, stride: ffn),
                ], input: scratch.normed, rows: rows.count)
            team.run { rank in
                let share = team.share(of: rows.count * ffn, rank: rank)
                swiglu(
                    gate: scratch.gate + share.lowerBound, up: scratch.up + share.lowerBound,
                    into: scratch.gate + share.lowerBound, count: share.count)
            }
        }
        try reduce(
            layer.down, tree: shares.ffnTree, input: scratch.gate, inputWidth: ffn, rows: rows.count,
            norm: layer.afterFeedForwardNorm, collective: collective)
    }

    /// normed <- RMSNorm(x).
    func normalise(rows: Int, norm: StoredVector) {
        let hidden = configuration.hidden
        team.run { rank in
            for row in team.share(of: rows, rank: rank) {
                rmsNorm(
                    scratch.x + row * hidden, weight: norm.values, eps: configuration.eps, count: hidden,
                    into: scratch.normed + row * hidden)
            }
        }
    }

    /// Column-parallel products of one input [rows, hidden]: each output [rows, its stride]. A matrix that is not there has none.
    func multiply<let count: Int>(
        _ products: InlineArray<count, Product?>, input: UnsafePointer<Float>, rows: Int
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
        let blocks = areIntegers ? quantise(input, rows: rows, columns: columns) : floats
        team.run { rank in
            var share = team.share(of: panels, rank: rank)
            for index in products.indices {
                guard let product = products[index] else { continue }
                let count = product.matrix.matrix.panelCount
                let own = share.clamped(to: 0..<count)
                if !own.isEmpty {
                    withUnsafePointer(to: product.output) { output in
                        Kernels.product(
                            product.matrix.matrix, panels: own,
                            product.matrix.matrix.type.isInteger ? blocks : floats, tokens: 0..<rows,
                            tree: wholeHidden, into: output, outputStride: product.stride, bias: product.matrix.bias,
                            scratch: scratch.product[rank])
                    }
                }
                share = share.lowerBound - count..<share.upperBound - count
            }
        }
    }

    /// Int8 blocks of `rows` rows of `columns` floats.
    private func quantise(_ input: UnsafePointer<Float>, rows: Int, columns: Int) -> Activations {
        let blocks = Activations(buffer: scratch.activations, tokens: rows, columns: columns)
        team.run { rank in
            quantizeActivations(
                input, stride: columns, tokens: rows, columns: columns,
                blocks: team.share(of: blocks.blocks, rank: rank), into: blocks)
        }
        return blocks
    }

    /// x <- x + (the tree over all leaves of matrix · input), with `norm` between the sum and the addition when given.
    private func reduce(
        _ matrix: PackedMatrix?, tree: [[Range<Int>]], input: UnsafePointer<Float>, inputWidth: Int, rows: Int,
        norm: StoredVector?, collective: any Collective
    ) throws {
        let hidden = configuration.hidden
        scratch.known.removeAll(keepingCapacity: true)
        if let matrix {
            let activations =
                matrix.matrix.type.isInteger
                ? quantise(input, rows: rows, columns: inputWidth)
                : Activations(floats: input, stride: inputWidth, tokens: rows, columns: inputWidth)
            let columns = ColumnTree(roots: tree)
            scratch.roots.withUnsafeBufferPointer { outputs in
                guard let outputs = outputs.baseAddress else { return }
                team.run { rank in
                    Kernels.product(
                        matrix.matrix, panels: team.share(of: matrix.matrix.panelCount, rank: rank), activations,
                        tokens: 0..<rows, tree: columns, into: outputs, outputStride: hidden, bias: nil,
                        scratch: scratch.product[rank])
                }
            }
            // A subtree of empty leaves has no sum: it is not sent, and is no zero.
            for (index, leaves) in shares.subtrees.enumerated() where tree[index].contains(where: { !$0.isEmpty }) {
                scratch.known.append(SubtreeRoot(leaves: leaves, values: UnsafePointer(scratch.roots[index])))
            }
        }
        let division = RowDivision(rows: rows, width: hidden, ranks: slice.rankCount)
        scratch.known += try collective.exchange(scratch.known, division)
        let summed = division.elements(of: slice.rank)
        let target = norm == nil ? scratch.x : scratch.normed
        team.run { rank in
            let share = team.share(of: summed.count, rank: rank)
            treeSum(
                scratch.known, elements: summed.lowerBound + share.lowerBound..<summed.lowerBound + share.upperBound,
                into: target, addingTo: norm == nil ? UnsafePointer(scratch.x) : nil)
        }
        if let norm {
            let first = summed.lowerBound / hidden
            team.run { rank in
                for row in team.share(of: summed.count / hidden, rank: rank) {
                    let values = scratch.normed + (first + row) * hidden
                    rmsNorm(values, weight: norm.values, eps: configuration.eps, count: hidden, into: values)
                    add(values, into: scratch.x + (first + row) * hidden, count: hidden)
                }
            }
        }
        if division.isDivided { try collect(division, collective) }
    }

    /// Brings the rows of the residual stream that other ranks have summed.
    private func collect(_ division: RowDivision, _ collective: any Collective) throws {
        let own = division.elements(of: slice.rank)
        let others = (0..<slice.rankCount).filter { $0 != slice.rank }
        let values = UnsafeBufferPointer(start: scratch.x + own.lowerBound, count: own.count)
        let found = try collective.trade(
            .sums, others.map { Parcel(rank: $0, values: values, expected: division.elements(of: $0).count) })
        for (rank, rows) in zip(others, found) {
            guard let base = rows.baseAddress else { continue }
            (scratch.x + division.elements(of: rank).lowerBound).update(from: base, count: rows.count)
        }
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
