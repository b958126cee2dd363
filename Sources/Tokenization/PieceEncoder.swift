import Core

/// Merges the bytes of one piece after another into tokens.
///
/// The state of a piece is a linked list of parts, each with the priority of merging it with the next. A short piece
/// is searched for the best pair every time, which is fastest below some forty bytes; a long one keeps its pairs in a
/// heap, so that a megabyte of one letter costs n log n.
struct PieceEncoder {
    /// A run of bytes that is one token, or one byte that no token has (id -1, which gives nothing).
    private struct Part {
        var start: Int32
        var end: Int32
        var token: TokenID
        /// What this part and the next become.
        var merged: TokenID
        /// The priority of that merge, `none` when there is none.
        var priority: UInt32
        var previous: Int32
        var next: Int32
    }

    private static let none = UInt32.max
    private static let short = 40

    let vocabulary: VocabularyView
    let rule: MergeRule
    private var parts: [Part] = []
    private var heap = Heap()

    init(vocabulary: VocabularyView, rule: MergeRule) {
        self.vocabulary = vocabulary
        self.rule = rule
    }

    /// Appends the tokens of `piece` to `tokens`.
    mutating func encode(_ piece: UnsafeBufferPointer<UInt8>, to tokens: inout [TokenID]) {
        let takesWhole =
            switch rule {
            case .ranks: true
            case .list(_, let wholePieces): wholePieces
            }
        if takesWhole {
            let whole = vocabulary.token(piece)
            if whole >= 0 {
                tokens.append(whole)
                return
            }
        }
        // Positions are 32-bit; beyond that the piece is cut, far above any text that fits a model.
        var start = 0
        while start < piece.count {
            let end = min(piece.count, start + Int(Int32.max))
            merge(UnsafeBufferPointer(rebasing: piece[start..<end]), to: &tokens)
            start = end
        }
    }

    private mutating func merge(_ piece: UnsafeBufferPointer<UInt8>, to tokens: inout [TokenID]) {
        let count = Int32(piece.count)
        parts.removeAll(keepingCapacity: true)
        for at in 0..<count {
            parts.append(
                Part(
                    start: at, end: at + 1, token: vocabulary.single[Int(piece[Int(at)])], merged: -1,
                    priority: Self.none, previous: at - 1, next: at + 1 < count ? at + 1 : -1))
        }
        for at in 0..<Int(count) { rate(at, in: piece) }
        if piece.count <= Self.short { mergeBySearch(piece) } else { mergeByHeap(piece) }
        var at: Int32 = count > 0 ? 0 : -1
        while at >= 0 {
            if parts[Int(at)].token >= 0 { tokens.append(parts[Int(at)].token) }
            at = parts[Int(at)].next
        }
    }

    private mutating func mergeBySearch(_ piece: UnsafeBufferPointer<UInt8>) {
        while true {
            var best = -1
            var priority = Self.none
            var at: Int32 = 0
            while at >= 0 {
                let part = parts[Int(at)]
                if part.priority < priority {
                    priority = part.priority
                    best = Int(at)
                }
                at = part.next
            }
            guard best >= 0 else { return }
            join(best, in: piece)
        }
    }

    private mutating func mergeByHeap(_ piece: UnsafeBufferPointer<UInt8>) {
        heap.removeAll()
        for at in parts.indices where parts[at].priority != Self.none {
            heap.push(UInt64(parts[at].priority) << 32 | UInt64(at))
        }
        while let entry = heap.pop() {
            let at = Int(entry & 0xFFFF_FFFF)
            // A pair whose parts have changed since is rated anew under another entry.
            guard parts[at].priority == UInt32(entry >> 32) else { continue }
            join(at, in: piece)
            if parts[at].priority != Self.none { heap.push(UInt64(parts[at].priority) << 32 | UInt64(at)) }
            let previous = Int(parts[at].previous)
            if previous >= 0, parts[previous].priority != Self.none {
                heap.push(UInt64(parts[previous].priority) << 32 | UInt64(previous))
            }
        }
    }

    /// Merges the part at `at` with the next one.
    private mutating func join(_ at: Int, in piece: UnsafeBufferPointer<UInt8>) {
        let next = Int(parts[at].next)
        parts[at].token = parts[at].merged
        parts[at].end = parts[next].end
        parts[at].next = parts[next].next
        parts[next].priority = Self.none
        if parts[at].next >= 0 { parts[Int(parts[at].next)].previous = Int32(at) }
        rate(at, in: piece)
        if parts[at].previous >= 0 { rate(Int(parts[at].previous), in: piece) }
    }

    /// Works out what the part at `at` and the next one would become.
    private mutating func rate(_ at: Int, in piece: UnsafeBufferPointer<UInt8>) {
        parts[at].priority = Self.none
        guard parts[at].next >= 0 else { return }
        let next = parts[Int(parts[at].next)]
        switch rule {
        case .ranks:
            let span = UnsafeBufferPointer(rebasing: piece[Int(parts[at].start)..<Int(next.end)])
            let token = vocabulary.token(span)
            guard token >= 0 else { return }
            parts[at].merged = token
            parts[at].priority = UInt32(token)
        case .list(let list, _):
            guard let found = list.find(parts[at].token, next.token) else { return }
            parts[at].merged = found.result
            parts[at].priority = found.priority
        }
    }
}

/// A binary heap that gives the smallest entry first.
private struct Heap {
    private var entries: [UInt64] = []

    mutating func removeAll() { entries.removeAll(keepingCapacity: true) }

    mutating func push(_ entry: UInt64) {
        var at = entries.count
        entries.append(entry)
        while at > 0, entries[(at - 1) / 2] > entry {
            entries[at] = entries[(at - 1) / 2]
            at = (at - 1) / 2
        }
        entries[at] = entry
    }

    mutating func pop() -> UInt64? {
        guard let top = entries.first, let last = entries.popLast() else { return nil }
        var at = 0
        while 2 * at + 1 < entries.count {
            var child = 2 * at + 1
            if child + 1 < entries.count, entries[child + 1] < entries[child] { child += 1 }
            guard entries[child] < last else { break }
            entries[at] = entries[child]
            at = child
        }
        if !entries.isEmpty { entries[at] = last }
        return top
    }
}
