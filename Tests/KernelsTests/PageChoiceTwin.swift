import Core
import Kernels

/// The definition of sparse attention, as docs/kernels.md has it.
struct ChoiceTwin {
    let budget: PageBudget
    let pages: Pages

    /// The pages of one slot that a token attends to, whose queries of one KV head are `queries`.
    func chosen(_ queries: [[Float]], visible: Int, slot: Int) -> Set<Int> {
        let own = visible / 64
        let all = (0..<own + 1).filter { Slots.slot(ofPage: $0) == slot }
        let open = all.filter { $0 >= budget.first && $0 <= own - budget.last }
        let least = max(budget.fewest, (open.count + budget.leastIn - 1) / budget.leastIn)
        let most = max(least, (open.count + budget.mostIn - 1) / budget.mostIn)
        var scores = [Float](repeating: -.infinity, count: open.count)
        for query in queries {
            let bounds = open.map { bound(query, $0) }
            let mean = bounds.reduce(0, +) / Float(open.count)
            for (at, bound) in bounds.enumerated() { scores[at] = max(scores[at], bound - mean) }
        }
        let best = open.indices.sorted { (-scores[$0], $0) < (-scores[$1], $1) }
        let others = best.prefix(most).dropFirst(least).filter { scores[$0] >= scores[best[0]] * 2 / 3 }
        return Set(all).subtracting(open).union((best.prefix(least) + others).map { open[$0] })
    }

    /// The greatest that the product of `query` with any key of a page can be, in sixteen lanes.
    func bound(_ query: [Float], _ page: Int) -> Float {
        var lanes = [Float](repeating: 0, count: 16)
        for (d, q) in query.enumerated() {
            let keys = (page * 64..<page * 64 + 64).map { pages.key($0, d) }
            if q > 0 {
                lanes[d % 8] = lanes[d % 8].addingProduct(q, half(keys.max() ?? 0))
            } else {
                lanes[8 + d % 8] = lanes[8 + d % 8].addingProduct(q, half(keys.min() ?? 0))
            }
        }
        return sum16(lanes)
    }

    private func half(_ x: Float) -> Float { Float(Float16(min(max(x, -65_504), 65_504))) }
}

/// Sparse attention by the kernel: the states of `queries` [tokens][heads], row by row, after all slots in `parts` runs.
func sparseStates(
    _ queries: [[[Float]]], visible: [Int], _ pages: Pages, budget: PageBudget, order: [(token: Int, head: Int)],
    parts: Int = 1
) -> [Partial?] {
    let headDim = pages.headDim
    let (type, pageCount) = (pages.type, pages.keys.count)
    let size = KeyValuePage.boundsByteCount(headDim: headDim)
    func memory(_ bytes: Int) -> UnsafeMutableRawPointer {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 8)
        memory.initializeMemory(as: UInt8.self, repeating: 0xFF, count: bytes)
        return memory
    }
    let rowCount = order.count
    let bounds = memory(size * pageCount)
    let stateBytes = attentionStateBytes(rowCount: rowCount, headDim: headDim)
    let states = memory(stateBytes * parts)
    let scratch = memory(attentionScratchBytes(rowCount: rowCount, headDim: headDim))
    let choice = memory(pageChoiceScratchBytes(rowCount: rowCount, headDim: headDim, pageCount: pageCount))
    let rows = UnsafeMutablePointer<Float>.allocate(capacity: rowCount * headDim)
    defer {
        for used in [bounds, states, scratch, choice, UnsafeMutableRawPointer(rows)] { used.deallocate() }
    }
    for page in 0..<pageCount {
        KeyValuePage.storeBounds(
            ofKeys: pages.keys[page], headDim: headDim, type: type, into: bounds + page * size, scratch: scratch)
    }
    var pointers: [UnsafePointer<Float>] = []
    for (row, at) in order.enumerated() {
        (rows + row * headDim).initialize(from: queries[at.token][at.head], count: headDim)
        pointers.append(UnsafePointer(rows + row * headDim))
    }
    let addresses = (0..<pageCount).map { UnsafeRawPointer(bounds + $0 * size) }
    let tokens = order.map(\.token)
    var roots = (0..<parts).map { AttentionState(states + $0 * stateBytes, rowCount: rowCount, headDim: headDim) }
    addresses.withUnsafeBufferPointer { addresses in
        tokens.withUnsafeBufferPointer { tokens in
            guard let addresses = addresses.baseAddress, let tokens = tokens.baseAddress else { return }
            for part in 0..<parts {
                attend(
                    queries: pointers, visible: order.map { visible[$0.token] }, rowCount: rowCount,
                    keyPages: pages.keys, valuePages: pages.values, headDim: headDim, type: type,
                    slots: part * 64 / parts..<(part + 1) * 64 / parts, state: roots[part], scratch: scratch,
                    choice: PageChoice(
                        budget: budget, bounds: addresses, tokens: tokens, tokenCount: queries.count, scratch: choice))
            }
        }
    }
    while roots.count > 1 {
        for i in 0..<roots.count / 2 { mergeAttention(roots[2 * i + 1], into: roots[2 * i]) }
        roots = (0..<roots.count / 2).map { roots[2 * $0] }
    }
    return (0..<rowCount).map { row in
        if roots[0].l[row] == 0 { return nil }
        let o = (0..<headDim).map { roots[0].o[row * headDim + $0] }
        return Partial(m: roots[0].m[row], l: roots[0].l[row], o: o)
    }
}
