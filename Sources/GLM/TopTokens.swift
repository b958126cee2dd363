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

/// best <- the `count` greatest of `logits`, best first, or all there are; the first one is token `first`. NaN and -infinity are nobody.
func topTokens(_ logits: UnsafeBufferPointer<Float>, first: Int, count: Int, into best: inout [Candidate]) {
    best.removeAll(keepingCapacity: true)
    guard count > 0 else { return }
    if count > mostInserted {
        for (index, logit) in logits.enumerated() where logit > -.infinity {
            best.append(Candidate(token: TokenID(first + index), logit: logit))
        }
        best.sort(by: Candidate.isBefore)
        best.removeLast(max(0, best.count - count))
        return
    }
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
}

/// So many are put in their place one by one; more are sorted.
private let mostInserted = 512
