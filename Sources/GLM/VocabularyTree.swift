import Core
import Kernels

/// The vocabulary's segments of 1,024 tokens as the leaves of one balanced binary tree, and which of them each rank holds.
///
/// Sums over the vocabulary are sums of this tree, so they have the same bits however the vocabulary is divided.
struct VocabularyTree {
    /// The tokens of every rank.
    let shards: [Range<Int>]
    /// Leaves of the tree: the next power of two of the number of segments.
    let size: Int
    /// For each rank the complete subtrees that its segments are made of, in order.
    let roots: [[Range<Int>]]

    /// The tree over the shards' tokens, or nil when a shard begins within a segment: plans make none that does.
    init?(shards: [Range<Int>]) {
        guard shards.allSatisfy({ $0.isEmpty || $0.lowerBound % logitsPerSegment == 0 }) else { return nil }
        self.shards = shards
        var size = 1
        while size * logitsPerSegment < shards.last?.upperBound ?? 0 { size *= 2 }
        self.size = size
        roots = shards.map { Self.subtrees(of: Self.segments(of: $0), size: size) }
    }

    /// The segments of a run of tokens.
    static func segments(of tokens: Range<Int>) -> Range<Int> {
        guard !tokens.isEmpty else { return 0..<0 }
        return tokens.lowerBound / logitsPerSegment..<(tokens.upperBound + logitsPerSegment - 1) / logitsPerSegment
    }

    private static func subtrees(of segments: Range<Int>, size: Int) -> [Range<Int>] {
        var roots: [Range<Int>] = []
        var at = segments.lowerBound
        while at < segments.upperBound {
            var length = size
            while at % length != 0 || at + length > segments.upperBound { length /= 2 }
            roots.append(at..<at + length)
            at += length
        }
        return roots
    }

    /// The sum over `node`, an aligned run of segments, of which `known` gives what is known of a subtree.
    static func sum<Value>(
        _ node: Range<Int>, merge: (Value, Value) -> Value, known: (Range<Int>) -> Value?
    ) -> Value? {
        if let value = known(node) { return value }
        guard node.count > 1 else { return nil }
        let middle = node.lowerBound + node.count / 2
        let left = sum(node.lowerBound..<middle, merge: merge, known: known)
        let right = sum(middle..<node.upperBound, merge: merge, known: known)
        guard let left else { return right }
        guard let right else { return left }
        return merge(left, right)
    }
}

/// Sums of weights by subtree, and the way down to the segment in which a running sum passes a target.
struct WeightTree {
    private let size: Int
    /// What is known: of the whole tree at 1, of the halves of node n at 2 n and 2 n + 1.
    private var known: [Double?] = []

    /// A tree of `size` leaves of which nothing is known.
    init(size: Int) { self.size = size }

    /// What is known of a subtree.
    subscript(node: Range<Int>) -> Double? {
        get { known.isEmpty ? nil : known[place(node)] }
        set { known[place(node)] = newValue }
    }

    private func place(_ node: Range<Int>) -> Int { (size + node.lowerBound) / node.count }

    /// Nothing is known any more; needed before anything is.
    mutating func clear() {
        known.removeAll(keepingCapacity: true)
        known.append(contentsOf: repeatElement(nil, count: 2 * size))
    }

    /// The sum over `node`.
    func sum(_ node: Range<Int>) -> Double { VocabularyTree.sum(node, merge: +) { self[$0] } ?? 0 }

    /// Goes down from `node` until `isEnd`, taking from `target` what is passed over.
    func descend(_ node: inout Range<Int>, _ target: inout Double, isEnd: (Range<Int>) -> Bool) {
        while node.count > 1, !isEnd(node) {
            let middle = node.lowerBound + node.count / 2
            let (left, right) = (node.lowerBound..<middle, middle..<node.upperBound)
            let passed = sum(left)
            if target < passed || sum(right) <= 0 {
                node = left
            } else {
                target -= passed
                node = right
            }
        }
    }
}
