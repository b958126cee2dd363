/// The index of the greatest of `count` logits: the lowest of equals; a NaN never wins; 0 when there is nothing but NaN.
public func argmax(_ logits: UnsafePointer<Float>, count: Int) -> Int {
    // Only the first segment that holds the greatest is walked number by number.
    var top = -Float.infinity
    var first = 0
    var start = 0
    while start < count {
        let most = maximum(logits + start, count: min(logitsPerSegment, count &- start))
        if most > top {
            top = most
            first = start
        }
        start &+= logitsPerSegment
    }
    while first < count, logits[first] != top { first &+= 1 }
    return first < count ? first : 0
}

/// A sum of exponentials as (max, sum of e^(x - max)), which two shards of a vocabulary can merge.
public struct ExponentialSum: Sendable {
    /// The greatest number in it; -infinity when there is none.
    public var max: Float
    /// The sum of e^(x - max); 0 when there is nothing in it.
    public var sum: Float

    /// A sum known by its parts.
    public init(max: Float, sum: Float) {
        self.max = max
        self.sum = sum
    }

    /// The sum of nothing.
    public static let empty = ExponentialSum(max: -.infinity, sum: 0)

    /// The sum of both; `right` holds the later segments. An empty side returns the other unchanged.
    public func merged(with right: ExponentialSum) -> ExponentialSum {
        if right.sum == 0 { return self }
        if sum == 0 { return right }
        let m = max > right.max ? max : right.max
        let other = right.sum * exponential(right.max - m)
        return ExponentialSum(max: m, sum: other.addingProduct(sum, exponential(max - m)))
    }

    /// The logarithm of the sum.
    public var logSum: Float { sum == 0 ? -.infinity : max + logarithm(sum) }
}

/// Logits in a segment: the unit in which a vocabulary's sums are formed, whoever holds its rows.
public let logitsPerSegment = 1_024

/// The sum of exponentials of one segment of `count` (at most 1,024) logits: sixteen lanes, in the fixed order.
///
/// Logits of -infinity (masked ones) add nothing.
public func segmentSum(_ logits: UnsafePointer<Float>, count: Int) -> ExponentialSum {
    let top = maximum(logits, count: count)
    if top == -.infinity, logits[argmax(logits, count: count)] == top { return .empty }
    let m = SIMD8<Float>(repeating: top)
    var low = SIMD8<Float>.zero
    var high = SIMD8<Float>.zero
    var i = 0
    while i &+ 8 <= count {
        let e = exponential(lanes(logits + i) - m)
        if i & 8 == 0 { low += e } else { high += e }
        i &+= 8
    }
    if i < count {
        let e = exponential(lanes(logits + i, count: count &- i, filler: -.infinity) - m)
        if i & 8 == 0 { low += e } else { high += e }
    }
    return ExponentialSum(max: top, sum: laneSum(low, high))
}

/// The sum of e^((x - largest) scale) of `count` logits none of which is greater than `largest`, one after the other in Double.
///
/// NaN adds nothing.
public func weightSum(_ logits: UnsafePointer<Float>, count: Int, largest: Float, scale: Float) -> Double {
    var sum = 0.0
    var i = 0
    while i < count {
        let here = min(8, count &- i)
        let x = here == 8 ? lanes(logits + i) : lanes(logits + i, count: here, filler: -.infinity)
        let weights = exponential((x - SIMD8<Float>(repeating: largest)) * SIMD8<Float>(repeating: scale))
        for lane in 0..<here where weights[lane] > 0 { sum += Double(weights[lane]) }
        i &+= 8
    }
    return sum
}

/// The sum of consecutive segments, merged in the balanced binary tree over the next power of two of `segmentCount`.
///
/// `segment` gives each segment's sum, in order from 0.
public func treeSum(segmentCount: Int, _ segment: (Int) -> ExponentialSum) -> ExponentialSum {
    func sum(_ first: Int, _ size: Int) -> ExponentialSum {
        if first >= segmentCount { return .empty }
        if size == 1 { return segment(first) }
        let left = sum(first, size / 2)
        return left.merged(with: sum(first + size / 2, size / 2))
    }
    var size = 1
    while size < segmentCount { size *= 2 }
    return sum(0, size)
}

/// log(sum of e^logit) over `count` logits, in segments of 1,024 and their tree.
public func logSumExp(_ logits: UnsafePointer<Float>, count: Int) -> Float {
    treeSum(segmentCount: (count + logitsPerSegment - 1) / logitsPerSegment) { segment in
        let first = segment * logitsPerSegment
        return segmentSum(logits + first, count: min(logitsPerSegment, count - first))
    }.logSum
}

/// The greatest of `count` numbers, passing over NaN; -infinity when there is none.
private func maximum(_ x: UnsafePointer<Float>, count: Int) -> Float {
    var top = SIMD8<Float>(repeating: -.infinity)
    var i = 0
    while i &+ 8 <= count {
        top = greater(lanes(x + i), top)
        i &+= 8
    }
    var most = greatest(top)
    while i < count {
        if x[i] > most { most = x[i] }
        i &+= 1
    }
    return most
}
