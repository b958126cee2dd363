import Core
import Kernels

/// A token and its logit.
struct Candidate: Hashable {
    var token: TokenID
    var logit: Float

    /// Falling logits; the lower id of equals first.
    static func isBefore(_ a: Candidate, _ b: Candidate) -> Bool {
        a.logit > b.logit || (a.logit == b.logit && a.token < b.token)
    }
}

/// The greatest of many logits, best first. One is used for row after row, so that its lists are allocated once.
struct TopTokens {
    /// What was found last.
    private(set) var found: [Candidate] = []
    /// A logit's rank in its upper half (the greatest logit has the lowest), its index in the lower one.
    private var keys: [UInt64] = []
    private var spare: [UInt64] = []
    private var starts: [Int] = []

    /// Finds the `count` greatest of `logits`, or all there are; the first one is token `first`. NaN and -infinity are nobody.
    mutating func find(_ logits: UnsafeBufferPointer<Float>, first: Int, count: Int) {
        found.removeAll(keepingCapacity: true)
        guard count > 0, let base = logits.baseAddress else { return }
        if count == 1 {
            let index = argmax(base, count: logits.count)
            guard !logits.isEmpty, logits[index] > -.infinity else { return }
            found.append(Candidate(token: TokenID(first + index), logit: logits[index]))
        } else if count > Self.mostInserted {
            sort(logits, first: first, count: count)
        } else {
            insert(logits, first: first, count: count)
        }
    }

    /// So many are put in their place one by one; more are sorted.
    private static let mostInserted = 64

    private mutating func insert(_ logits: UnsafeBufferPointer<Float>, first: Int, count: Int) {
        found.reserveCapacity(count + 1)
        var bound = -Float.infinity
        for (index, logit) in logits.enumerated() where logit > bound {
            // An equal one that comes later is worse, so only greater ones are put in, behind their equals.
            var place = found.count
            while place > 0, found[place - 1].logit < logit { place -= 1 }
            found.insert(Candidate(token: TokenID(first + index), logit: logit), at: place)
            if found.count > count { found.removeLast() }
            if found.count == count { bound = found[count - 1].logit }
        }
    }

    /// Sorts by radix those that can be among the first `count`: a vocabulary takes a millisecond so, and twenty by comparison.
    private mutating func sort(_ logits: UnsafeBufferPointer<Float>, first: Int, count: Int) {
        let last = lastDigit(logits, count: count)
        keys.removeAll(keepingCapacity: true)
        for (index, logit) in logits.enumerated() where logit > -.infinity {
            let rank = Self.rank(logit)
            if Self.digit(rank, 2) <= last { keys.append(UInt64(rank) << 32 | UInt64(index)) }
        }
        spare.removeAll(keepingCapacity: true)
        spare.append(contentsOf: repeatElement(0, count: keys.count))
        // Equals keep their order, the lower id first.
        for place in 0..<3 {
            countDigits(place)
            spare.withUnsafeMutableBufferPointer { spare in
                for key in keys {
                    let digit = Self.digit(UInt32(truncatingIfNeeded: key >> 32), place)
                    spare[starts[digit]] = key
                    starts[digit] += 1
                }
            }
            swap(&keys, &spare)
        }
        found.reserveCapacity(min(count, keys.count))
        for key in keys.prefix(count) {
            let index = Int(truncatingIfNeeded: key & 0xffff_ffff)
            found.append(Candidate(token: TokenID(first + index), logit: logits[index]))
        }
    }

    /// Greater logits have lower ranks; both zeros have the same.
    private static func rank(_ logit: Float) -> UInt32 {
        let bits = (logit + 0).bitPattern
        return bits >> 31 == 0 ? ~(bits | 1 << 31) : bits
    }

    /// Eleven bits of a rank, or the ten uppermost.
    private static func digit(_ rank: UInt32, _ place: Int) -> Int { Int(rank >> UInt32(11 * place)) & 2047 }

    /// The uppermost digit at which the first `count` logits end.
    private mutating func lastDigit(_ logits: UnsafeBufferPointer<Float>, count: Int) -> Int {
        clearDigits()
        for logit in logits where logit > -.infinity { starts[Self.digit(Self.rank(logit), 2)] += 1 }
        var sum = 0
        return starts.firstIndex {
            sum += $0
            return sum >= count
        } ?? .max
    }

    /// Where in order the keys with each digit begin.
    private mutating func countDigits(_ place: Int) {
        clearDigits()
        for key in keys { starts[Self.digit(UInt32(truncatingIfNeeded: key >> 32), place)] += 1 }
        var sum = 0
        for digit in starts.indices {
            sum += starts[digit]
            starts[digit] = sum - starts[digit]
        }
    }

    private mutating func clearDigits() {
        starts.removeAll(keepingCapacity: true)
        starts.append(contentsOf: repeatElement(0, count: 2048))
    }
}
