import Core
import KVCache

/// The tokens of a step laid end to end, and which of them the last stage is asked about.
struct Batch {
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

    var parts: [Part]
    let tokens: [TokenID]
    let positions: [Int]
    /// The rows that go on to the output, rising.
    let wishes: [Wish]

    /// Lays out a step, refusing what could not have been planned.
    init(_ step: Step, configuration: Configuration) throws {
        var parts: [Part] = []
        var tokens: [TokenID] = []
        var positions: [Int] = []
        var wishes: [Wish] = []
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
            let rows = tokens.count..<tokens.count + segment.tokens.count
            parts.append(Part(segment: segment, rows: rows))
            tokens += segment.tokens
            positions += segment.start..<end
            guard segment.scoring?.targets.allSatisfy({ $0 >= 0 && Int($0) < configuration.vocabulary }) ?? true else {
                throw Problem.failed("step \(step.number) asks about a token outside of the vocabulary")
            }
            wishes += rows.compactMap { Self.wish(segment, part: parts.count - 1, row: $0, rows: rows) }
        }
        self.parts = parts
        self.tokens = tokens
        self.positions = positions
        self.wishes = wishes
    }

    private static func wish(_ segment: Segment, part: Int, row: Int, rows: Range<Int>) -> Wish? {
        let isLast = row == rows.upperBound - 1
        var wish = Wish(row: row, part: part)
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
