import Core
import KVCache
import Kernels
import Threads

/// Attention of one layer in a stage whose ranks share KV heads.
///
/// Queries go to every rank that holds slots of their KV head; each attends over its own pages; the roots of its run of slots go
/// back to the rank that the query head belongs to, which merges them in the tree over the 64 slots. The same tree, whoever
/// holds which slots, so the same bits.
extension Stage {
    /// A root: the queries of one part that `heads` of the receiver make, over one complete subtree of slots.
    private struct Root {
        var part: Int
        var kvHead: Int
        var subtree: Range<Int>
        var rows: Range<Int>
        var heads: Range<Int>
        /// Where its state begins among the values that the two ranks trade, in floats.
        var offset: Int
    }

    /// The roots that `sender` computes for `receiver`, in the order in which both know them; and how many floats they take.
    private func roots(
        from sender: Int, to receiver: Int, queries: [Range<Int>], lengths: [Int]
    ) -> (roots: [Root], count: Int) {
        var roots: [Root] = []
        var at = 0
        for (part, rows) in queries.enumerated() where !rows.isEmpty {
            for kvHead in slots.kvHeads[sender] {
                let heads = slots.heads(of: receiver, reading: kvHead)
                guard slots.kvHeads[receiver].contains(kvHead), !heads.isEmpty else { continue }
                // A subtree whose first page is not there yet is empty: nothing travels for it.
                for subtree in Slots.subtrees(of: slots.run(of: sender, head: kvHead))
                where Slots.firstPage(ofSlot: subtree.lowerBound) < lengths[part] {
                    roots.append(
                        Root(part: part, kvHead: kvHead, subtree: subtree, rows: rows, heads: heads, offset: at))
                    at += rows.count * heads.count * (configuration.headDim + 2)
                }
            }
        }
        return (roots, at)
    }

    /// One call of the kernel: some rows of one part, all query heads of one KV head, one subtree.
    private struct Item {
        var part: Int
        var kvHead: Int
        var subtree: Range<Int>
        var rows: Range<Int>
        /// For each rank that needs it: the rank's place among the receivers, and the root's place in its list.
        var targets: [(receiver: Int, root: Int)]
    }

    /// attended <- attention of the queries in `rows`, computed by all ranks that share their KV heads.
    func attendTogether(batch: Batch, rows: [Int], collective: any Collective) throws {
        let peers = slots.peers
        let headDim = configuration.headDim
        let width = { (rank: Int) in self.slots.heads[rank].count * headDim }
        let own = UnsafeBufferPointer(start: scratch.query, count: rows.count * width(slots.rank))
        let received = try collective.trade(
            .attention, peers.map { Parcel(rank: $0, values: own, expected: rows.count * width($0)) })

        let queries = queries(of: rows, batch: batch)
        let lengths = queries.map { $0.isEmpty ? 0 : batch.positions[rows[$0.upperBound - 1]] / Slots.pageTokens + 1 }
        // Receivers of this rank's roots: itself first, then its peers.
        let receivers = [slots.rank] + peers
        let sent = receivers.map { roots(from: slots.rank, to: $0, queries: queries, lengths: lengths) }
        var states = try scratch.states(floats: sent.reduce(0) { $0 + $1.count })
        let memory = sent.map { list in
            defer { states += list.count }
            return states
        }
        let sources = [UnsafePointer(scratch.query)] + received.map(\.baseAddress)
        compute(
            items(sent.map(\.roots), queries: queries), batch: batch, rows: rows, receivers: receivers,
            sources: sources, roots: sent.map(\.roots), memory: memory)

        let expected = peers.map { roots(from: $0, to: slots.rank, queries: queries, lengths: lengths) }
        let returned = try collective.trade(
            .attention,
            peers.indices.map { index in
                Parcel(
                    rank: peers[index],
                    values: UnsafeBufferPointer(start: memory[index + 1], count: sent[index + 1].count),
                    expected: expected[index].count)
            })
        // The state of every root for this rank's heads, wherever it was computed. They are only read.
        var found: [(root: Root, values: UnsafePointer<Float>)] = []
        for root in sent[0].roots { found.append((root, UnsafePointer(memory[0]) + root.offset)) }
        for (list, values) in zip(expected, returned) {
            guard let base = values.baseAddress else { continue }
            for root in list.roots { found.append((root, base + root.offset)) }
        }
        merge(found, queries: queries)
    }

    /// For each part of the batch, which of `rows` are its: their places in `rows`.
    private func queries(of rows: [Int], batch: Batch) -> [Range<Int>] {
        var first = 0
        return batch.parts.map { part in
            var end = first
            while end < rows.count, rows[end] < part.rows.upperBound { end += 1 }
            defer { first = end }
            return first..<end
        }
    }

    /// The calls of the kernel, the longest contexts first so that threads end together.
    private func items(_ roots: [[Root]], queries: [Range<Int>]) -> [Item] {
        let group = configuration.heads / configuration.kvHeads
        var items: [Item] = []
        for (part, rows) in queries.enumerated() where !rows.isEmpty {
            for kvHead in slots.kvHeads[slots.rank] {
                for subtree in Slots.subtrees(of: slots.run(of: slots.rank, head: kvHead)) {
                    var targets: [(receiver: Int, root: Int)] = []
                    for (receiver, list) in roots.enumerated() {
                        let place = list.firstIndex {
                            $0.part == part && $0.kvHead == kvHead && $0.subtree == subtree
                        }
                        if let place { targets.append((receiver, place)) }
                    }
                    if targets.isEmpty { continue }
                    let step = max(1, min(Self.attentionRows / group, rows.count / team.size + 1))
                    for start in stride(from: rows.lowerBound, to: rows.upperBound, by: step) {
                        items.append(
                            Item(
                                part: part, kvHead: kvHead, subtree: subtree,
                                rows: start..<min(start + step, rows.upperBound), targets: targets))
                    }
                }
            }
        }
        return items.reversed()
    }

    /// Computes the roots of this rank's slots into each receiver's memory.
    private func compute(
        _ items: [Item], batch: Batch, rows: [Int], receivers: [Int], sources: [UnsafePointer<Float>?],
        roots: [[Root]], memory: [UnsafeMutablePointer<Float>]
    ) {
        let headDim = configuration.headDim
        let heads = shares.kvHeads.count
        if heads == 0 { return }
        let tables = pageTables
        let portions = team.portions(of: items.count, most: 1)
        team.run { rank in
            let work = scratch.attention[rank]
            while let index = portions.take()?.lowerBound {
                let item = items[index]
                // Queries of one receiver after the other, row by row: so each receiver's part of the state is one piece.
                var count = 0
                for (receiver, root) in item.targets {
                    guard let source = sources[receiver] else { continue }
                    let wanted = roots[receiver][root].heads
                    let held = slots.heads[receivers[receiver]]
                    for row in item.rows {
                        for head in wanted {
                            work.queries[count] = source + (row * held.count + head - held.lowerBound) * headDim
                            work.visible[count] = batch.positions[rows[row]]
                            work.tokens[count] = row - item.rows.lowerBound
                            count += 1
                        }
                    }
                }
                let table = tables[item.part * heads + item.kvHead - shares.kvHeads.lowerBound]
                let state = AttentionState(work.state, rowCount: count, headDim: headDim)
                Kernels.attend(
                    queries: work.queries, visible: work.visible, rowCount: count, keyPages: table.readKeys,
                    valuePages: table.readValues, headDim: headDim, type: kvType, slots: item.subtree, state: state,
                    scratch: work.pages, choice: table.choice(tokens: item.rows.count, work))
                var first = 0
                for (receiver, place) in item.targets {
                    let root = roots[receiver][place]
                    let size = item.rows.count * root.heads.count
                    let whole = AttentionState(
                        memory[receiver] + root.offset, rowCount: root.rows.count * root.heads.count, headDim: headDim)
                    let start = (item.rows.lowerBound - root.rows.lowerBound) * root.heads.count
                    state.rows(first..<first + size).copy(to: whole.rows(start..<start + size))
                    first += size
                }
            }
        }
    }

    /// attended <- the roots of this rank's query heads, merged in the tree over all slots.
    private func merge(_ found: [(root: Root, values: UnsafePointer<Float>)], queries: [Range<Int>]) {
        let headDim = configuration.headDim
        let queryWidth = shares.heads.count * headDim
        var pieces: [(part: Int, kvHead: Int, rows: Range<Int>)] = []
        for (part, rows) in queries.enumerated() {
            for kvHead in shares.kvHeads {
                let heads = slots.heads(of: slots.rank, reading: kvHead).count
                let step = max(1, min(Self.attentionRows / max(heads, 1), rows.count / team.size + 1))
                for start in stride(from: rows.lowerBound, to: rows.upperBound, by: step) {
                    pieces.append((part, kvHead, start..<min(start + step, rows.upperBound)))
                }
            }
        }
        team.run { rank in
            let work = scratch.attention[rank]
            for index in team.share(of: pieces.count, rank: rank) {
                let piece = pieces[index]
                let roots = found.filter { $0.root.part == piece.part && $0.root.kvHead == piece.kvHead }
                guard let heads = roots.first?.root.heads else { continue }
                let tree = SlotTree(
                    roots: roots.map { entry in
                        // A state's rows are read through the type that also writes them; nobody writes here.
                        let whole = AttentionState(
                            UnsafeMutablePointer(mutating: entry.values),
                            rowCount: entry.root.rows.count * heads.count, headDim: headDim)
                        let first = (piece.rows.lowerBound - entry.root.rows.lowerBound) * heads.count
                        return (entry.root.subtree, whole.rows(first..<first + piece.rows.count * heads.count))
                    }, rowCount: piece.rows.count * heads.count, headDim: headDim,
                    levels: work.pages.assumingMemoryBound(to: Float.self))
                let state = AttentionState(work.state, rowCount: tree.rowCount, headDim: headDim)
                _ = tree.merge(0..<Slots.count, into: state, level: 0)
                var count = 0
                for row in piece.rows {
                    for head in heads {
                        work.outputs[count] =
                            scratch.attended + row * queryWidth + (head - shares.heads.lowerBound) * headDim
                        count += 1
                    }
                }
                finishAttention(state, outputs: work.outputs)
            }
        }
    }
}

/// The tree over the 64 slots, with some of its complete subtrees given.
private struct SlotTree {
    let roots: [(subtree: Range<Int>, state: AttentionState)]
    let rowCount: Int
    let headDim: Int
    /// Room for a right-hand state at each of the six levels.
    let levels: UnsafeMutablePointer<Float>

    /// The root of `run`; false when it is empty.
    func merge(_ run: Range<Int>, into state: AttentionState, level: Int) -> Bool {
        if let root = roots.first(where: { $0.subtree == run }) {
            root.state.copy(to: state)
            return true
        }
        guard run.count > 1, roots.contains(where: { run.contains($0.subtree.lowerBound) }) else { return false }
        let middle = run.lowerBound + run.count / 2
        guard merge(run.lowerBound..<middle, into: state, level: level) else {
            return merge(middle..<run.upperBound, into: state, level: level)
        }
        let right = AttentionState(
            levels + level * rowCount * (headDim + 2), rowCount: rowCount, headDim: headDim)
        if merge(middle..<run.upperBound, into: right, level: level + 1) { mergeAttention(right, into: state) }
        return true
    }
}
