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

    var parts: [Part]
    let tokens: [TokenID]
    let positions: [Int]
    /// The rows whose logits somebody wants, rising.
    let wanted: [Int]

    /// Lays out a step, refusing what could not have been planned.
    init(_ step: Step, configuration: Configuration) throws {
        var parts: [Part] = []
        var tokens: [TokenID] = []
        var positions: [Int] = []
        var wanted: [Int] = []
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
            switch segment.output {
            case .none: break
            case .sample: wanted.append(rows.upperBound - 1)
            case .logits: wanted += rows
            }
        }
        self.parts = parts
        self.tokens = tokens
        self.positions = positions
        self.wanted = wanted
    }

    /// Puts the vocabulary shards of every wanted row together and answers each segment.
    ///
    /// - Parameters:
    ///   - shards: Per rank the logits [rows, width].
    ///   - widths: Per rank the rows of the vocabulary.
    func results(
        rows: Int, shards: [UnsafeBufferPointer<Float>], widths: [Int],
        draw: (UnsafeBufferPointer<Float>, SamplingOptions, Int) -> (drawn: TokenLogprob, top: [TokenLogprob])
    ) -> [SegmentResult] {
        let vocabulary = widths.reduce(0, +)
        var row = 0
        func next(into target: UnsafeMutableBufferPointer<Float>, at start: Int) {
            var at = start
            for (shard, width) in zip(shards, widths) {
                for column in 0..<width { target[at + column] = shard[row * width + column] }
                at += width
            }
            row += 1
        }
        return parts.compactMap { part in
            switch part.segment.output {
            case .none: return nil
            case .logits:
                let values = [Float](unsafeUninitializedCapacity: part.rows.count * vocabulary) { buffer, count in
                    count = part.rows.count * vocabulary
                    for index in 0..<part.rows.count { next(into: buffer, at: index * vocabulary) }
                }
                return SegmentResult(sequence: part.segment.sequence, drawn: nil, logits: values)
            case .sample(let options):
                return withUnsafeTemporaryAllocation(of: Float.self, capacity: vocabulary) { buffer in
                    next(into: buffer, at: 0)
                    let end = part.segment.start + part.segment.tokens.count
                    let (drawn, top) = draw(UnsafeBufferPointer(buffer), options, end)
                    return SegmentResult(sequence: part.segment.sequence, drawn: drawn, top: top)
                }
            }
        }
    }
}
