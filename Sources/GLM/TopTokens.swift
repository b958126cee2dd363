import Core

/// A token and its logit.
struct Candidate: Hashable {
    var token: TokenID
    var logit: Float

    /// Falling logits; the lower id of equals first.
    static func isBefore(_ a: Candidate, _ b: Candidate) -> Bool {
        a.logit > b.logit || (a.logit == b.logit && a.token < b.token)
    }
}

/// The `count` greatest of `logits`, best first, or all there are; the first one is token `first`. NaN and -infinity are nobody.
func topTokens(_ logits: UnsafeBufferPointer<Float>, first: Int, count: Int) -> [Candidate] {
    guard count > 0 else { return [] }
    if count > mostInserted {
        var all = logits.indices.compactMap { index in
            logits[index] > -.infinity ? Candidate(token: TokenID(first + index), logit: logits[index]) : nil
        }
        all.sort(by: Candidate.isBefore)
        return Array(all.prefix(count))
    }
    var best: [Candidate] = []
    best.reserveCapacity(count + 1)
    var bound = -Float.infinity
    for (index, logit) in logits.enumerated() where logit > bound {
        // An equal one that comes later is worse, so only greater ones are put in, behind their equals.
        var place = best.count
        while place > 0, best[place - 1].logit < logit { place -= 1 }
        best.insert(Candidate(token: TokenID(first + index), logit: logit), at: place)
        if best.count > count { best.removeLast() }
        if best.count == count { bound = best[count - 1].logit }
    }
    return best
}

/// So many are put in their place one by one; more are sorted.
private let mostInserted = 512
