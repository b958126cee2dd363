import Core
import Kernels

/// A token that may be drawn.
struct Draft {
    var token: TokenID
    /// As it is drawn from.
    var logit: Float
    /// As the model gave it.
    var raw: Float

    var candidate: Candidate { Candidate(token: token, logit: logit) }
}

/// The tokens that may be drawn, as the ranks told them: the best of each, brought in order. One is used for row after row, so that its lists
/// are allocated once.
struct Shortlist {
    /// One by the temperature.
    var scale: Float = 1
    private var drafts: [Draft] = []
    private var merged: [Draft] = []
    /// Where each rank's end.
    private var ends: [Int] = []
    /// The first of those behind which a rank has more that it did not tell.
    private var frontier: Candidate?
    /// How many are the best of all, whatever was not told.
    private var certain = 0
    /// Of the first ones, e^((logit - largest) scale); so many as were needed so far.
    private var weights: [Float] = []

    /// The best one; nil when nothing may be drawn.
    var first: Draft? { drafts.first }
    /// The greatest logit.
    var largest: Float { drafts.first?.logit ?? -.infinity }

    /// e^((logit - largest) scale).
    func weight(_ logit: Float) -> Double { Double(exponential((logit - largest) * scale)) }

    // MARK: Filling it

    /// Forgets all drafts.
    mutating func clear() {
        drafts.removeAll(keepingCapacity: true)
        weights.removeAll(keepingCapacity: true)
        ends.removeAll(keepingCapacity: true)
        frontier = nil
    }

    /// Adds the next best of a rank; nobody when its token is less than 0.
    mutating func add(_ draft: Draft) {
        if draft.token >= 0 { drafts.append(draft) }
    }

    /// A rank has told `told` drafts, nobodies among them, of `all`.
    mutating func endRank(told: Int, of all: Int) {
        let isCut = drafts.count == (ends.last ?? 0) + told && told < all
        ends.append(drafts.count)
        // Nobody knows what stands behind its last one.
        guard isCut, told > 0, let last = drafts.last?.candidate else { return }
        frontier = frontier.map { Candidate.isBefore($0, last) ? $0 : last } ?? last
    }

    /// Brings what all ranks told in order: each rank's are.
    mutating func order() {
        while ends.count > 1 {
            merged.removeAll(keepingCapacity: true)
            var start = 0
            for first in stride(from: 0, to: ends.count, by: 2) {
                let middle = ends[first]
                let end = first + 1 < ends.count ? ends[first + 1] : middle
                merge(start..<middle, middle..<end)
                ends[first / 2] = end
                start = end
            }
            ends.removeLast(ends.count / 2)
            swap(&drafts, &merged)
        }
        certain = drafts.count
        if let frontier {
            certain = drafts.firstIndex { Candidate.isBefore(frontier, $0.candidate) } ?? certain
        }
    }

    private mutating func merge(_ left: Range<Int>, _ right: Range<Int>) {
        var (a, b) = (left.lowerBound, right.lowerBound)
        while a < left.upperBound || b < right.upperBound {
            let isLeft =
                b == right.upperBound
                || a < left.upperBound && Candidate.isBefore(drafts[a].candidate, drafts[b].candidate)
            merged.append(drafts[isLeft ? a : b])
            if isLeft { a += 1 } else { b += 1 }
        }
    }

    // MARK: Drawing from it

    /// How many may be drawn, the best first; nil when those that are certain do not reach far enough.
    ///
    /// - Parameter total: The weight of all tokens, where it is known: top-p is of that, else of what top-k and min-p keep.
    mutating func kept(_ options: SamplingOptions, total: Double?) -> Int? {
        let lowest = options.minP > 0 ? logarithm(options.minP) : -.infinity
        let most = options.topK > 0 ? options.topK : .max
        let wanted = total.map { $0 * Double(options.topP) }
        var end = 0
        var sum = 0.0
        var isEnd = false
        while end < certain, !isEnd {
            guard end < most, (drafts[end].logit - largest) * scale >= lowest else {
                isEnd = true
                break
            }
            if end == weights.count { weighMore() }
            sum += Double(weights[end])
            end += 1
            if let wanted, sum >= wanted { isEnd = true }
        }
        guard isEnd || end >= most || frontier == nil else { return nil }
        guard options.topP < 1, wanted == nil else { return end }
        // The fewest of those kept so far.
        let enough = sum * Double(options.topP)
        sum = 0
        for index in 0..<end {
            sum += Double(weights[index])
            if sum >= enough { return index + 1 }
        }
        return end
    }

    /// How many more than those that are certain it takes at least to reach a weight of `wanted`, as none of the others weighs more than the
    /// last one; 0 when nothing is wanted.
    func leastMissing(of wanted: Double?) -> Int {
        let known = weights.prefix(certain)
        guard let wanted, let last = known.last, last > 0 else { return 0 }
        let sum = known.reduce(0.0) { $0 + Double($1) }
        return Int(max(0, min((wanted - sum) / Double(last), 1e9)))
    }

    /// The one of the first `count`, which `kept` gave, at which the running sum of weights passes `share` of their sum.
    func pick(first count: Int, _ share: Double) -> Draft? {
        let likely = weights[..<count].lazy.map(Double.init)
        return Self.place(of: share * likely.reduce(0, +), in: likely).map { drafts[$0] }
    }

    /// The first place at which the running sum of weights passes `target`, or the last that weighs anything.
    static func place(of target: Double, in weights: some Sequence<Double>) -> Int? {
        var sum = 0.0
        var last: Int?
        for (place, own) in weights.enumerated() where own > 0 {
            last = place
            sum += own
            if sum > target { return place }
        }
        return last
    }

    /// Weighs the next drafts, eight at once.
    private mutating func weighMore() {
        let next = drafts[weights.count..<min(weights.count + 8, drafts.count)]
        var logits = SIMD8<Float>(repeating: largest)
        for (lane, draft) in next.enumerated() { logits[lane] = draft.logit }
        let found = exponentials((logits - SIMD8(repeating: largest)) * SIMD8(repeating: scale))
        for lane in 0..<next.count { weights.append(found[lane]) }
    }
}
