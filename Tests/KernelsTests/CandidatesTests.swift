import Glibc
import Kernels
import Testing

@Suite struct CandidatesTests {
    @Test("the greatest logit is found, the lowest of equals, and NaN never wins")
    func greatest() {
        var draws = Draws(31)
        for count in [1, 2, 7, 8, 9, 63, 200, 1_024, 1_025, 5_000] {
            var logits = draws.floats(count)
            let first = draws.below(count)
            let second = draws.below(count)
            logits[first] = 3
            logits[second] = 3
            #expect(argmax(logits, count: count) == min(first, second))
        }
        #expect(argmax([.nan, 1, .nan, 2, .nan, 2, .nan, .nan, .nan, 0], count: 10) == 3)
        #expect(argmax([.nan, -.infinity], count: 2) == 1)
        #expect(argmax([.nan, .nan], count: 2) == 0)
        #expect(argmax([-.infinity, -.infinity, -3], count: 3) == 2)
    }

    @Test("log-sum-exp has its twin's bits and the right value", arguments: [1, 5, 16, 1_000, 1_024, 1_025, 5_300])
    func logSumExps(count: Int) {
        var draws = Draws(UInt64(count))
        let logits = draws.floats(count, scale: 12)
        func segment(_ first: Int) -> (Float, Float) {
            let part = logits[first..<min(first + 1_024, count)]
            let top = part.max() ?? 0
            return (top, sum16(part.map { exponential($0 - top) }))
        }
        func tree(_ parts: [(Float, Float)], _ size: Int) -> (Float, Float)? {
            if size == 1 { return parts.first }
            let left = tree(Array(parts.prefix(size / 2)), size / 2)
            let right = tree(Array(parts.dropFirst(size / 2)), size / 2)
            guard let left else { return right }
            guard let right else { return left }
            let m = max(left.0, right.0)
            return (m, (right.1 * exponential(right.0 - m)).addingProduct(left.1, exponential(left.0 - m)))
        }
        guard let whole = tree(stride(from: 0, to: count, by: 1_024).map(segment), 8) else {
            Issue.record("no segments")
            return
        }
        let found = logSumExp(logits, count: count)
        #expect(found == whole.0 + logarithm(whole.1))
        let exact = log(logits.reduce(0.0) { $0 + exp(Double($1)) })
        #expect(abs(Double(found) - exact) < 4e-6)
    }

    @Test("masked logits add nothing, whole segments of them neither")
    func masked() {
        var logits = [Float](repeating: -.infinity, count: 3_000)
        #expect(logSumExp(logits, count: 3_000) == -.infinity)
        logits[2_500] = 4
        #expect(logSumExp(logits, count: 3_000) == 4)
        logits[1] = .nan
        #expect(logSumExp([1, .nan], count: 2).isNaN)
    }
}
