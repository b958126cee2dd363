/// A partial result of attention, for a run of slots: per row the maximum score m, l = sum of e^(s - m), and
/// o = sum of e^(s - m) v, not yet divided.
///
/// A view of the caller's memory, m then l then o, all f32: these bytes are what ranks exchange. A row with l = 0 is empty (it has
/// seen no key); its m is -infinity and its o zero.
public struct AttentionState {
    /// The maximum score of each row.
    public let m: UnsafeMutablePointer<Float>  // [rowCount]
    /// The sum of weights of each row; 0 when the row is empty.
    public let l: UnsafeMutablePointer<Float>  // [rowCount]
    /// The weighted sum of values of each row.
    public let o: UnsafeMutablePointer<Float>  // [rowCount, headDim]
    /// Rows of queries.
    public let rowCount: Int
    /// Floats in a row of `o`.
    public let headDim: Int

    /// A state over `attentionStateBytes(rowCount:headDim:)` bytes, aligned for f32, whatever they hold.
    public init(_ memory: UnsafeMutableRawPointer, rowCount: Int, headDim: Int) {
        let floats = memory.assumingMemoryBound(to: Float.self)
        m = floats
        l = floats + rowCount
        o = floats + 2 * rowCount
        self.rowCount = rowCount
        self.headDim = headDim
    }

    /// A state over three places, as those of some rows of another one.
    init(
        m: UnsafeMutablePointer<Float>, l: UnsafeMutablePointer<Float>, o: UnsafeMutablePointer<Float>, rowCount: Int,
        headDim: Int
    ) {
        self.m = m
        self.l = l
        self.o = o
        self.rowCount = rowCount
        self.headDim = headDim
    }

    /// The same state, seen through some of its rows.
    public func rows(_ rows: Range<Int>) -> AttentionState {
        AttentionState(
            m: m + rows.lowerBound, l: l + rows.lowerBound, o: o + rows.lowerBound * headDim, rowCount: rows.count,
            headDim: headDim)
    }

    /// Copies every row to a state of as many rows.
    public func copy(to other: AttentionState) {
        other.m.update(from: m, count: rowCount)
        other.l.update(from: l, count: rowCount)
        other.o.update(from: o, count: rowCount * headDim)
    }

    /// Makes every row empty.
    public func clear() {
        m.update(repeating: -.infinity, count: rowCount)
        l.update(repeating: 0, count: rowCount)
        o.update(repeating: 0, count: rowCount * headDim)
    }
}

/// Bytes of a state of `rowCount` rows.
public func attentionStateBytes(rowCount: Int, headDim: Int) -> Int {
    rowCount * (headDim + 2) * MemoryLayout<Float>.stride
}

/// a <- a merged with b, a node of the tree over slots: `a` is the root of the run on the left, `b` of the run of the same length
/// on its right.
///
/// With m the greater maximum, l = fma(la, e^(ma - m), lb e^(mb - m)), o likewise. Where one side of a row is empty, the row gets
/// the other side's bits unchanged.
public func mergeAttention(_ b: AttentionState, into a: AttentionState) {
    let headDim = a.headDim
    for first in stride(from: 0, to: a.rowCount, by: 8) {
        // Eight rows' factors at once; lanes beyond the last row hold what comes after m, and count for nothing.
        let ma = lanes(a.m + first)
        let mb = lanes(b.m + first)
        let most = greater(ma, mb)
        let m = unsafeBitCast(most, to: InlineArray<8, Float>.self)
        let fa = unsafeBitCast(exponential(ma - most, isAtMostZero: true), to: InlineArray<8, Float>.self)
        let fb = unsafeBitCast(exponential(mb - most, isAtMostZero: true), to: InlineArray<8, Float>.self)
        for i in 0..<min(8, a.rowCount &- first) {
            let row = first &+ i
            if b.l[row] == 0 { continue }
            let ao = a.o + row &* headDim
            let bo = b.o + row &* headDim
            if a.l[row] == 0 {
                a.m[row] = b.m[row]
                a.l[row] = b.l[row]
                ao.update(from: bo, count: headDim)
                continue
            }
            a.m[row] = m[i]
            a.l[row] = (b.l[row] * fb[i]).addingProduct(a.l[row], fa[i])
            let left = SIMD8<Float>(repeating: fa[i])
            let right = SIMD8<Float>(repeating: fb[i])
            var d = 0
            while d < headDim {
                store((lanes(bo + d) * right).addingProduct(lanes(ao + d), left), ao + d)
                d &+= 8
            }
        }
    }
}

/// The attention's result, o / l; zeros for a row that has seen no key.
///
/// - Shapes: `outputs` [state.rowCount] pointers to headDim floats each.
public func finishAttention(_ state: AttentionState, outputs: UnsafePointer<UnsafeMutablePointer<Float>>) {
    for row in 0..<state.rowCount {
        let o = state.o + row &* state.headDim
        let out = outputs[row]
        if state.l[row] == 0 {
            out.update(repeating: 0, count: state.headDim)
            continue
        }
        let l = SIMD8<Float>(repeating: state.l[row])
        var d = 0
        while d < state.headDim {
            store(lanes(o + d) / l, out + d)
            d &+= 8
        }
    }
}
