public import Core

/// out <- ((0+1)+(2+3))+((4+5)+(6+7)) of the eight leaves, or a residual plus that.
///
/// The roots are disjoint, in any order. Leaves that no root covers are empty: an empty side returns the other side's
/// bits unchanged (adding a zero would turn -0 into +0). With no roots at all the sum is the residual alone, or zero.
///
/// - Shapes: only `elements` of `out`, `residual` and each root's values are touched, so threads can share the work.
/// - Needs: `out` may be the residual or a root's values, but not overlap them shifted.
public func treeSum(
    _ roots: [SubtreeRoot], elements: Range<Int>, into out: UnsafeMutablePointer<Float>,
    addingTo residual: UnsafePointer<Float>? = nil
) {
    roots.withUnsafeBufferPointer { roots in
        withBlock { temporary in
            var at = elements.lowerBound
            while at < elements.upperBound {
                let count = min(treeBlock, elements.upperBound &- at)
                let tree = TreeSum(roots: roots, at: at, count: count)
                let total = tree.sum(first: 0, leaves: Leaves.count, temporary)
                switch (total, residual) {
                case (let total?, let residual?): addPairs(residual + at, total, out + at, count)
                case (let total?, nil): (out + at).update(from: total, count: count)
                case (nil, let residual?): (out + at).update(from: residual + at, count: count)
                case (nil, nil): (out + at).update(repeating: 0, count: count)
                }
                at &+= count
            }
        }
    }
}

/// Elements summed at a time: as many as fit the 1,024 bytes that a temporary allocation takes from the stack.
private let treeBlock = 256

/// Room for one block of intermediate sums.
@inline(__always)
private func withBlock<Result>(_ body: (UnsafeMutablePointer<Float>) -> Result) -> Result {
    withUnsafeTemporaryAllocation(of: Float.self, capacity: treeBlock) { block in
        guard let base = block.baseAddress else { preconditionFailure("a block has an address") }
        return body(base)
    }
}

/// One block of elements of the tree.
private struct TreeSum {
    let roots: UnsafeBufferPointer<SubtreeRoot>
    let at: Int
    let count: Int

    /// The sum of a subtree: a root's own values, or in `temporary`, or nothing.
    func sum(first: Int, leaves: Int, _ temporary: UnsafeMutablePointer<Float>) -> UnsafePointer<Float>? {
        for root in roots where root.leaves.lowerBound == first && root.leaves.upperBound == first &+ leaves {
            return root.values + at
        }
        guard leaves > 1 else { return nil }
        let half = leaves / 2
        guard let left = sum(first: first, leaves: half, temporary) else {
            return sum(first: first &+ half, leaves: half, temporary)
        }
        return withBlock { block in
            guard let right = sum(first: first &+ half, leaves: half, block) else { return left }
            addPairs(left, right, temporary, count)
            return UnsafePointer(temporary)
        }
    }
}

/// c <- a + b; `c` may be either.
private func addPairs(
    _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ c: UnsafeMutablePointer<Float>, _ count: Int
) {
    var i = 0
    while i &+ 8 <= count {
        store(lanes(a + i) + lanes(b + i), c + i)
        i &+= 8
    }
    while i < count {
        c[i] = a[i] + b[i]
        i &+= 1
    }
}
