import Core
import Kernels
import Testing

@Suite struct AttentionTests {
    /// Whether kernel and twin have the same bits for these rows.
    private func agree(
        _ queries: [[Float]], _ visible: [Int], _ pages: Pages, slots: Range<Int> = 0..<64
    ) -> Bool {
        let found = kernelStates(queries, visible: visible, pages, slots: slots)
        return zip(found, zip(queries, visible)).allSatisfy { state, row in
            state?.bits == Partial.attend(row.0, visible: row.1, pages, slots: slots)?.bits
        }
    }

    @Test("attention has the twin's bits for every context of 1 to 300 tokens")
    func shortContexts() {
        var draws = Draws(1)
        let pages = Pages(tokens: 300, headDim: 8, draws: &draws)
        for last in 0..<300 { #expect(agree([draws.floats(8)], [last], pages), "\(last + 1) tokens") }
    }

    @Test("attention has the twin's bits for 1 to 17 rows", arguments: 1...17)
    func rowCounts(rowCount: Int) {
        var draws = Draws(UInt64(rowCount))
        let pages = Pages(tokens: 200, headDim: 24, draws: &draws)
        let queries = (0..<rowCount).map { _ in draws.floats(24, scale: 2) }
        #expect(agree(queries, (0..<rowCount).map { 130 + $0 }, pages))
        #expect(agree(queries, (0..<rowCount).map { _ in draws.below(201) - 1 }, pages))
    }

    @Test("pages of f32 are read as they are", arguments: [1, 8, 40])
    func wholeFloats(rowCount: Int) {
        var draws = Draws(UInt64(rowCount))
        let pages = Pages(tokens: 210, headDim: 16, type: .f32, draws: &draws)
        #expect(pages.key(3, 5) != Float(Float16(pages.key(3, 5))))
        let queries = (0..<rowCount).map { _ in draws.floats(16, scale: 2) }
        #expect(agree(queries, (0..<rowCount).map { 209 - 5 * $0 }, pages))
    }

    @Test(
        "attention has the twin's bits for the heads of the family", arguments: [8, 16, 32, 40, 64, 80, 128, 256],
        KVType.allCases)
    func headDims(headDim: Int, type: KVType) {
        var draws = Draws(UInt64(headDim))
        let pages = Pages(tokens: 150, headDim: headDim, type: type, draws: &draws)
        let queries = (0..<7).map { _ in draws.floats(headDim, scale: 2) }
        #expect(agree(queries, [149, 0, 63, 64, 127, 128, -1], pages))
    }

    @Test(
        "attention has the twin's bits over pages of blocks, for any number of rows", arguments: [KVType.q8, .q4],
        [16, 64, 80, 128])
    func blocks(type: KVType, headDim: Int) {
        var draws = Draws(UInt64(headDim))
        let pages = Pages(tokens: 333, headDim: headDim, type: type, draws: &draws)
        for rowCount in [1, 6, 16, 25, 49, 128] {
            let queries = (0..<rowCount).map { _ in draws.floats(headDim, scale: 3) }
            #expect(agree(queries, (0..<rowCount).map { 332 - 2 * $0 }, pages), "\(rowCount) rows")
        }
    }

    @Test("a query of int8 blocks costs less than the keys' own rounding", arguments: [KVType.q8, .q4])
    func roundedQueries(type: KVType) {
        var draws = Draws(11)
        let headDim = 128
        let pages = Pages(tokens: 64, headDim: headDim, type: type, draws: &draws, filled: false)
        let keys = (0..<64).map { _ in draws.floats(headDim, scale: 3) }
        for (token, key) in keys.enumerated() { pages.store(key: key, value: key, at: token) }
        var (byKeys, byQueries) = (0.0, 0.0)
        for _ in 0..<50 {
            let query = draws.floats(headDim, scale: 3)
            for token in 0..<64 {
                // Of one key alone the state's maximum is its score.
                let alone = Pages(tokens: 1, headDim: headDim, type: type, draws: &draws, filled: false)
                alone.store(key: keys[token], value: keys[token], at: 0)
                let found =
                    Double(kernelStates([query], visible: [0], alone)[0]?.m ?? .nan) * Double(headDim).squareRoot()
                let stored = zip(query, 0..<headDim).reduce(0.0) { $0 + Double($1.0) * Double(pages.key(token, $1.1)) }
                let exact = zip(query, keys[token]).reduce(0.0) { $0 + Double($1.0) * Double($1.1) }
                byQueries += (found - stored) * (found - stored)
                byKeys += (stored - exact) * (stored - exact)
            }
        }
        #expect(byQueries < byKeys * 1.1, "\(byQueries) \(byKeys)")
    }

    @Test("attention has the twin's bits beyond one round of the slots", arguments: [4_096 + 70, 2 * 4_096 + 130])
    func longContexts(tokens: Int) {
        var draws = Draws(UInt64(tokens))
        let pages = Pages(tokens: tokens, headDim: 16, draws: &draws)
        let queries = (0..<3).map { _ in draws.floats(16, scale: 4) }
        #expect(agree(queries, [tokens - 1, tokens - 66, 4_095], pages))
    }

    @Test(
        "runs of slots merge to the same bits however they are cut", arguments: [70, 1_000, 4_096 + 70],
        KVType.allCases)
    func slotRuns(tokens: Int, type: KVType) {
        var draws = Draws(UInt64(tokens))
        let pages = Pages(tokens: tokens, headDim: 16, type: type, draws: &draws)
        let queries = (0..<5).map { _ in draws.floats(16, scale: 4) }
        let visible = [tokens - 1, tokens - 2, 3, tokens / 2, 64]
        let whole = kernelStates(queries, visible: visible, pages).map { $0?.bits }
        for parts in [2, 4, 8, 64] {
            #expect(kernelStates(queries, visible: visible, pages, parts: parts).map { $0?.bits } == whole)
        }
        for first in stride(from: 0, to: 64, by: 8) {
            #expect(agree(queries, visible, pages, slots: first..<first + 8))
        }
    }

    /// 0x7FFF is a NaN in every type that can hold one, also where scales lie.
    @Test(
        "a row's bits depend on no other row, on no order of rows and not on what lies in unseen keys",
        arguments: KVType.allCases, [0xC123, 0x7FFF])
    func rowsAlone(type: KVType, rubbish: UInt16) {
        var draws = Draws(3)
        var same = Draws(4)
        let pages = Pages(tokens: 333, headDim: 32, type: type, draws: &same)
        same = Draws(4)
        let others = Pages(tokens: 333, headDim: 32, type: type, draws: &same, rubbish: rubbish)
        let queries = (0..<40).map { _ in draws.floats(32, scale: 3) }
        let visible = (0..<40).map { 333 - 1 - 8 * $0 }
        let together = kernelStates(queries, visible: visible, pages).map { $0?.bits }
        let elsewhere = kernelStates(queries, visible: visible, others).map { $0?.bits }
        let backwards = kernelStates(queries.reversed(), visible: visible.reversed(), pages).map { $0?.bits }
        let alone = zip(queries, visible).map { kernelStates([$0], visible: [$1], pages)[0]?.bits }
        #expect(together == elsewhere)
        #expect(together == backwards.reversed())
        #expect(together == alone)
    }

    @Test("attention has the twin's bits on a thread that flushes denormals", arguments: KVType.allCases)
    func denormals(type: KVType) {
        var draws = Draws(6)
        let pages = Pages(tokens: 300, headDim: 16, type: type, draws: &draws, filled: false)
        for token in 0..<300 {
            pages.store(key: draws.floats(16, scale: 60), value: draws.floats(16, scale: 1e-4), at: token)
        }
        let queries = (0..<30).map { _ in draws.floats(16, scale: 4) }
        let visible = (0..<30).map { 299 - $0 }
        #expect(flushing { agree(queries, visible, pages) })
        let together = flushing { kernelStates(queries, visible: visible, pages).map { $0?.bits } }
        let alone = flushing { zip(queries, visible).map { kernelStates([$0], visible: [$1], pages)[0]?.bits } }
        #expect(together == alone)
    }

    @Test("a negative sum that a far greater score wipes out leaves +0, however many keys are unseen")
    func negativeZeros() {
        var draws = Draws(9)
        let headDim = 8
        let pages = Pages(tokens: 65 * 64, headDim: headDim, draws: &draws, filled: false)
        let ones = [Float](repeating: 1, count: headDim)
        for token in 0..<64 {
            pages.store(key: ones, value: ones.map { -$0 }, at: token)
            // Slot 0 goes on here: e^-280 is 0, and -1 * 0 + 1 * -0 is -0.
            pages.store(key: ones.map { 100 * $0 }, value: ones.map { -0.0 * $0 }, at: 64 * 64 + token)
        }
        for unseen in [0, 10, 63] {
            for rowCount in [1, 7, 30] {
                let states = kernelStates(
                    Array(repeating: ones, count: rowCount),
                    visible: (0..<rowCount).map { 65 * 64 - 1 - max(0, unseen - $0) }, pages, slots: 0..<1)
                #expect(states.allSatisfy { state in state?.o.allSatisfy { $0.bitPattern == 0 } == true })
            }
        }
    }

    @Test("the result is softmax attention")
    func accuracy() {
        var draws = Draws(5)
        let headDim = 64
        let tokens = 700
        let pages = Pages(tokens: tokens, headDim: headDim, draws: &draws)
        let queries = (0..<3).map { _ in draws.floats(headDim, scale: 3) }
        for (query, state) in zip(queries, kernelStates(queries, visible: [699, 400, 0], pages)) {
            let visible = query == queries[0] ? 699 : query == queries[1] ? 400 : 0
            var scores: [Double] = []
            for token in 0...visible {
                var s = 0.0
                for d in 0..<headDim { s += Double(query[d]) * Double(pages.key(token, d)) }
                scores.append(s / Double(headDim).squareRoot())
            }
            let top = scores.max() ?? 0
            let weights = scores.map { power($0 - top) }
            let l = weights.reduce(0, +)
            guard let state else {
                Issue.record("a row that sees keys is empty")
                return
            }
            for d in 0..<headDim {
                var o = 0.0
                for token in 0...visible { o += weights[token] * Double(pages.value(token, d)) }
                #expect(abs(o / l - Double(state.o[d] / state.l)) < 2e-6)
            }
        }
    }

    @Test("the finished rows are o / l, and zeros where nothing was seen")
    func finish() {
        let headDim = 16
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: attentionStateBytes(rowCount: 3, headDim: headDim), alignment: 4)
        defer { memory.deallocate() }
        let state = AttentionState(memory, rowCount: 3, headDim: headDim)
        state.clear()
        for row in [0, 2] {
            state.l[row] = Float(row + 3)
            for d in 0..<headDim { state.o[row * headDim + d] = Float(d - 7) }
        }
        let out = UnsafeMutablePointer<Float>.allocate(capacity: 3 * headDim)
        defer { out.deallocate() }
        finishAttention(state, outputs: [out, out + headDim, out + 2 * headDim])
        for d in 0..<headDim {
            #expect(out[d] == Float(d - 7) / 3)
            #expect(out[headDim + d] == 0)
            #expect(out[2 * headDim + d] == Float(d - 7) / 5)
        }
        #expect(state.rows(2..<3).l[0] == 5)
        #expect(state.rows(2..<3).o[8] == 1)
    }
}
