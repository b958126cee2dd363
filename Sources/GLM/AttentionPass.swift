import Core
import KVCache
import Kernels
import Threads

/// Attention of one layer: rotation, the KV pages, and the exact softmax over them (design section 4).
extension Stage {
    /// Rotates queries and keys in place and writes keys and values to their pages, in the form they are read back in.
    func rotateAndStore(layer: Int, batch: Batch) {
        let headDim = configuration.headDim
        let pairs = configuration.rotaryDim / 2
        let queryWidth = shares.heads.count * headDim
        let kvWidth = shares.kvHeads.count * headDim
        pointPageTables(layer: layer, batch: batch)
        let tables = pageTables
        team.run { rank in
            for row in team.share(of: batch.tokens.count, rank: rank) {
                let cosines = scratch.cosines + row * pairs
                let sines = scratch.sines + row * pairs
                for head in 0..<shares.heads.count {
                    applyRotary(
                        scratch.query + row * queryWidth + head * headDim, rotaryDim: pairs * 2, cos: cosines,
                        sin: sines)
                }
                for head in 0..<shares.kvHeads.count {
                    applyRotary(
                        scratch.key + row * kvWidth + head * headDim, rotaryDim: pairs * 2, cos: cosines,
                        sin: sines)
                }
            }
        }
        // By KV head and part, so that no two threads write to one page.
        let heads = shares.kvHeads.count
        team.run { rank in
            for item in team.share(of: batch.parts.count * heads, rank: rank) {
                let part = batch.parts[item / heads]
                let head = item % heads
                let table = tables[item]
                let run = slots.share.slots[head]
                for row in part.rows {
                    let position = batch.positions[row]
                    let page = position / Slots.pageTokens
                    // Every rank that shares the head has the key; one of them keeps it.
                    guard run.contains(Slots.slot(ofPage: page)) else { continue }
                    let index = position % Slots.pageTokens
                    let offset = row * kvWidth + head * headDim
                    KeyValuePage.storeKey(
                        scratch.key + offset, in: table.keys[page], at: index, headDim: headDim,
                        type: kvType)
                    KeyValuePage.storeValue(
                        scratch.value + offset, in: table.values[page], at: index, headDim: headDim,
                        type: kvType)
                }
            }
        }
        noteBounds(batch: batch, tables: tables)
    }

    /// Writes the bounds of the pages of sparse sequences that are full now.
    private func noteBounds(batch: Batch, tables: [PageTable]) {
        let heads = shares.kvHeads.count
        let work = batch.parts.indices.flatMap { part in batch.parts[part].unbounded.map { (part, $0) } }
        if work.isEmpty { return }
        let headDim = configuration.headDim
        team.run { rank in
            for index in team.share(of: work.count, rank: rank) {
                let (part, spot) = work[index]
                let table = tables[part * heads + spot.kvHead]
                guard let bounds = table.bounds else { continue }
                KeyValuePage.storeBounds(
                    ofKeys: table.readKeys[spot.place], headDim: headDim, type: kvType, into: bounds[spot.place],
                    scratch: scratch.attention[rank].pages)
            }
        }
    }

    /// attended <- attention of the queries in `rows` (rows of the batch; their queries lie at 0..<rows.count).
    func attend(batch: Batch, rows: [Int], collective: any Collective) throws {
        if slots.isDivided { return try attendTogether(batch: batch, rows: rows, collective: collective) }
        let headDim = configuration.headDim
        let queryWidth = shares.heads.count * headDim
        let heads = shares.kvHeads.count
        if heads == 0 { return }
        let tables = pageTables
        planCalls(batch: batch, rows: rows)
        let work = calls
        let pieces = pieces(of: work, batch: batch)
        // One piece needs no memory of its own: its state is the thread's.
        let states = pieces == 1 ? nil : try scratch.states(floats: work.reduce(0) { $0 + size($1) } * pieces)
        let portions = team.portions(of: work.count * pieces, most: 1)
        team.run { rank in
            let memory = scratch.attention[rank]
            while let index = portions.take()?.lowerBound {
                let call = work[index / pieces]
                var count = 0
                for row in call.rows {
                    for head in call.heads {
                        let offset = row * queryWidth + head * headDim
                        memory.queries[count] = UnsafePointer(scratch.query + offset)
                        memory.outputs[count] = scratch.attended + offset
                        memory.visible[count] = batch.positions[rows[row]]
                        memory.tokens[count] = row - call.rows.lowerBound
                        count += 1
                    }
                }
                let table = tables[call.part * heads + call.kvHead]
                let state =
                    states.map { self.state(of: call, piece: index % pieces, of: pieces, in: $0) }
                    ?? AttentionState(memory.state, rowCount: count, headDim: headDim)
                let length = Slots.count / pieces
                let first = index % pieces * length
                Kernels.attend(
                    queries: memory.queries, visible: memory.visible, rowCount: count,
                    keyPages: table.readKeys, valuePages: table.readValues, headDim: headDim, type: kvType,
                    slots: first..<first + length, state: state, scratch: memory.pages,
                    choice: table.choice(tokens: call.rows.count, memory))
                if pieces == 1 { finishAttention(state, outputs: memory.outputs) }
            }
        }
        if let states { merge(work, pieces: pieces, states: states) }
    }

    /// In how many subtrees of the slots a call of the kernel is divided: more than one where there are fewer calls than the threads
    /// need, as for one token behind a long context.
    private func pieces(of work: [AttentionCall], batch: Batch) -> Int {
        let longest = batch.positions.max() ?? 0
        var pieces = 1
        while team.size > 1, work.count * pieces < 2 * team.size, pieces < Slots.count,
            longest / Slots.pageTokens >= 4 * pieces
        { pieces *= 2 }
        return pieces
    }

    /// Floats of a state of one call.
    private func size(_ call: AttentionCall) -> Int {
        call.rows.count * call.heads.count * (configuration.headDim + 2)
    }

    /// The state of one of a call's pieces.
    private func state(
        of call: AttentionCall, piece: Int, of pieces: Int, in states: UnsafeMutablePointer<Float>
    ) -> AttentionState {
        AttentionState(
            states + call.floatsBefore * pieces + piece * size(call), rowCount: call.rows.count * call.heads.count,
            headDim: configuration.headDim)
    }

    /// Merges each call's subtrees in the tree over the slots, and finishes its attention.
    private func merge(_ work: [AttentionCall], pieces: Int, states: UnsafeMutablePointer<Float>) {
        let headDim = configuration.headDim
        let queryWidth = shares.heads.count * headDim
        team.run { rank in
            let memory = scratch.attention[rank]
            for index in team.share(of: work.count, rank: rank) {
                let call = work[index]
                func state(_ piece: Int) -> AttentionState {
                    self.state(of: call, piece: piece, of: pieces, in: states)
                }
                var width = 1
                while width < pieces {
                    for left in stride(from: 0, to: pieces, by: 2 * width) {
                        mergeAttention(state(left + width), into: state(left))
                    }
                    width *= 2
                }
                for (place, row) in call.rows.enumerated() {
                    for (column, head) in call.heads.enumerated() {
                        memory.outputs[place * call.heads.count + column] =
                            scratch.attended + row * queryWidth + head * headDim
                    }
                }
                finishAttention(state(0), outputs: memory.outputs)
            }
        }
    }

    /// Cuts the queries into calls of the kernel, the longest contexts first so that threads end together.
    private func planCalls(batch: Batch, rows: [Int]) {
        let group = configuration.heads / configuration.kvHeads
        var floats = 0
        var end = 0
        calls.removeAll(keepingCapacity: true)
        for (index, part) in batch.parts.enumerated() {
            let first = end
            while end < rows.count, rows[end] < part.rows.upperBound { end += 1 }
            for kvHead in shares.kvHeads {
                let heads = (kvHead * group..<(kvHead + 1) * group).clamped(to: shares.heads)
                let local = heads.lowerBound - shares.heads.lowerBound..<heads.upperBound - shares.heads.lowerBound
                let step = max(1, min(Self.attentionRows / max(local.count, 1), (end - first) / team.size + 1))
                for start in stride(from: first, to: end, by: step) {
                    let call = AttentionCall(
                        part: index, kvHead: kvHead - shares.kvHeads.lowerBound, heads: local,
                        rows: start..<min(start + step, end), floatsBefore: floats)
                    calls.append(call)
                    floats += size(call)
                }
            }
        }
        calls.reverse()
    }
}

/// One call of the attention kernel: queries that share one KV head of one sequence.
struct AttentionCall {
    var part: Int
    var kvHead: Int
    var heads: Range<Int>  // of the rank's query heads
    var rows: Range<Int>  // of the queries
    /// Floats of the states of the calls planned before it.
    var floatsBefore: Int
}
