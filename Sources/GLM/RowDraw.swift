import Core
import Kernels

/// What is asked of one row of logits.
enum RowQuestion {
    /// Draws the token at a position.
    case draw(Drawing, position: Int, past: PastTokens?)
    /// How likely a token was, and so many of the most likely ones.
    case score(TokenID, alternatives: Int)

    /// Asks for nothing.
    static let nothing = RowQuestion.score(0, alternatives: 0)

    /// How many of the most likely tokens are reported, nil where no log-probabilities are.
    var alternatives: Int? {
        switch self {
        case .draw(let drawing, _, _): drawing.options.logprobs
        case .score(_, let alternatives): alternatives
        }
    }
}

/// One row of logits of which every rank holds a part, on its way to an answer.
///
/// All ranks tell one another the same kind of thing about the row, round after round, and all conclude the same from it. What a
/// round tells is candidates (a rank's best tokens) or sums of the vocabulary's tree; never the logits themselves. The answer is
/// the one that all logits in one place would give, bit for bit: where the candidates do not reach far enough, more are asked for.
///
/// One is used for row after row, so that its lists are allocated once.
final class RowDraw {
    private enum Need {
        case first
        case candidates
        case sums
        /// The rank whose segments these are goes on alone, down to the token at which their running sum passes the target.
        case token(of: Int, segments: Range<Int>, target: Double)
        case nothing
    }

    private let tree: VocabularyTree
    private let rank: Int
    private var drawable = 0
    private var question = RowQuestion.nothing
    /// The rank's own logits as the model gave them.
    private var raw = UnsafeBufferPointer<Float>(start: nil, count: 0)
    /// The same as they are drawn from, up to the last token that may be drawn; empty when those are the model's.
    private var changed: [Float] = []
    private var need = Need.nothing
    /// Candidates of each rank in the next round that has any.
    private var count = 0
    private var candidates = Shortlist()
    private var sums: WeightTree
    private var knowsSums = false
    private var logSum: Float = 0
    private var top: [Candidate] = []
    private var target: Float = 0
    private(set) var answer: ScoredToken?
    // What this rank tells, on its way to the writer.
    private var best = TopTokens()
    private var alternatives = TopTokens()
    private var logSums: [ExponentialSum] = []
    private var ownSums: WeightTree
    private var picked = Draft(token: 0, logit: 0, raw: 0)

    /// The part of rank `rank` in a row; nothing is asked yet.
    init(rank: Int, tree: VocabularyTree) {
        self.rank = rank
        self.tree = tree
        sums = WeightTree(size: tree.size)
        ownSums = sums
    }

    /// A question about a row whose part of this rank is `logits`; tokens from `drawable` on are never drawn.
    func ask(_ question: RowQuestion, logits: UnsafeBufferPointer<Float>, drawable: Int) {
        self.question = question
        self.drawable = drawable
        raw = logits
        changed.removeAll(keepingCapacity: true)
        need = .first
        knowsSums = false
        top.removeAll(keepingCapacity: true)
        answer = nil
        guard case .draw(let drawing, let position, let past) = question else {
            count = 0
            return
        }
        let options = drawing.options
        count = 1
        candidates.scale = 1 / options.temperature
        if options.temperature > 0 {
            if options.topK > 0 {
                count = min(options.topK, Self.mostFirst)
            } else if options.topP < 1 || options.minP > 0 {
                count = Self.usualFirst
            }
        }
        // The asker adds to the past for the next row; held here, it would be copied each time.
        self.question = .draw(drawing, position: position, past: nil)
        guard drawing.changesLogits(at: position) else { return }
        changed += logits.prefix(drawableCount(rank))
        let first = tree.shards[rank].lowerBound
        changed.withUnsafeMutableBufferPointer { drawing.change($0, first: first, past: past, position: position) }
    }

    /// Forgets the question, and with it what the asker wants to change next.
    func forget() { question = .nothing }

    /// Candidates of each rank when it is not known how many it takes, and at most when it is.
    private static let usualFirst = 64
    private static let mostFirst = 256
    /// Candidates of each rank, at most, before all are told.
    private static let mostCandidates = 4096

    private func drawableCount(_ rank: Int) -> Int {
        max(0, min(tree.shards[rank].upperBound, drawable) - tree.shards[rank].lowerBound)
    }

    /// The rank's logits as they are drawn from.
    private func withLogits<Result>(_ body: (UnsafeBufferPointer<Float>) -> Result) -> Result {
        changed.isEmpty
            ? body(UnsafeBufferPointer(rebasing: raw.prefix(drawableCount(rank))))
            : changed.withUnsafeBufferPointer(body)
    }

    // MARK: A round

    /// Words that a rank tells in this round.
    func wordCount(of rank: Int) -> Int {
        switch need {
        case .nothing: return 0
        case .candidates: return min(count, drawableCount(rank)) * 3
        case .sums: return tree.roots[rank].count * 2
        case .token(let owner, _, _): return rank == owner ? 3 : 0
        case .first:
            let drafts = min(count, drawableCount(rank)) * 3
            guard let alternatives = question.alternatives else { return drafts }
            return drafts + min(alternatives, drawableCount(rank)) * 2 + tree.roots[rank].count * 2
                + (holdsTarget(rank) ? 1 : 0)
        }
    }

    private func holdsTarget(_ rank: Int) -> Bool {
        if case .score(let token, _) = question { tree.shards[rank].contains(Int(token)) } else { false }
    }

    /// Finds what this rank tells in this round: most of the work, and rows may do theirs side by side.
    func prepare() {
        let first = tree.shards[rank].lowerBound
        switch need {
        case .nothing: break
        case .candidates: withLogits { best.find($0, first: first, count: count) }
        case .sums:
            ownSums.clear()
            for root in tree.roots[rank] { weigh(root) }
        case .token(let owner, let segments, let target):
            if owner == rank { picked = pick(segments, target) }
        case .first:
            withLogits { best.find($0, first: first, count: count) }
            guard let wanted = question.alternatives else { return }
            alternatives.find(
                UnsafeBufferPointer(rebasing: raw.prefix(drawableCount(rank))), first: first, count: wanted)
            logSums.removeAll(keepingCapacity: true)
            for root in tree.roots[rank] { logSums.append(logSum(of: root)) }
        }
    }

    /// Tells what was prepared.
    func write(to writer: inout WordWriter) {
        switch need {
        case .nothing: break
        case .candidates: writeCandidates(to: &writer)
        case .sums:
            for root in tree.roots[rank] { writer.put(ownSums.sum(root)) }
        case .token(let owner, _, _):
            if owner == rank { write(picked, to: &writer) }
        case .first:
            writeCandidates(to: &writer)
            guard let wanted = question.alternatives else { return }
            for index in 0..<min(wanted, drawableCount(rank)) {
                let entry =
                    index < alternatives.found.count ? alternatives.found[index] : Candidate(token: -1, logit: 0)
                writer.put(entry.token)
                writer.put(entry.logit)
            }
            for sum in logSums {
                writer.put(sum.max)
                writer.put(sum.sum)
            }
            if case .score(let token, _) = question, holdsTarget(rank) {
                writer.put(raw[Int(token) - tree.shards[rank].lowerBound])
            }
        }
    }

    /// Hears all ranks' parts and concludes what is needed next.
    func read(from readers: inout [WordReader]) {
        switch need {
        case .nothing: return
        case .candidates: readCandidates(from: &readers)
        case .sums:
            sums.clear()
            for rank in readers.indices {
                for root in tree.roots[rank] { sums[root] = readers[rank].double() }
            }
            knowsSums = true
        case .token(let owner, _, _):
            return finish(readDraft(from: &readers[owner]))
        case .first: readFirst(from: &readers)
        }
        conclude()
    }

    private func readFirst(from readers: inout [WordReader]) {
        readCandidates(from: &readers)
        guard let alternatives = question.alternatives else { return }
        var roots: [Range<Int>: ExponentialSum] = [:]
        for rank in readers.indices {
            for _ in 0..<min(alternatives, drawableCount(rank)) {
                let entry = Candidate(token: readers[rank].token(), logit: readers[rank].float())
                if entry.token >= 0 { top.append(entry) }
            }
            for root in tree.roots[rank] {
                roots[root] = ExponentialSum(max: readers[rank].float(), sum: readers[rank].float())
            }
            if holdsTarget(rank) { target = readers[rank].float() }
        }
        top.sort(by: Candidate.isBefore)
        top.removeLast(max(0, top.count - alternatives))
        let all = VocabularyTree.sum(0..<tree.size, merge: { $0.merged(with: $1) }) { roots[$0] }
        logSum = (all ?? .empty).logSum
    }

    // MARK: Candidates

    private func writeCandidates(to writer: inout WordWriter) {
        let first = tree.shards[rank].lowerBound
        for index in 0..<min(count, drawableCount(rank)) {
            guard index < best.found.count else {
                write(Draft(token: -1, logit: 0, raw: 0), to: &writer)
                continue
            }
            let entry = best.found[index]
            write(Draft(token: entry.token, logit: entry.logit, raw: raw[Int(entry.token) - first]), to: &writer)
        }
    }

    private func write(_ draft: Draft, to writer: inout WordWriter) {
        writer.put(draft.token)
        writer.put(draft.logit)
        writer.put(draft.raw)
    }

    private func readDraft(from reader: inout WordReader) -> Draft {
        Draft(token: reader.token(), logit: reader.float(), raw: reader.float())
    }

    private func readCandidates(from readers: inout [WordReader]) {
        candidates.clear()
        for rank in readers.indices {
            let told = min(count, drawableCount(rank))
            for _ in 0..<told { candidates.add(readDraft(from: &readers[rank])) }
            candidates.endRank(told: told, of: drawableCount(rank))
        }
        candidates.order()
    }

    // MARK: Sums

    private func logSum(of root: Range<Int>) -> ExponentialSum {
        let first = tree.shards[rank].lowerBound
        guard let base = raw.baseAddress else { return .empty }
        return VocabularyTree.sum(root, merge: { $0.merged(with: $1) }) { node in
            guard node.count == 1 else { return nil }
            let start = node.lowerBound * logitsPerSegment - first
            return segmentSum(base + start, count: min(logitsPerSegment, raw.count - start))
        } ?? .empty
    }

    /// Finds the sums of this rank's segments within `root`.
    private func weigh(_ root: Range<Int>) {
        let first = tree.shards[rank].lowerBound
        withLogits { logits in
            guard let base = logits.baseAddress else { return }
            for segment in root {
                let start = segment * logitsPerSegment - first
                let count = min(logitsPerSegment, logits.count - start)
                ownSums[segment..<segment + 1] =
                    count > 0
                    ? weightSum(base + start, count: count, largest: candidates.largest, scale: candidates.scale) : 0
            }
        }
    }

    /// The token of this rank's `segments` at which the running sum of their weights passes `target`.
    private func pick(_ segments: Range<Int>, _ target: Double) -> Draft {
        var (node, target) = (segments, target)
        ownSums.clear()
        weigh(segments)
        ownSums.descend(&node, &target) { _ in false }
        let first = tree.shards[rank].lowerBound
        let start = node.lowerBound * logitsPerSegment - first
        return withLogits { logits in
            let weights = (start..<min(start + logitsPerSegment, logits.count)).lazy.map { [candidates] in
                candidates.weight(logits[$0])
            }
            let index = start + (Shortlist.place(of: target, in: weights) ?? 0)
            return Draft(token: TokenID(first + index), logit: logits[index], raw: raw[index])
        }
    }

    // MARK: Conclusions

    private func conclude() {
        guard case .draw(let drawing, let position, _) = question else {
            if case .score(let token, _) = question { finish(Draft(token: token, logit: target, raw: target)) }
            return
        }
        let options = drawing.options
        guard let best = candidates.first else {
            // Nothing may be drawn: every logit is masked or no number.
            return finish(Draft(token: 0, logit: -.infinity, raw: -.infinity))
        }
        guard options.temperature > 0, candidates.scale.isFinite else { return finish(best) }
        let uniform = Sampler.uniform(seed: options.seed, position: position)
        let keepsAll = options.topK <= 0 && options.minP <= 0
        if keepsAll, !knowsSums {
            need = .sums
            return
        }
        if keepsAll, options.topP >= 1 {
            var node = 0..<tree.size
            var target = uniform * sums.sum(node)
            sums.descend(&node, &target) { sums[$0] != nil }
            let owner = tree.roots.firstIndex { $0.contains(node) } ?? 0
            need = .token(of: owner, segments: node, target: target)
            return
        }
        let total = knowsSums ? sums.sum(0..<tree.size) : nil
        guard let kept = candidates.kept(options, total: total) else {
            need = .candidates
            let least = max(
                count * 8, candidates.leastMissing(of: total.map { $0 * Double(options.topP) }) / tree.shards.count)
            // A distribution so flat that thousands are too few is told whole.
            count = least <= Self.mostCandidates ? least : tree.size * logitsPerSegment
            return
        }
        finish(candidates.pick(first: kept, uniform) ?? best)
    }

    private func finish(_ draft: Draft) {
        need = .nothing
        let isTold = question.alternatives != nil
        answer = ScoredToken(
            TokenLogprob(token: draft.token, logprob: isTold ? draft.raw - logSum : 0),
            top: top.map { TokenLogprob(token: $0.token, logprob: $0.logit - logSum) })
    }
}
