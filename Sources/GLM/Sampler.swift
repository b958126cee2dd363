import Core
import Kernels

/// Draws tokens from logits. The same logits, options and position draw the same token, wherever and whenever.
struct Sampler {
    /// Indices by falling logit, reused from call to call.
    private var order: [Int] = []

    /// Draws the token after position `position - 1` from `logits` [vocabulary].
    mutating func draw(
        _ logits: UnsafeBufferPointer<Float>, options: SamplingOptions, position: Int
    ) -> (drawn: TokenLogprob, top: [TokenLogprob]) {
        guard let base = logits.baseAddress else { return (TokenLogprob(token: 0, logprob: 0), []) }
        let best = argmax(base, count: logits.count)
        let token =
            options.temperature > 0
            ? sample(logits, largest: logits[best], options: options, position: position) : best
        guard let alternatives = options.logprobs else {
            return (TokenLogprob(token: TokenID(token), logprob: 0), [])
        }
        let total = logSumExp(base, count: logits.count)
        sortByLogit(logits, atLeast: alternatives, largest: logits[best])
        let top = order.prefix(alternatives).map {
            TokenLogprob(token: TokenID($0), logprob: logits[$0] - total)
        }
        return (TokenLogprob(token: TokenID(token), logprob: logits[token] - total), top)
    }

    private mutating func sample(
        _ logits: UnsafeBufferPointer<Float>, largest: Float, options: SamplingOptions, position: Int
    ) -> Int {
        let scale = 1 / options.temperature
        func weight(_ index: Int) -> Double { Double(exponential((logits[index] - largest) * scale)) }
        let uniform = Sampler.uniform(seed: options.seed, position: position)
        if options.topK <= 0 && options.topP >= 1 {
            var total = 0.0
            for index in logits.indices { total += weight(index) }
            return pick(logits.indices, uniform * total, weight)
        }
        let keep = options.topK > 0 ? min(options.topK, logits.count) : logits.count
        var total = 0.0
        if options.topK > 0 {
            sortByLogit(logits, atLeast: keep, largest: largest)
            order.removeLast(order.count - keep)
            for index in order { total += weight(index) }
        } else {
            for index in logits.indices { total += weight(index) }
        }
        if options.topP < 1 {
            let wanted = total * Double(options.topP)
            var width: Float = 8 * options.temperature
            while true {
                if options.topK <= 0 { sortByLogit(logits, within: width, of: largest) }
                var sum = 0.0
                if let cut = order.firstIndex(where: { index in
                    sum += weight(index)
                    return sum >= wanted
                }) {
                    order.removeLast(order.count - cut - 1)
                    return pick(order, uniform * sum, weight)
                }
                if options.topK > 0 || order.count == logits.count { return pick(order, uniform * sum, weight) }
                width *= 2
            }
        }
        return pick(order, uniform * total, weight)
    }

    /// The first index at which the running sum of weights passes `target`.
    private func pick(_ indices: some Collection<Int>, _ target: Double, _ weight: (Int) -> Double) -> Int {
        var sum = 0.0
        var last = 0
        for index in indices {
            let own = weight(index)
            if own > 0 { last = index }
            sum += own
            if sum > target { return index }
        }
        return last
    }

    /// Puts into `order`, best first, the indices whose logit is within `width` of the largest.
    private mutating func sortByLogit(_ logits: UnsafeBufferPointer<Float>, within width: Float, of largest: Float) {
        order.removeAll(keepingCapacity: true)
        let bound = largest - width
        for index in logits.indices where logits[index] >= bound || width == .infinity { order.append(index) }
        order.sort { logits[$0] > logits[$1] || (logits[$0] == logits[$1] && $0 < $1) }
    }

    /// The same with at least `count` indices, or all.
    private mutating func sortByLogit(
        _ logits: UnsafeBufferPointer<Float>, atLeast count: Int, largest: Float
    ) {
        var width: Float = 4
        repeat {
            sortByLogit(logits, within: width, of: largest)
            width = width > 1000 ? .infinity : width * 2
        } while order.count < min(count, logits.count)
    }

    /// A number in 0..<1 that depends on seed and position alone, so that a replay draws the same.
    ///
    /// - Source: the mixing function of SplitMix64 (Steele, Lea, Flood 2014), applied to both in turn.
    static func uniform(seed: UInt64, position: Int) -> Double {
        func mix(_ value: UInt64) -> UInt64 {
            var z = value &+ 0x9e37_79b9_7f4a_7c15
            z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
            return z ^ (z >> 31)
        }
        return Double(mix(mix(seed) ^ UInt64(bitPattern: Int64(position))) >> 11) * 0x1p-53
    }
}
