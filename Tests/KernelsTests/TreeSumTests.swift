import Core
import Kernels
import Testing

@Suite struct TreeSumTests {
    /// The obvious tree over leaves that may be missing.
    private func tree(_ leaves: [[Float]?], _ i: Int) -> Float? {
        if leaves.count == 1 { return leaves[0]?[i] }
        let half = leaves.count / 2
        let left = tree(Array(leaves[..<half]), i)
        let right = tree(Array(leaves[half...]), i)
        guard let left else { return right }
        guard let right else { return left }
        return left + right
    }

    /// The roots that ranks owning `runs` of the leaves would make, passed in any order.
    private func sum(
        _ leaves: [[Float]?], runs: [Range<Int>], elements: Range<Int>, into out: inout [Float], _ residual: [Float]?
    ) {
        let count = out.count
        var roots: [SubtreeRoot] = []
        var memory: [UnsafeMutablePointer<Float>] = []
        for leaf in runs.flatMap({ Leaves.subtrees(of: $0) }) {
            let own = Array(leaves[leaf])
            guard tree(own, 0) != nil else { continue }
            let values = UnsafeMutablePointer<Float>.allocate(capacity: count)
            for i in 0..<count { values[i] = tree(own, i) ?? .nan }
            memory.append(values)
            roots.insert(SubtreeRoot(leaves: leaf, values: values), at: roots.count / 2)
        }
        treeSum(roots, elements: elements, into: &out, addingTo: residual)
        for values in memory { values.deallocate() }
    }

    @Test("the sum has the tree's bits whoever owns the leaves, and only the elements asked for are written")
    func layouts() {
        var draws = Draws(21)
        let count = 600
        for missing in [[], [0], [7], [1, 2], [0, 1, 2, 3], [0, 2, 4, 6], [1, 2, 3, 4, 5, 6, 7]] {
            let leaves = (0..<8).map { missing.contains($0) ? nil : draws.floats(count) }
            let residual = draws.floats(count)
            let expected = (0..<count).map { tree(leaves, $0) ?? .nan }
            for ranks in 1...8 {
                let runs = Leaves.runs(weights: Array(repeating: 1, count: ranks))
                var out = [Float](repeating: 9, count: count)
                sum(leaves, runs: runs, elements: 3..<count - 5, into: &out, nil)
                #expect(out[..<3] == [9, 9, 9] && out[(count - 5)...] == [9, 9, 9, 9, 9])
                #expect(out[3..<count - 5] == expected[3..<count - 5])
                sum(leaves, runs: runs, elements: 0..<count, into: &out, residual)
                #expect(out == (0..<count).map { residual[$0] + expected[$0] })
            }
        }
    }

    @Test("an empty side leaves -0 as it is")
    func emptySides() {
        let zeros = [Float](repeating: -0.0, count: 20)
        let leaves: [[Float]?] = [nil, nil, zeros, nil, nil, nil, nil, nil]
        var out = [Float](repeating: 1, count: 20)
        sum(leaves, runs: [0..<8], elements: 0..<20, into: &out, nil)
        #expect(out.allSatisfy { $0.bitPattern == (-Float.zero).bitPattern })
        treeSum([], elements: 0..<20, into: &out, addingTo: zeros)
        #expect(out.allSatisfy { $0.bitPattern == (-Float.zero).bitPattern })
        treeSum([], elements: 0..<20, into: &out)
        #expect(out.allSatisfy { $0.bitPattern == 0 })
    }
}
