import Core

/// `attend`, in the code of one instruction set: see there.
func attendHere(
    queries: UnsafePointer<UnsafePointer<Float>>, visible: UnsafePointer<Int>, rowCount: Int,
    keyPages: UnsafePointer<UnsafeRawPointer>, valuePages: UnsafePointer<UnsafeRawPointer>, headDim: Int,
    type: KVType, slots: Range<Int>, state: AttentionState, scratch: UnsafeMutableRawPointer
) {
    let attention = Attention(
        queries: queries, visible: visible, rowCount: rowCount, keyPages: keyPages, valuePages: valuePages,
        headDim: headDim, type: type, slots: slots, state: state, scratch: scratch)
    guard let attention else { return }
    attention.run(first: slots.lowerBound, slots: slots.count, into: state, level: 0) {
        attention.add(slot: $0, to: $1)
    }
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
    let scores: UnsafeMutablePointer<Float>  // twice [6, 64], or [48, 64] of int8 queries
    let factors: UnsafeMutablePointer<Float>  // [8]
    let maxima: UnsafeMutablePointer<Float>  // [8]
    let sums: UnsafeMutablePointer<Float>  // [6, 16]
    let unpacked: UnsafeMutableRawPointer  // for `scoreKeys`
    let packed: UnsafeMutablePointer<Float>  // a group after the other: [headDim, rows of the group]; or int8 blocks
    let states: UnsafeMutablePointer<Float>  // a right-hand state for each of the six levels of the tree

    static let keyCount = Slots.pageTokens
    static let levels = 6
    /// Groups of rows whose scores with a page of blocks are formed together: its keys are unpacked once for them.
    static let groupsAtOnce = 8
    /// Bytes that an unpacked block of sixteen keys takes.
    static let unpackedBytes = 1152

    static func floatCount(rowCount: Int, headDim: Int) -> Int {
        let queries = max(rowCount * headDim, activationBytes(tokens: rowCount, columns: headDim) / 4)
        return 2 * keyCount * headDim + 6 * groupsAtOnce * keyCount + 16 + 6 * 16 + unpackedBytes / 4 + queries
            + levels * rowCount * (headDim + 2)
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
        factors = scores + 6 * Self.groupsAtOnce * Self.keyCount
        maxima = factors + 8
        sums = maxima + 8
        unpacked = UnsafeMutableRawPointer(sums + 6 * 16)
        packed = sums + (6 * 16 + Self.unpackedBytes / 4)
        states =
            floats + (Self.floatCount(rowCount: rowCount, headDim: headDim) - Self.levels * rowCount * (headDim + 2))
    }

    /// A call with its queries packed and its state empty; nil when no row sees a page of the slots.
    init?(
        queries: UnsafePointer<UnsafePointer<Float>>, visible: UnsafePointer<Int>, rowCount: Int,
        keyPages: UnsafePointer<UnsafeRawPointer>, valuePages: UnsafePointer<UnsafeRawPointer>, headDim: Int,
        type: KVType, slots: Range<Int>, state: AttentionState, scratch: UnsafeMutableRawPointer
    ) {
        state.clear()
        var last = -1
        for row in 0..<rowCount where visible[row] > last { last = visible[row] }
        let pageCount = last < 0 ? 0 : last / Slots.pageTokens + 1
        if pageCount <= Slots.firstPage(ofSlot: slots.lowerBound) { return nil }
        let floats = UnsafeMutableRawPointer(
            bitPattern: (UInt(bitPattern: scratch) &+ 63) & ~63)?.assumingMemoryBound(to: Float.self)
        guard let floats else { return nil }
        self.init(
            visible: visible, rowCount: rowCount, pageCount: pageCount, keyPages: keyPages, valuePages: valuePages,
            headDim: headDim, type: type, floats: floats)
        pack(queries)
    }

    /// The rows of a group: all groups have the same number, but for one.
    @inline(__always)
    func rows(ofGroup group: Int) -> Range<Int> {
        group &* rowCount / groupCount..<(group &+ 1) &* rowCount / groupCount
    }

    /// How many keys of the page that begins at `start` the rows of a group see: the least and the most, not above zero for none.
    @inline(__always)
    func seen(group: Int, start: Int) -> ClosedRange<Int> {
        let rows = rows(ofGroup: group)
        var least = Int.max
        var most = Int.min
        for row in rows {
            least = min(least, visible[row])
            most = max(most, visible[row])
        }
        return least &- start &+ 1...most &- start &+ 1
    }

    /// Whether keys are int8 or less, in blocks with a scale: then queries are too, and their products are exact in int32.
    private var hasBlocks: Bool { type == .q8 || type == .q4 }

    /// The queries as int8 blocks.
    private var blocks: Activations { Activations(buffer: packed, tokens: rowCount, columns: headDim) }

    /// Copies the queries, scaled, dimension by dimension, so that a tile's broadcasts are neighbours; or rounds them to int8 blocks.
    func pack(_ queries: UnsafePointer<UnsafePointer<Float>>) {
        let scale = 1 / Float(headDim).squareRoot()
        if hasBlocks {
            let blocks = blocks
            for row in 0..<rowCount {
                let q = queries[row]
                for d in 0..<headDim { keys[d] = q[d] * scale }
                for block in 0..<blocks.blocks {
                    let first = 32 &* block
                    blocks.store(block: block, token: row, keys + first, count: min(32, headDim &- first))
                }
            }
            return
        }
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

    /// All pages of a slot, in order.
    func add(slot: Int, to state: AttentionState) {
        var page = Slots.firstPage(ofSlot: slot)
        while page < pageCount {
            var next = page &+ Slots.count
            if next >= pageCount { next = slot &+ 1 < Slots.count ? Slots.firstPage(ofSlot: slot &+ 1) : page }
            self.add(page: page, next: next < pageCount ? next : page, to: state)
            page &+= Slots.count
        }
    }

    /// The root of a run of slots that has at least one page; `add` makes the state of one slot.
    func run(
        first: Int, slots: Int, into state: AttentionState, level: Int, add: (_ slot: Int, AttentionState) -> Void
    ) {
        if slots == 1 { return add(first, state) }
        // The first slot of an aligned run has its first page; the right half may have none yet.
        let half = slots / 2
        run(first: first, slots: half, into: state, level: level, add: add)
        if Slots.firstPage(ofSlot: first &+ half) >= pageCount { return }
        let size = rowCount &* (headDim &+ 2)
        let right = AttentionState(states + level &* size, rowCount: rowCount, headDim: headDim)
        right.clear()
        run(first: first &+ half, slots: half, into: right, level: level &+ 1, add: add)
        mergeAttention(right, into: state)
    }

    /// One step of the online softmax, for all rows.
    ///
    /// Few groups read f16 as it is: widening it once more for each costs less than writing it and reading it again. Values in blocks take
    /// more work to widen, and it is done once.
    ///
    /// - Parameter next: The page that is likely to be added after it.
    func add(page: Int, next: Int, to state: AttentionState) {
        let ahead = keyPages[next] - keyPages[page]
        let keyPage = keyPages[page]
        let valuePage = valuePages[page]
        if hasBlocks {
            widenValues(valuePage, headDim: headDim, type: type, into: values)
            AttentionGroups<0>.add(
                self, page: page, blocks: keyPage, queries: blocks, values: values, ahead: ahead, to: state)
        } else if type == .f32 {
            AttentionGroups<0>.add(self, page: page, keys: keyPage, values: valuePage, to: state)
        } else if groupCount <= 4 {
            AttentionGroups<1>.add(self, page: page, keys: keyPage, values: valuePage, ahead: ahead, to: state)
        } else {
            widenKeys(keyPage, headDim: headDim, into: keys)
            widenValues(valuePage, headDim: headDim, type: type, into: values)
            AttentionGroups<0>.add(self, page: page, keys: keys, values: values, to: state)
        }
    }
}
