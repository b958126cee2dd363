import Core

/// Which neighbours merge, and in which order.
enum MergeRule: Sendable {
    /// Two neighbours merge when their bytes together are a token; the lowest id goes first (tiktoken's rule).
    case ranks
    /// Two neighbours merge when the list names them; the earliest entry goes first (the rule of merge lists).
    /// `wholePieces`: a piece that is a token is taken as it is, whatever the list says.
    case list(MergeList, wholePieces: Bool)

    /// Runs `body` with the list's tables, or with nil where ids are ranks.
    func withView<R>(_ body: (MergeView?) throws -> R) rethrows -> R {
        switch self {
        case .ranks: try body(nil)
        case .list(let list, _): try list.withView { try body($0) }
        }
    }
}

/// A list of merges with a hash table from pairs to their place in the list.
struct MergeList: Sendable {
    /// One merge: two tokens and what they become.
    struct Merge: Sendable {
        var left: TokenID
        var right: TokenID
        var result: TokenID
    }

    /// The merges, the first to be applied first.
    let merges: [Merge]
    /// Open addressing over the pairs: a place in `merges`, or -1.
    private let slots: [Int32]

    /// Indexes `merges`; of equal pairs the first counts.
    init(_ merges: [Merge]) {
        self.merges = merges
        var size = 16
        while size < 2 * merges.count { size *= 2 }
        var slots = [Int32](repeating: -1, count: size)
        for (index, merge) in merges.enumerated() {
            var place = Self.hash(merge.left, merge.right) & (size - 1)
            var isNew = true
            while slots[place] >= 0 {
                let other = merges[Int(slots[place])]
                if other.left == merge.left && other.right == merge.right {
                    isNew = false
                    break
                }
                place = (place + 1) & (size - 1)
            }
            if isNew { slots[place] = Int32(index) }
        }
        self.slots = slots
    }

    /// Runs `body` with pointers instead of arrays.
    func withView<R>(_ body: (MergeView) throws -> R) rethrows -> R {
        try merges.withUnsafeBufferPointer { merges in
            try slots.withUnsafeBufferPointer { try body(MergeView(merges: merges, slots: $0)) }
        }
    }

    @inline(__always)
    fileprivate static func hash(_ left: TokenID, _ right: TokenID) -> Int {
        var h = (UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))) &* 0x9E37_79B9_7F4A_7C15
        h ^= h >> 32
        return Int(truncatingIfNeeded: h)
    }
}

/// A merge list's tables as pointers, valid inside `MergeList.withView`.
struct MergeView {
    let merges: UnsafeBufferPointer<MergeList.Merge>
    let slots: UnsafeBufferPointer<Int32>

    /// The place of the pair in the list and what it becomes.
    func find(_ left: TokenID, _ right: TokenID) -> (priority: UInt32, result: TokenID)? {
        guard left >= 0, right >= 0 else { return nil }
        var place = MergeList.hash(left, right) & (slots.count - 1)
        while slots[place] >= 0 {
            let merge = merges[Int(slots[place])]
            if merge.left == left && merge.right == right { return (UInt32(slots[place]), merge.result) }
            place = (place + 1) & (slots.count - 1)
        }
        return nil
    }
}
