import Core
import Kernels
import Threads

/// Rows of the residual stream that other ranks have summed, and that are still on their way here.
struct Arriving {
    var division: RowDivision
    var exchange: UInt32
}

/// Row-parallel products: every rank has some columns of the matrix, and the sums of all are added in the tree over the leaves.
extension Stage {
    /// x <- x + (the tree over all leaves of matrix · input), with `norm` between the sum and the addition when given.
    ///
    /// Where rows are divided, this rank's are there afterwards and the others are `arriving`. Others' shares are computed first: they
    /// travel while this rank's is computed, and what it is told of its own in the meantime waits for it.
    func reduce(
        _ matrix: PackedMatrix?, tree: [[Range<Int>]], input: UnsafePointer<Float>, inputWidth: Int, rows: Int,
        norm: StoredVector?, collective: any Collective
    ) throws {
        let hidden = configuration.hidden
        let division = RowDivision(
            rows: rows, width: hidden, ranks: slice.rankCount, spansHosts: collective.spansHosts)
        scratch.known.removeAll(keepingCapacity: true)
        if matrix != nil {
            // A subtree of empty leaves has no sum: it is not sent, and is no zero.
            for (index, leaves) in shares.subtrees.enumerated() where tree[index].contains(where: { !$0.isEmpty }) {
                scratch.known.append(SubtreeRoot(leaves: leaves, values: UnsafePointer(scratch.roots[index])))
            }
        }
        let exchange = collective.open()
        let blocks = matrix.map { activations(for: $0, input, rows: rows, columns: inputWidth) }
        for distance in 1...slice.rankCount {
            let rank = (slice.rank + distance) % slice.rankCount
            if let matrix, let blocks, distance == 1 || division.isOverlapped {
                let some = division.isOverlapped ? division.rows(of: rank) : 0..<rows
                sumLeaves(matrix, blocks, rows: some, tree: ColumnTree(roots: tree))
            }
            if rank != slice.rank {
                try collective.send(scratch.known, elements: division.elements(of: rank), to: rank, in: exchange)
            }
        }
        let summed = division.elements(of: slice.rank)
        scratch.known += try collective.receive(elements: summed, in: exchange)
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
        guard division.isDivided else { return }
        let sums = collective.open()
        try collective.spread(
            UnsafeBufferPointer(start: scratch.x + summed.lowerBound, count: summed.count), in: sums)
        arriving = Arriving(division: division, exchange: sums)
    }

    /// Waits for all rows of the residual stream.
    func arrive(_ collective: any Collective) throws {
        guard let arriving else { return }
        for distance in 1..<slice.rankCount {
            try arrive(from: (slice.rank + distance) % slice.rankCount, arriving, collective)
        }
        self.arriving = nil
    }

    /// Waits for the rows that `rank` has summed.
    func arrive(from rank: Int, _ arriving: Arriving, _ collective: any Collective) throws {
        let elements = arriving.division.elements(of: rank)
        let rows = try collective.take(from: rank, count: elements.count, in: arriving.exchange)
        guard let base = rows.baseAddress else { return }
        (scratch.x + elements.lowerBound).update(from: base, count: rows.count)
    }

    /// `input` [rows, columns] as the matrix wants it.
    private func activations(
        for matrix: PackedMatrix, _ input: UnsafePointer<Float>, rows: Int, columns: Int
    ) -> Activations {
        matrix.matrix.type.isInteger
            ? quantise(input, rows: rows, some: 0..<rows, columns: columns)
            : Activations(floats: input, stride: columns, tokens: rows, columns: columns)
    }

    /// roots <- the subtrees' sums of this rank's columns, for some rows.
    private func sumLeaves(_ matrix: PackedMatrix, _ input: Activations, rows: Range<Int>, tree: ColumnTree) {
        scratch.roots.withUnsafeBufferPointer { outputs in
            guard let outputs = outputs.baseAddress else { return }
            let portions = team.portions(of: matrix.matrix.panelCount, most: panelsInPortion)
            team.run { rank in
                while let panels = portions.take() {
                    Kernels.product(
                        matrix.matrix, panels: panels, input, tokens: rows, tree: tree, into: outputs,
                        outputStride: configuration.hidden, bias: nil, scratch: scratch.product[rank])
                }
            }
        }
    }
}
