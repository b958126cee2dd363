import Core

/// One page's step of the online softmax for `R` rows, with code of its own for each number of rows; `H` is 1 when the page is f16.
enum AttentionStep<let R: Int, let H: Int> {
    /// `scores` [R][64] <- q k, of the rows from `first` on.
    @inline(never)
    static func score(
        _ call: Attention, first: Int, keys: UnsafeRawPointer, ahead: Int, into scores: UnsafeMutablePointer<Float>
    ) {
        score(call.packed + first &* call.headDim, keys, depth: call.headDim, ahead: ahead, into: scores)
    }

    /// Weights and weighted values of rows whose scores are known; `start` is the position of the page's first token.
    @inline(never)
    static func finish(
        _ call: Attention, first: Int, start: Int, seen: ClosedRange<Int>, scores: UnsafeMutablePointer<Float>,
        values: UnsafeRawPointer, ahead: Int, to state: AttentionState
    ) {
        weigh(call, first, start, isWhole: seen.lowerBound >= Attention.keyCount, scores, state)
        addValues(
            call, scores, values, seen: min(seen.upperBound, Attention.keyCount), ahead: ahead,
            into: state.o + first &* call.headDim)
    }

    /// scores [R][64] <- q k.
    @inline(__always)
    private static func score(
        _ q: UnsafePointer<Float>, _ keys: UnsafeRawPointer, depth: Int, ahead: Int,
        into scores: UnsafeMutablePointer<Float>
    ) {
        let size = H == 1 ? 2 : 4
        var column = 0
        while column < Attention.keyCount {
            let k = keys + column &* size
            let s = scores + column
            switch Sixteen.tileColumns(rows: R) {
            case 4:
                AttentionTile<R, 4, H>.multiply(
                    q, rowStride: 1, depthStride: R, k, stride: Attention.keyCount, depth: depth, ahead: ahead,
                    factors: nil, into: s, outStride: Attention.keyCount)
                column &+= 64
            case 2:
                AttentionTile<R, 2, H>.multiply(
                    q, rowStride: 1, depthStride: R, k, stride: Attention.keyCount, depth: depth, ahead: ahead,
                    factors: nil, into: s, outStride: Attention.keyCount)
                column &+= 32
            default:
                AttentionTile<R, 1, H>.multiply(
                    q, rowStride: 1, depthStride: R, k, stride: Attention.keyCount, depth: depth, ahead: ahead,
                    factors: nil, into: s, outStride: Attention.keyCount)
                column &+= 16
            }
        }
    }

    /// o <- o times each row's factor, plus weights times values, over the `seen` keys that any row sees.
    @inline(__always)
    private static func addValues(
        _ call: Attention, _ scores: UnsafeMutablePointer<Float>, _ values: UnsafeRawPointer, seen: Int,
        ahead: Int, into o: UnsafeMutablePointer<Float>
    ) {
        let size = H == 1 ? 2 : 4
        let headDim = call.headDim
        let most = Sixteen.tileColumns(rows: R)
        var column = 0
        while most >= 4 && column &+ 64 <= headDim {
            AttentionTile<R, 4, H>.multiply(
                scores, rowStride: Attention.keyCount, depthStride: 1, values + column &* size, stride: headDim,
                depth: seen, ahead: ahead, factors: call.factors, into: o + column, outStride: headDim)
            column &+= 64
        }
        while most >= 2 && column &+ 32 <= headDim {
            AttentionTile<R, 2, H>.multiply(
                scores, rowStride: Attention.keyCount, depthStride: 1, values + column &* size, stride: headDim,
                depth: seen, ahead: ahead, factors: call.factors, into: o + column, outStride: headDim)
            column &+= 32
        }
        while column &+ 16 <= headDim {
            AttentionTile<R, 1, H>.multiply(
                scores, rowStride: Attention.keyCount, depthStride: 1, values + column &* size, stride: headDim,
                depth: seen, ahead: ahead, factors: call.factors, into: o + column, outStride: headDim)
            column &+= 16
        }
        if column < headDim {
            AttentionTile<R, 1, H>.multiply(
                scores, rowStride: Attention.keyCount, depthStride: 1, values + column &* size, stride: headDim,
                depth: seen, isEight: true, ahead: ahead, factors: call.factors, into: o + column, outStride: headDim)
        }
    }

    /// Turns scores into weights, in place, and brings m and l up to date; `factors` gets what each row's o must be multiplied by.
    ///
    /// A row that sees no key of the page keeps its bits: factor 1, weights +0. What is one number a row is done for all
    /// rows in one vector; it is read eight rows wide, which is inside the state's memory: l and o come after m.
    @inline(__always)
    private static func weigh(
        _ call: Attention, _ first: Int, _ start: Int, isWhole: Bool, _ scores: UnsafeMutablePointer<Float>,
        _ state: AttentionState
    ) {
        let keyCount = Attention.keyCount
        var rows = InlineArray<8, SIMD8<Float>>(repeating: .zero)
        for r in 0..<R {
            let s = scores + r &* keyCount
            if !isWhole {
                // -infinity has the weight +0.
                var k = max(call.visible[first &+ r] &- start &+ 1, 0)
                while k < keyCount {
                    s[k] = -.infinity
                    k &+= 1
                }
            }
            let a = greater(greater(lanes(s), lanes(s + 8)), greater(lanes(s + 16), lanes(s + 24)))
            let b = greater(greater(lanes(s + 32), lanes(s + 40)), greater(lanes(s + 48), lanes(s + 56)))
            rows[r] = greater(a, b)
        }
        let m = lanes(state.m + first)
        let most = greater(rowLanes(rows) { greater($0, $1) }, m)
        store(most, call.maxima)
        store(exponential(m - most, isAtMostZero: true), call.factors)
        for r in 0..<R {
            let s = scores + r &* keyCount
            state.m[first &+ r] = call.maxima[r]
            if !isWhole && call.visible[first &+ r] < start {
                for k in stride(from: 0, to: keyCount, by: 16) { Sixteen(repeating: 0).write(s + k) }
                call.factors[r] = 1
                Sixteen(repeating: 0).write(call.sums + 16 &* r)
                continue
            }
            let m = Sixteen(repeating: call.maxima[r])
            var sum = Sixteen(repeating: 0)
            for k in 0..<4 / Sixteen.together {
                let s = s + 16 &* Sixteen.together &* k
                let weights = Sixteen.raised(Sixteen.Group { Sixteen(s + 16 &* $0) - m })
                for i in 0..<Sixteen.together {
                    weights[i].write(s + 16 &* i)
                    sum = sum + weights[i]
                }
            }
            sum.write(call.sums + 16 &* r)
        }
        for r in 0..<R { rows[r] = lanes(call.sums + 16 &* r) + lanes(call.sums + 16 &* r + 8) }
        store(rowLanes(rows) { $0 + $1 }.addingProduct(lanes(state.l + first), lanes(call.factors)), call.maxima)
        for r in 0..<R { state.l[first &+ r] = call.maxima[r] }
    }
}

/// All rows' steps of one page.
enum AttentionGroups<let H: Int> {
    /// Adds a page of f16 (`H` 1) or f32.
    ///
    /// A group's scores are formed before the group in front of it is finished: one's weights wait for many long
    /// latencies, in which the processor then has the other's products to do.
    @inline(__always)
    static func add(
        _ call: Attention, page: Int, keys: UnsafeRawPointer, values: UnsafeRawPointer, ahead: Int = 0,
        to state: AttentionState
    ) {
        let start = page &* Attention.keyCount
        var scores = call.scores
        var other = scores + 6 &* Attention.keyCount
        var waiting = -1
        for group in 0..<call.groupCount {
            if call.seen(group: group, start: start).upperBound <= 0 { continue }
            score(call, group, keys, ahead, into: scores)
            if waiting >= 0 { finish(call, waiting, start, other, values, ahead, state) }
            waiting = group
            swap(&scores, &other)
        }
        if waiting >= 0 { finish(call, waiting, start, other, values, ahead, state) }
    }

    /// Adds a page whose keys are blocks: the scores of several groups are formed together.
    ///
    /// The page `ahead` is asked for in two parts, in the midst of the work: at once and before it, those lines fill the queue of lines
    /// in flight, and this page's own wait behind them.
    static func add(
        _ call: Attention, page: Int, blocks: UnsafeRawPointer, queries: Activations, values: UnsafeRawPointer,
        ahead: Int, to state: AttentionState
    ) {
        let start = page &* Attention.keyCount
        for first in stride(from: 0, to: call.groupCount, by: Attention.groupsAtOnce) {
            let groups = first..<min(first &+ Attention.groupsAtOnce, call.groupCount)
            let rows = call.rows(ofGroup: first).lowerBound..<call.rows(ofGroup: groups.upperBound &- 1).upperBound
            scoreKeys(
                blocks, type: call.type, queries, rows: rows, into: call.scores, scratch: call.unpacked)
            if first == 0 { announce(blocks, headDim: call.headDim, type: call.type, ahead: ahead) }
            for group in groups {
                if call.seen(group: group, start: start).upperBound > 0 {
                    let row = call.rows(ofGroup: group).lowerBound &- rows.lowerBound
                    finish(call, group, start, call.scores + row &* Attention.keyCount, values, 0, state)
                }
                if group == 0 {
                    announce(call.valuePages[page], headDim: call.headDim, type: call.type, ahead: ahead)
                }
            }
        }
    }

    @inline(__always)
    private static func score(
        _ call: Attention, _ group: Int, _ keys: UnsafeRawPointer, _ ahead: Int,
        into scores: UnsafeMutablePointer<Float>
    ) {
        let rows = call.rows(ofGroup: group)
        let first = rows.lowerBound
        switch rows.count {
        case 6: AttentionStep<6, H>.score(call, first: first, keys: keys, ahead: ahead, into: scores)
        case 5: AttentionStep<5, H>.score(call, first: first, keys: keys, ahead: ahead, into: scores)
        case 4: AttentionStep<4, H>.score(call, first: first, keys: keys, ahead: ahead, into: scores)
        case 3: AttentionStep<3, H>.score(call, first: first, keys: keys, ahead: ahead, into: scores)
        case 2: AttentionStep<2, H>.score(call, first: first, keys: keys, ahead: ahead, into: scores)
        default: AttentionStep<1, H>.score(call, first: first, keys: keys, ahead: ahead, into: scores)
        }
    }

    @inline(__always)
    private static func finish(
        _ call: Attention, _ group: Int, _ start: Int, _ scores: UnsafeMutablePointer<Float>,
        _ values: UnsafeRawPointer, _ ahead: Int, _ state: AttentionState
    ) {
        let rows = call.rows(ofGroup: group)
        let first = rows.lowerBound
        let seen = call.seen(group: group, start: start)
        switch rows.count {
        case 6:
            AttentionStep<6, H>.finish(
                call, first: first, start: start, seen: seen, scores: scores, values: values, ahead: ahead,
                to: state)
        case 5:
            AttentionStep<5, H>.finish(
                call, first: first, start: start, seen: seen, scores: scores, values: values, ahead: ahead,
                to: state)
        case 4:
            AttentionStep<4, H>.finish(
                call, first: first, start: start, seen: seen, scores: scores, values: values, ahead: ahead,
                to: state)
        case 3:
            AttentionStep<3, H>.finish(
                call, first: first, start: start, seen: seen, scores: scores, values: values, ahead: ahead,
                to: state)
        case 2:
            AttentionStep<2, H>.finish(
                call, first: first, start: start, seen: seen, scores: scores, values: values, ahead: ahead,
                to: state)
        default:
            AttentionStep<1, H>.finish(
                call, first: first, start: start, seen: seen, scores: scores, values: values, ahead: ahead,
                to: state)
        }
    }
}
