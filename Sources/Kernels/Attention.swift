public import Core

/// Exact attention of some rows over the pages of one KV head, for an aligned run of slots.
///
/// The order is fixed, whatever the rows, the calls and the runs:
/// - a score is one FMA a dimension, in order from +0, of q (times 1 / sqrt(headDim) beforehand) and k;
/// - a page is one step of the online softmax: m' = max(m, its maximum), f = e^(m - m'), l = fma(l, f, sum of e^(s - m') in
///   sixteen lanes), o = o f and then one FMA a key, in order, and at last + 0;
/// - a slot takes its pages in order; slots are merged in the balanced tree over 64.
/// A key that a row may not see has weight +0. Adding +0 times anything finite can only turn o = -0 into +0; since
/// every page ends with + 0 there is no -0, so what lies in unseen keys never shows, and neither does which rows share a tile.
///
/// - Shapes: `queries` [rowCount] rows of headDim, rotated, not scaled; row i sees the keys of positions 0...visible[i] (none
///   when negative); `keyPages`, `valuePages` by page number in the sequence, only those of these slots are read, as
///   `type`; `state` gets the root of the run.
/// - Needs: `headDim % 8 == 0`; `slots` aligned, its length a power of two; `scratch` of
///   `attentionScratchBytes(rowCount:headDim:)`, `state` of as many rows; nothing overlaps.
/// - Parameter choice: Leaves pages out: rows do not see the keys of a page that their token did not choose. All pages unless given.
/// - Cost: 4 headDim operations a row and key; a page of q8 or q4, and beyond 24 rows one of f16, is widened once for all.
public func attend(
    queries: UnsafePointer<UnsafePointer<Float>>, visible: UnsafePointer<Int>, rowCount: Int,
    keyPages: UnsafePointer<UnsafeRawPointer>, valuePages: UnsafePointer<UnsafeRawPointer>, headDim: Int,
    type: KVType = .f16, slots: Range<Int>, state: AttentionState, scratch: UnsafeMutableRawPointer,
    choice: PageChoice? = nil
) {
    state.clear()
    var last = -1
    for row in 0..<rowCount where visible[row] > last { last = visible[row] }
    let pageCount = last < 0 ? 0 : last / Slots.pageTokens + 1
    if pageCount <= Slots.firstPage(ofSlot: slots.lowerBound) { return }
    let floats = UnsafeMutableRawPointer(
        bitPattern: (UInt(bitPattern: scratch) &+ 63) & ~63)?.assumingMemoryBound(to: Float.self)
    guard let floats else { return }
    var attention = Attention(
        visible: visible, rowCount: rowCount, pageCount: pageCount, keyPages: keyPages, valuePages: valuePages,
        headDim: headDim, type: type, floats: floats)
    if let choice {
        attention.chooser = Chooser(
            choice, queries: queries, visible: visible, rowCount: rowCount, headDim: headDim, pageCount: pageCount)
    }
    attention.pack(queries)
    attention.run(first: slots.lowerBound, slots: slots.count, into: state, level: 0)
}

/// Bytes of scratch memory that `attend` needs for `rowCount` rows, at any alignment.
public func attentionScratchBytes(rowCount: Int, headDim: Int) -> Int {
    64 + Attention.floatCount(rowCount: rowCount, headDim: headDim) * MemoryLayout<Float>.stride
}

/// One call of `attend`: its arguments, and its scratch memory cut up.
struct Attention {
    let visible: UnsafePointer<Int>
    let rowCount: Int
    let pageCount: Int
    let keyPages: UnsafePointer<UnsafeRawPointer>
    let valuePages: UnsafePointer<UnsafeRawPointer>
    let headDim: Int
    let type: KVType
    let groupCount: Int
    let keys: UnsafeMutablePointer<Float>  // [headDim, 64]
    let values: UnsafeMutablePointer<Float>  // [64, headDim]
    let scores: UnsafeMutablePointer<Float>  // [6, 64]
    let factors: UnsafeMutablePointer<Float>  // [8]
    let packed: UnsafeMutablePointer<Float>  // a group after the other: [headDim, rows of the group]
    let states: UnsafeMutablePointer<Float>  // a right-hand state for each of the six levels of the tree
    /// Who chooses pages, when not all are attended.
    var chooser: Chooser?

    static let keyCount = Slots.pageTokens
    static let levels = 6

    static func floatCount(rowCount: Int, headDim: Int) -> Int {
        2 * keyCount * headDim + 6 * keyCount + 16 + rowCount * headDim + levels * rowCount * (headDim + 2)
    }

    init(
        visible: UnsafePointer<Int>, rowCount: Int, pageCount: Int, keyPages: UnsafePointer<UnsafeRawPointer>,
        valuePages: UnsafePointer<UnsafeRawPointer>, headDim: Int, type: KVType, floats: UnsafeMutablePointer<Float>
    ) {
        self.type = type
        self.visible = visible
        self.rowCount = rowCount
        self.pageCount = pageCount
        self.keyPages = keyPages
        self.valuePages = valuePages
        self.headDim = headDim
        groupCount = (rowCount + 5) / 6
        keys = floats
        values = keys + Self.keyCount * headDim
        scores = values + Self.keyCount * headDim
        factors = scores + 6 * Self.keyCount
        packed = factors + 16
        states = packed + rowCount * headDim
    }

    /// The rows of a group: all groups have the same number, but for one.
    @inline(__always)
    func rows(ofGroup group: Int) -> Range<Int> {
        group &* rowCount / groupCount..<(group &+ 1) &* rowCount / groupCount
    }

    /// Copies the queries, scaled, dimension by dimension, so that a tile's broadcasts are neighbours.
    func pack(_ queries: UnsafePointer<UnsafePointer<Float>>) {
        let scale = 1 / Float(headDim).squareRoot()
        for group in 0..<groupCount {
            let rows = rows(ofGroup: group)
            let size = rows.count
            let to = packed + rows.lowerBound &* headDim
            for row in rows {
                let q = queries[row]
                let column = to + (row &- rows.lowerBound)
                for d in 0..<headDim { column[d &* size] = q[d] * scale }
            }
        }
    }

    /// The root of a run of slots that has at least one page.
    func run(first: Int, slots: Int, into state: AttentionState, level: Int) {
        if slots == 1 {
            if let chooser { return chooser.add(slot: first, of: self, to: state) }
            var page = Slots.firstPage(ofSlot: first)
            while page < pageCount {
                self.add(page: page, to: state)
                page &+= Slots.count
            }
            return
        }
        // The first slot of an aligned run has its first page; the right half may have none yet.
        let half = slots / 2
        run(first: first, slots: half, into: state, level: level)
        if Slots.firstPage(ofSlot: first &+ half) >= pageCount { return }
        let size = rowCount &* (headDim &+ 2)
        let right = AttentionState(states + level &* size, rowCount: rowCount, headDim: headDim)
        right.clear()
        run(first: first &+ half, slots: half, into: right, level: level &+ 1)
        mergeAttention(right, into: state)
    }

    /// One step of the online softmax, for all rows.
    ///
    /// Few groups read f16 as it is: widening it once more for each costs less than writing it and reading it again. Blocks take more
    /// work to widen, and it is done once.
    func add(page: Int, to state: AttentionState) {
        if type == .f32 {
            for group in 0..<groupCount { step(group, page, keyPages[page], valuePages[page], half: false, state) }
        } else if type == .f16 && groupCount <= 4 {
            for group in 0..<groupCount { step(group, page, keyPages[page], valuePages[page], half: true, state) }
        } else {
            KeyValuePage.widenKeys(keyPages[page], headDim: headDim, type: type, into: keys)
            KeyValuePage.widenValues(valuePages[page], headDim: headDim, type: type, into: values)
            for group in 0..<groupCount { step(group, page, keys, values, half: false, state) }
        }
    }

    /// One group's step, with code of its own for each number of rows.
    @inline(__always)
    private func step(
        _ group: Int, _ page: Int, _ k: UnsafeRawPointer, _ v: UnsafeRawPointer, half: Bool, _ state: AttentionState
    ) {
        let rows = rows(ofGroup: group)
        let first = rows.lowerBound
        switch rows.count {
        case 6: step(first, 6, page, k, v, half: half, state)
        case 5: step(first, 5, page, k, v, half: half, state)
        case 4: step(first, 4, page, k, v, half: half, state)
        case 3: step(first, 3, page, k, v, half: half, state)
        case 2: step(first, 2, page, k, v, half: half, state)
        default: step(first, 1, page, k, v, half: half, state)
        }
    }

    /// Scores, weights and weighted values of a few rows, finished before the next few so that they stay in 1.5 KB.
    @inline(__always)
    private func step(
        _ first: Int, _ rows: Int, _ page: Int, _ k: UnsafeRawPointer, _ v: UnsafeRawPointer, half: Bool,
        _ state: AttentionState
    ) {
        let start = page &* Self.keyCount
        var seen = 0
        for row in first..<first &+ rows { seen = max(seen, visible[row] &- start &+ 1) }
        if seen <= 0 { return }
        seen = min(seen, Self.keyCount)
        let size = half ? 2 : 4
        let q = packed + first &* headDim
        var column = 0
        while column < Self.keyCount {
            var tile = AttentionTile()
            tile.addProduct(
                q, rowStride: 1, depthStride: rows, k + column &* size, half: half, stride: Self.keyCount,
                depth: headDim, rows: rows,
                wide: true)
            tile.write(scores + column, stride: Self.keyCount, rows: rows, wide: true)
            column &+= 16
        }
        weigh(first, rows, start, state)
        let o = state.o + first &* headDim
        column = 0
        while column &+ 16 <= headDim {
            var tile = AttentionTile(o + column, stride: headDim, times: factors, rows: rows, wide: true)
            tile.addProduct(
                scores, rowStride: Self.keyCount, depthStride: 1, v + column &* size, half: half, stride: headDim,
                depth: seen,
                rows: rows, wide: true)
            tile.write(o + column, stride: headDim, rows: rows, wide: true)
            column &+= 16
        }
        if column < headDim {
            var tile = AttentionTile(o + column, stride: headDim, times: factors, rows: rows, wide: false)
            tile.addProduct(
                scores, rowStride: Self.keyCount, depthStride: 1, v + column &* size, half: half, stride: headDim,
                depth: seen,
                rows: rows, wide: false)
            tile.write(o + column, stride: headDim, rows: rows, wide: false)
        }
    }

    /// Turns scores into weights, in place, and brings m and l up to date; `factors` gets what each row's o must be multiplied by.
    ///
    /// A row that sees no key of the page keeps its bits: factor 1, weights +0.
    @inline(__always)
    private func weigh(_ first: Int, _ rows: Int, _ start: Int, _ state: AttentionState) {
        // The differences of all rows are raised at once; lanes beyond the rows hold whatever was there.
        for r in 0..<rows {
            let row = first &+ r
            let s = scores + r &* Self.keyCount
            let seen = visible[row] &- start &+ 1
            if seen < Self.keyCount { hide(s, from: max(seen, 0)) }
            let a = greater(greater(lanes(s), lanes(s + 8)), greater(lanes(s + 16), lanes(s + 24)))
            let b = greater(greater(lanes(s + 32), lanes(s + 40)), greater(lanes(s + 48), lanes(s + 56)))
            let top = greatest(greater(a, b))
            let m = state.m[row]
            let most = seen > 0 && top > m ? top : m
            factors[r] = m - most
            state.m[row] = most
        }
        store(exponential(lanes(factors)), factors)
        for r in 0..<rows {
            let row = first &+ r
            let s = scores + r &* Self.keyCount
            if visible[row] < start {
                for k in stride(from: 0, to: Self.keyCount, by: 8) { store(SIMD8<Float>.zero, s + k) }
                factors[r] = 1
                continue
            }
            let m = SIMD8<Float>(repeating: state.m[row])
            var low = SIMD8<Float>.zero
            var high = SIMD8<Float>.zero
            var k = 0
            while k < Self.keyCount {
                let a = exponential(lanes(s + k) - m)
                let b = exponential(lanes(s + k + 8) - m)
                store(a, s + k)
                store(b, s + k + 8)
                low += a
                high += b
                k &+= 16
            }
            state.l[row] = laneSum(low, high).addingProduct(state.l[row], factors[r])
        }
    }

    /// Writes -infinity, whose weight is +0, over the scores of keys that a row may not see.
    private func hide(_ s: UnsafeMutablePointer<Float>, from first: Int) {
        for k in first..<Self.keyCount { s[k] = -.infinity }
    }
}
