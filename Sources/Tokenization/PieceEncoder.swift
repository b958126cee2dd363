import Core

/// Merges the bytes of one piece after another into tokens.
///
/// The state of a piece is a linked list of parts, each with the priority of merging it with the next. A short piece
/// is searched for the best pair every time, which is fastest below some forty bytes; a long one keeps its pairs in a
/// heap, so that a megabyte of one letter costs n log n. A long piece of letters beyond ASCII, which may be a whole clause, is taken apart
/// at its seams first.
struct PieceEncoder {
    private static let short = 40
    /// Characters that are worth a look for seams have at least so many bytes together.
    private static let worthCutting = 7

    private let vocabulary: VocabularyView
    private let merger: Merger
    /// Whether a piece that is token i is taken as it is; empty: always.
    private let wholes: [Bool]
    private let cuts: Cuts?
    private var parts: [Part] = []

    /// Where pieces are taken apart, and which tokens merging gives back.
    struct Cuts {
        var seams: SeamsView
        /// Whether merging the bytes of token i gives token i.
        var isMerged: UnsafeBufferPointer<Bool>
    }

    /// An encoder over tables that outlive it. Without `list`, ids are ranks; without `cuts`, pieces are merged in one.
    init(vocabulary: VocabularyView, list: MergeView?, wholes: [Bool], cuts: Cuts? = nil) {
        self.vocabulary = vocabulary
        self.cuts = cuts
        self.wholes = wholes
        merger = Merger(vocabulary: vocabulary, list: list)
    }

    /// Appends the tokens of `piece` to `tokens`.
    mutating func encode(_ piece: UnsafeBufferPointer<UInt8>, to tokens: inout [TokenID]) {
        let whole = vocabulary.token(piece)
        if whole >= 0, wholes.isEmpty || wholes[Int(whole)] {
            tokens.append(whole)
            return
        }
        // A piece is of one kind: words of ASCII are short, and all their letters stand next to each other in some token.
        guard let cuts, piece.count >= Self.worthCutting, let last = piece.last, last >= 0x80 else {
            return merge(piece, to: &tokens)
        }
        var start = 0
        while start < piece.count {
            let end = cuts.seams.end(of: piece, from: start)
            let run = UnsafeBufferPointer(rebasing: piece[start..<end])
            start = end
            let token = vocabulary.token(run)
            if token >= 0, cuts.isMerged[Int(token)] {
                tokens.append(token)
            } else {
                merge(run, to: &tokens)
            }
        }
    }

    /// Appends what merging makes of `piece`, even if it is a token.
    mutating func merge(_ piece: UnsafeBufferPointer<UInt8>, to tokens: inout [TokenID]) {
        // Positions are 32-bit; beyond that a piece is cut, far above any text that fits a model.
        var start = 0
        while start < piece.count {
            let end = min(piece.count, start + Int(Int32.max))
            let piece = UnsafeBufferPointer(rebasing: piece[start..<end])
            start = end
            if parts.count < piece.count {
                parts = [Part](repeating: Part(), count: max(piece.count, Self.short))
            }
            parts.withUnsafeMutableBufferPointer { parts in
                let parts = UnsafeMutableBufferPointer(rebasing: parts[..<piece.count])
                merger.fill(parts, piece)
                if piece.count <= Self.short {
                    merger.mergeBySearch(parts, piece)
                } else {
                    merger.mergeByHeap(parts, piece)
                }
                var at: Int32 = 0
                while at >= 0 {
                    let part = parts[Int(at)]
                    if part.token >= 0 { tokens.append(part.token) }
                    at = part.next
                }
            }
        }
    }
}

/// A run of bytes that is one token, or one byte that no token has (id -1, which gives nothing).
private struct Part {
    /// The priority of a merge that is not possible.
    static let none = UInt32.max

    /// Where the next part's bytes begin.
    var end: Int32 = 0
    var token: TokenID = -1
    /// What this part and the next become.
    var merged: TokenID = -1
    /// The priority of that merge.
    var priority = Part.none
    var previous: Int32 = -1
    var next: Int32 = -1
}

/// The merging of one piece. A part is known by the place of its first byte.
private struct Merger {
    let vocabulary: VocabularyView
    let list: MergeView?

    func fill(_ parts: UnsafeMutableBufferPointer<Part>, _ piece: UnsafeBufferPointer<UInt8>) {
        let count = Int32(piece.count)
        for at in 0..<count {
            parts[Int(at)] = Part(
                end: at + 1, token: vocabulary.single[Int(piece[Int(at)])], previous: at - 1,
                next: at + 1 < count ? at + 1 : -1)
        }
        for at in 0..<Int(count) { rate(at, parts, piece) }
    }

    func mergeBySearch(_ parts: UnsafeMutableBufferPointer<Part>, _ piece: UnsafeBufferPointer<UInt8>) {
        while true {
            var best = -1
            var priority = Part.none
            var at = 0
            while at >= 0 {
                if parts[at].priority < priority {
                    priority = parts[at].priority
                    best = at
                }
                at = Int(parts[at].next)
            }
            guard best >= 0 else { return }
            join(best, parts, piece)
        }
    }

    func mergeByHeap(_ parts: UnsafeMutableBufferPointer<Part>, _ piece: UnsafeBufferPointer<UInt8>) {
        var heap = Heap()
        func push(_ at: Int) {
            if at >= 0, parts[at].priority != Part.none { heap.push(UInt64(parts[at].priority) << 32 | UInt64(at)) }
        }
        for at in parts.indices { push(at) }
        while let entry = heap.pop() {
            let at = Int(entry & 0xFFFF_FFFF)
            // A pair whose parts have changed since is rated anew under another entry.
            guard parts[at].priority == UInt32(entry >> 32) else { continue }
            join(at, parts, piece)
            push(at)
            push(Int(parts[at].previous))
        }
    }

    /// Merges the part at `at` with the next one.
    private func join(_ at: Int, _ parts: UnsafeMutableBufferPointer<Part>, _ piece: UnsafeBufferPointer<UInt8>) {
        let next = Int(parts[at].next)
        parts[at].token = parts[at].merged
        parts[at].end = parts[next].end
        parts[at].next = parts[next].next
        parts[next].priority = Part.none
        if parts[at].next >= 0 { parts[Int(parts[at].next)].previous = Int32(at) }
        rate(at, parts, piece)
        if parts[at].previous >= 0 { rate(Int(parts[at].previous), parts, piece) }
    }

    /// Works out what the part at `at` and the next one would become.
    private func rate(_ at: Int, _ parts: UnsafeMutableBufferPointer<Part>, _ piece: UnsafeBufferPointer<UInt8>) {
        parts[at].priority = Part.none
        guard parts[at].next >= 0 else { return }
        let next = parts[Int(parts[at].next)]
        if let list {
            guard let found = list.find(parts[at].token, next.token) else { return }
            parts[at].merged = found.result
            parts[at].priority = found.priority
        } else {
            let token = vocabulary.token(UnsafeBufferPointer(rebasing: piece[at..<Int(next.end)]))
            guard token >= 0 else { return }
            parts[at].merged = token
            parts[at].priority = UInt32(token)
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
