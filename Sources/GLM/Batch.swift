import Core
import KVCache

/// The tokens of a step laid end to end, and which of them the last stage is asked about.
///
/// A stage has one and lays out step after step in it, so that its lists are allocated once.
final class Batch {
    /// One segment's rows in the batch.
    struct Part {
        var segment: Segment
        var rows: Range<Int>
        /// Pages that are full now, whose bounds this step writes.
        var unbounded: [PagePool.Spot] = []
    }

    /// What the last stage is asked about one row of the batch.
    struct Wish {
        /// The row.
        var row: Int
        /// The part that the row belongs to.
        var part: Int
        /// What is asked of its logits besides them.
        var asks: Asks?
        /// Whether its logits are wanted.
        var wantsLogits = false
        /// Whether its output is part of an embedding.
        var isEmbedded = false
    }

    /// What is asked of a row's logits.
    enum Asks {
        case draw(Drawing)
        case score(TokenID, alternatives: Int)
    }

    var parts: [Part] = []
    private(set) var tokens: [TokenID] = []
    private(set) var positions: [Int] = []
    /// Every row.
    private(set) var rows: [Int] = []
    /// What is asked about the rows that go on to the output, rising.
    private(set) var wishes: [Wish] = []
    /// The rows that go on to the output, rising.
    private(set) var wanted: [Int] = []

    /// Lays out a step, refusing what could not have been planned.
    func lay(_ step: Step, configuration: Configuration) throws {
        clear()
        for segment in step.segments {
            let end = segment.start + segment.tokens.count
            guard segment.start >= 0, !segment.tokens.isEmpty, end <= configuration.contextLength else {
                throw Problem.failed(
                    "step \(step.number): positions \(segment.start)..<\(end) do not fit a context of \(configuration.contextLength)"
                )
            }
            guard segment.tokens.allSatisfy({ $0 >= 0 && Int($0) < configuration.vocabulary }) else {
                throw Problem.failed("step \(step.number) has a token outside of the vocabulary")
            }
            guard segment.scoring?.targets.allSatisfy({ $0 >= 0 && Int($0) < configuration.vocabulary }) ?? true else {
                throw Problem.failed("step \(step.number) asks about a token outside of the vocabulary")
            }
            let own = tokens.count..<tokens.count + segment.tokens.count
            parts.append(Part(segment: segment, rows: own))
            tokens += segment.tokens
            positions += segment.start..<end
            rows += own
            for row in own {
                guard let wish = wish(segment, row: row, rows: own) else { continue }
                wishes.append(wish)
                wanted.append(row)
            }
        }
    }

    /// Forgets the step: what its segments hold is their maker's alone again, who may use it for the next one.
    func clear() {
        parts.removeAll(keepingCapacity: true)
        tokens.removeAll(keepingCapacity: true)
        positions.removeAll(keepingCapacity: true)
        rows.removeAll(keepingCapacity: true)
        wishes.removeAll(keepingCapacity: true)
        wanted.removeAll(keepingCapacity: true)
    }

    private func wish(_ segment: Segment, row: Int, rows: Range<Int>) -> Wish? {
        let isLast = row == rows.upperBound - 1
        var wish = Wish(row: row, part: parts.count - 1)
        if let scoring = segment.scoring, row - rows.lowerBound < scoring.targets.count {
            wish.asks = .score(scoring.targets[row - rows.lowerBound], alternatives: scoring.alternatives)
        }
        switch segment.output {
        case .none: break
        case .sample(let drawing): if row >= rows.upperBound - 1 - segment.guesses { wish.asks = .draw(drawing) }
        case .logits: wish.wantsLogits = true
        case .embed(.mean, _): wish.isEmbedded = true
        case .embed(.last, let goesOn): wish.isEmbedded = isLast && !goesOn
        }
        return wish.asks != nil || wish.wantsLogits || wish.isEmbedded ? wish : nil
    }
}
