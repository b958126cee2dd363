import Core
import Kernels

/// What the last stage makes of the last layer's output: norm, output matrix, and what each segment asked for.
extension Stage {
    /// Rows whose logits are in memory at once: a chunk of a prompt that is scored would need as much as the model.
    private static let logitRows = 32

    /// The results of the batch, whose rows that go on stand in the residual stream; on rank 0, elsewhere nothing of use.
    func finish(_ batch: Batch, collective: any Collective) throws -> [SegmentResult] {
        let wishes = batch.wishes
        guard !wishes.isEmpty, let norm = weights.finalNorm else { return [] }
        normalise(rows: 0..<wishes.count, norm: norm)
        beginResults(batch)
        embed(batch)
        var start = 0
        while start < wishes.count {
            // The next run of rows whose logits are needed.
            guard wishes[start].asks != nil || wishes[start].wantsLogits else {
                start += 1
                continue
            }
            var end = start
            while end < min(wishes.count, start + Self.logitRows),
                wishes[end].asks != nil || wishes[end].wantsLogits
            { end += 1 }
            try answer(batch, rows: start..<end, collective: collective)
            start = end
        }
        dropEmptyResults(batch)
        return results
    }

    /// A result with nothing in it for each part, in the lists of the step before: whoever still has those keeps them.
    private func beginResults(_ batch: Batch) {
        results.removeLast(max(0, results.count - batch.parts.count))
        for (index, part) in batch.parts.enumerated() {
            let sequence = part.segment.sequence
            guard index < results.count else {
                results.append(SegmentResult(sequence: sequence, drawn: nil))
                continue
            }
            var more: [ScoredToken] = []
            swap(&more, &results[index].more)
            more.removeAll(keepingCapacity: true)
            results[index] = SegmentResult(sequence: sequence, drawn: nil, more: more)
        }
    }

    /// Leaves out the results of parts that asked for nothing.
    private func dropEmptyResults(_ batch: Batch) {
        var kept = 0
        for (index, part) in batch.parts.enumerated() {
            let empty = SegmentResult(sequence: part.segment.sequence, drawn: nil)
            guard part.segment.scoring != nil || results[index] != empty else { continue }
            if kept < index { results.swapAt(kept, index) }
            kept += 1
        }
        results.removeLast(results.count - kept)
    }

    /// Computes the logits of a run of rows and answers what was asked of them.
    private func answer(
        _ batch: Batch, rows: Range<Int>, collective: any Collective
    ) throws {
        let own = slice.vocabulary.count
        if logits.count < rows.count * own { logits = [Float](repeating: 0, count: rows.count * own) }
        try logits.withUnsafeMutableBufferPointer { buffer in
            if let output = weights.output, let base = buffer.baseAddress {
                multiply(
                    [Product(matrix: output, output: base, stride: own)],
                    input: scratch.normed + rows.lowerBound * configuration.hidden, rows: rows.count,
                    some: 0..<rows.count)
            }
            try answerQuestions(batch, rows: rows, own: UnsafeBufferPointer(buffer), collective: collective)
            guard rows.contains(where: { batch.wishes[$0].wantsLogits }) else { return }
            try gather(
                batch, rows: rows, own: UnsafeBufferPointer(rebasing: buffer[..<(rows.count * own)]),
                collective: collective)
        }
    }

    /// Draws tokens, and scores those that were asked about.
    private func answerQuestions(
        _ batch: Batch, rows: Range<Int>, own: UnsafeBufferPointer<Float>, collective: any Collective
    ) throws {
        guard batch.wishes[rows].contains(where: { $0.asks != nil }) else { return }
        guard let sampler else {
            throw Problem.failed("the vocabulary is divided within a segment of \(logitsPerSegment) tokens")
        }
        let width = slice.vocabulary.count
        for row in rows {
            let wish = batch.wishes[row]
            let question: RowQuestion
            switch wish.asks {
            case nil: continue
            case .score(let token, let alternatives): question = .score(token, alternatives: alternatives)
            case .draw(let drawing):
                question = .draw(
                    drawing, position: batch.positions[wish.row] + 1,
                    past: past(batch.parts[wish.part], drawing, row: wish.row))
            }
            let line = row - rows.lowerBound
            sampler.ask(
                question, logits: UnsafeBufferPointer(rebasing: own[line * width..<(line + 1) * width]),
                drawable: drawableTokens)
        }
        var row = rows.lowerBound
        try sampler.answer(collective, team: team) { answer in
            while batch.wishes[row].asks == nil { row += 1 }
            let wish = batch.wishes[row]
            if case .score = wish.asks {
                results[wish.part].scored.append(answer)
            } else {
                draw(answer, batch.parts[wish.part], row: wish.row, into: &results[wish.part])
            }
            row += 1
        }
    }

    /// Takes what was drawn behind a row, unless a guess before it was wrong.
    private func draw(_ answer: ScoredToken, _ part: Batch.Part, row: Int, into result: inout SegmentResult) {
        let tokens = part.segment.tokens
        let index = row - part.rows.lowerBound
        let right = index - (tokens.count - 1 - part.segment.guesses)
        guard right > 0 else {
            result.drawn = answer.token
            result.top = answer.top
            return
        }
        guard result.more.count == right - 1, (result.more.last?.token ?? result.drawn)?.token == tokens[index] else {
            return
        }
        result.more.append(answer)
    }

    /// What stands up to and with a row, where penalties look at it. Rows are asked for in order.
    private func past(_ part: Batch.Part, _ drawing: Drawing, row: Int) -> PastTokens? {
        guard drawing.options.hasPenalties else { return nil }
        let segment = part.segment
        let index = row - part.rows.lowerBound
        // Taken out while it changes: changing it where it lies allocates each time.
        var past = pasts.removeValue(forKey: segment.sequence)
        if let given = drawing.past {
            past = PastTokens(given, promptTokens: drawing.promptTokens)
        } else if index == segment.tokens.count - 1 - segment.guesses {
            past?.cut(at: segment.start)
            for token in segment.tokens[...index] { past?.add(token) }
        } else {
            past?.add(segment.tokens[index])
        }
        pasts[segment.sequence] = past
        return past
    }

    /// Puts the ranks' parts of the rows together, for those who want all logits.
    private func gather(
        _ batch: Batch, rows: Range<Int>, own: UnsafeBufferPointer<Float>,
        collective: any Collective
    ) throws {
        let others = try collective.gather(own)
        guard slice.rank == 0 else { return }
        guard others.count == slice.rankCount - 1 else {
            throw Problem.failed("expected the logits of \(slice.rankCount - 1) other ranks, got \(others.count)")
        }
        for (line, row) in rows.enumerated() where batch.wishes[row].wantsLogits {
            for (shard, run) in zip([own] + others, slice.vocabularyByRank) {
                results[batch.wishes[row].part].logits += shard[line * run.count..<(line + 1) * run.count]
            }
        }
    }

    /// Adds up the outputs of sequences whose mean is wanted, token by token, and gives the embeddings that are complete.
    private func embed(_ batch: Batch) {
        guard slice.rank == 0 else { return }
        let hidden = configuration.hidden
        for (index, wish) in batch.wishes.enumerated() where wish.isEmbedded {
            let part = batch.parts[wish.part]
            let output = UnsafeBufferPointer(start: scratch.normed + index * hidden, count: hidden)
            let sequence = part.segment.sequence
            guard case .embed(.mean, let goesOn) = part.segment.output else {
                results[wish.part].embedding = Array(output)
                continue
            }
            if batch.positions[wish.row] == 0 { means[sequence] = ([Double](repeating: 0, count: hidden), 0) }
            means[sequence]?.tokens += 1
            for (column, value) in output.enumerated() { means[sequence]?.sum[column] += Double(value) }
            guard !goesOn, wish.row == part.rows.upperBound - 1, let mean = means.removeValue(forKey: sequence) else {
                continue
            }
            results[wish.part].embedding = mean.sum.map { Float($0 / Double(mean.tokens)) }
        }
    }

    /// A sequence is over: what was known of its tokens goes.
    func forget(_ sequence: SequenceID) {
        pasts[sequence] = nil
        means[sequence] = nil
    }
}
