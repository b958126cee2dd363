import Core
import Kernels
import Testing

@testable import GLM

/// Drawing from all logits in one place, as plainly as it can be said.
private struct Twin {
    let drawable: Int

    /// The logits that a token is drawn from.
    func changed(_ logits: [Float], _ drawing: Drawing, position: Int, prompt: [TokenID], generated: [TokenID])
        -> [Float]
    {
        let o = drawing.options
        var y = Array(logits.prefix(drawable))
        for token in y.indices {
            let id = TokenID(token)
            if let bias = o.logitBias[id] { y[token] += bias }
            if position < drawing.heldUntil, drawing.heldBack.contains(id) { y[token] = -.infinity }
            let count = generated.count { $0 == id }
            if o.repetitionPenalty != 1, count > 0 || prompt.contains(id) {
                y[token] = y[token] > 0 ? y[token] / o.repetitionPenalty : y[token] * o.repetitionPenalty
            }
            if count > 0 { y[token] = y[token] - o.frequencyPenalty * Float(count) - o.presencePenalty }
        }
        return y
    }

    /// The token that is drawn from `y`.
    func token(_ y: [Float], _ o: SamplingOptions, position: Int) -> TokenID {
        let order = y.indices.filter { y[$0] > -.infinity }.sorted { y[$0] > y[$1] || (y[$0] == y[$1] && $0 < $1) }
        guard let best = order.first else { return 0 }
        guard o.temperature > 0 else { return TokenID(best) }
        let scale = 1 / o.temperature
        func weight(_ index: Int) -> Double { Double(exponential((y[index] - y[best]) * scale)) }
        func pick(_ kept: [Int]) -> TokenID {
            let total = kept.reduce(0.0) { $0 + weight($1) }
            let target = Sampler.uniform(seed: o.seed, position: position) * total
            var sum = 0.0
            for index in kept {
                sum += weight(index)
                if sum > target { return TokenID(index) }
            }
            return TokenID(kept.last { weight($0) > 0 } ?? best)
        }
        if o.topK == 0, o.topP >= 1, o.minP == 0 { return pick(order.sorted()) }
        var kept = order
        if o.minP > 0 { kept = kept.filter { (y[$0] - y[best]) * scale >= logarithm(o.minP) } }
        if o.topK > 0 { kept = Array(kept.prefix(o.topK)) }
        if o.topP < 1 {
            let wanted = kept.reduce(0.0) { $0 + weight($1) } * Double(o.topP)
            var sum = 0.0
            if let end = kept.firstIndex(where: { index in
                sum += weight(index)
                return sum >= wanted
            }) {
                kept = Array(kept[...end])
            }
        }
        return pick(kept)
    }

    func scored(_ token: TokenID, _ logits: [Float], alternatives: Int?) -> ScoredToken {
        guard let alternatives else { return ScoredToken(TokenLogprob(token: token, logprob: 0)) }
        let sum = logSumExp(logits, count: logits.count)
        let order = (0..<drawable).sorted {
            logits[$0] > logits[$1] || (logits[$0] == logits[$1] && $0 < $1)
        }
        func entry(_ index: Int) -> TokenLogprob {
            TokenLogprob(token: TokenID(index), logprob: logits[index] - sum)
        }
        return ScoredToken(entry(Int(token)), top: order.prefix(alternatives).map(entry))
    }
}

/// Ranks that draw together, one after the other in one thread.
private func answers(
    _ questions: [RowQuestion], _ logits: [[Float]], shards: [Range<Int>], drawable: Int
) throws -> (answers: [ScoredToken], words: Int, rounds: Int) {
    let tree = try #require(VocabularyTree(shards: shards))
    let parts = shards.map { shard in logits.map { Array($0[shard]) } }
    var words = 0
    var rounds = 0
    func views(_ rank: Int, _ row: Int) -> UnsafeBufferPointer<Float> {
        let part = parts[rank][row]
        let copy = UnsafeMutableBufferPointer<Float>.allocate(capacity: part.count)
        _ = copy.initialize(from: part)
        return UnsafeBufferPointer(copy)
    }
    let memory = shards.indices.map { rank in logits.indices.map { views(rank, $0) } }
    defer { for views in memory { for view in views { view.deallocate() } } }
    let ranks = shards.indices.map { rank in
        questions.indices.map { row in
            let draw = RowDraw(rank: rank, tree: tree)
            draw.ask(questions[row], logits: memory[rank][row], drawable: drawable)
            return draw
        }
    }
    while ranks[0].contains(where: { $0.answer == nil }) {
        rounds += 1
        let told = ranks.indices.map { rank in
            var writer = WordWriter()
            for row in ranks[rank].indices {
                ranks[rank][row].prepare()
                ranks[rank][row].write(to: &writer)
            }
            for other in ranks.indices {
                #expect(writer.words.count == ranks[other].reduce(0) { $0 + $1.wordCount(of: rank) })
            }
            words += writer.words.count
            return writer.words
        }
        let flat = told.map { words in
            let copy = UnsafeMutableBufferPointer<Float>.allocate(capacity: words.count)
            _ = copy.initialize(from: words)
            return UnsafeBufferPointer(copy)
        }
        defer { for copy in flat { copy.deallocate() } }
        for rank in ranks.indices {
            var readers = flat.map { WordReader($0) }
            for row in ranks[rank].indices { ranks[rank][row].read(from: &readers) }
        }
    }
    let all = ranks.map { $0.compactMap(\.answer) }
    #expect(all.allSatisfy { $0 == all[0] }, "all ranks conclude the same")
    return (all[0], words, rounds)
}

/// SplitMix64: the same cases every time.
private struct Dice: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    mutating func of<T>(_ choices: T...) -> T { choices[Int(next() % UInt64(choices.count))] }
    mutating func float() -> Float { Float(next() >> 40) * 0x1p-24 }
}

@Suite("Sampling in shards")
struct SamplerTests {
    /// Logits of several shapes: peaked, flat, with many equals, with masked ones.
    private func logits(_ count: Int, _ dice: inout Dice) -> [Float] {
        let shape = dice.of(0, 1, 2, 3, 4)
        let scale = dice.of(Float(0.01), 1, 4, 12)
        return (0..<count).map { _ in
            let sum = (0..<4).reduce(Float(0)) { sum, _ in sum + dice.float() } - 2
            switch shape {
            case 0: return sum * scale
            case 1: return (sum * 4).rounded() * scale
            case 2: return dice.float() < 0.9 ? -.infinity : sum * scale
            case 3: return sum * scale + (dice.float() < 0.001 ? 20 : 0)
            default: return dice.float() < 0.01 ? .nan : sum * scale
            }
        }
    }

    private func shards(_ vocabulary: Int, ranks: Int, _ dice: inout Dice) -> [Range<Int>] {
        let segments = (vocabulary + 1023) / 1024
        var cuts = (1..<ranks).map { _ in Int(dice.next() % UInt64(segments + 1)) * 1024 }.map { min($0, vocabulary) }
        cuts.sort()
        return zip([0] + cuts, cuts + [vocabulary]).map { $0..<$1 }
    }

    private func drawing(_ vocabulary: Int, promptTokens: Int, _ dice: inout Dice) -> Drawing {
        var bias: [TokenID: Float] = [:]
        for _ in 0..<dice.of(0, 0, 3) {
            bias[TokenID(dice.next() % UInt64(vocabulary))] = dice.of(-100, 5, 0.5)
        }
        let options = SamplingOptions(
            temperature: dice.of(0, 0.3, 1, 1, 1.7), topP: dice.of(1, 1, 0.1, 0.8, 0.99),
            topK: dice.of(0, 0, 1, 40, 700),
            seed: dice.next(), logprobs: dice.of(nil, 0, 5), minP: dice.of(0, 0, 0.01, 0.5),
            repetitionPenalty: dice.of(1, 1, 1.3, 0.7), presencePenalty: dice.of(0, 0, 1.5, -1),
            frequencyPenalty: dice.of(0, 0, 0.4), logitBias: bias)
        let held = (0..<dice.of(0, 2)).map { _ in TokenID(dice.next() % UInt64(vocabulary)) }
        return Drawing(options, promptTokens: promptTokens, heldBack: held, heldUntil: promptTokens + dice.of(0, 100))
    }

    @Test(
        "candidates and sums of the shards give what all logits give, bit for bit, over random cases", arguments: 1...8)
    func twin(seed: UInt64) throws {
        var dice = Dice(state: seed)
        for _ in 0..<40 {
            let vocabulary = dice.of(700, 1024, 3000, 5120, 9001)
            let drawable = dice.of(vocabulary, vocabulary, vocabulary * 9 / 10, 600)
            let twin = Twin(drawable: drawable)
            let shards = shards(vocabulary, ranks: dice.of(1, 2, 3, 8), &dice)
            var rows: [[Float]] = []
            var questions: [RowQuestion] = []
            var expected: [ScoredToken] = []
            for _ in 0..<dice.of(1, 4) {
                var row = logits(vocabulary, &dice)
                let promptTokens = 20
                let drawing = drawing(vocabulary, promptTokens: promptTokens, &dice)
                if dice.of(true, false, false) {
                    for index in row.indices where !row[index].isFinite { row[index] = -3 }
                    let target = TokenID(dice.next() % UInt64(vocabulary))
                    let alternatives = dice.of(0, 1, 20)
                    questions.append(.score(target, alternatives: alternatives))
                    expected.append(twin.scored(target, row, alternatives: alternatives))
                } else {
                    if drawing.options.logprobs != nil {
                        for index in row.indices where !row[index].isFinite { row[index] = -3 }
                    }
                    let prompt = (0..<20).map { _ in TokenID(dice.next() % UInt64(vocabulary)) }
                    let generated = (0..<30).map { _ in TokenID(dice.next() % UInt64(vocabulary / 9)) }
                    let position = promptTokens + generated.count
                    let past = Past(drawing.options, tokens: prompt + generated, promptTokens: promptTokens)
                    questions.append(
                        .draw(
                            drawing, position: position,
                            past: past.map { PastTokens($0, promptTokens: promptTokens) }))
                    let y = twin.changed(row, drawing, position: position, prompt: prompt, generated: generated)
                    let token = twin.token(y, drawing.options, position: position)
                    expected.append(twin.scored(token, row, alternatives: drawing.options.logprobs))
                }
                rows.append(row)
            }
            let found = try answers(questions, rows, shards: shards, drawable: drawable).answers
            for (index, (a, b)) in zip(found, expected).enumerated() {
                let same =
                    a.token.token == b.token.token && a.token.logprob.bitPattern == b.token.logprob.bitPattern
                    && a.top.map(\.token) == b.top.map(\.token)
                    && a.top.map(\.logprob.bitPattern) == b.top.map(\.logprob.bitPattern)
                #expect(same, "\(questions[index]): \(a), expected \(b)")
            }
        }
    }

    @Test("the greatest logits are those that sorting all would give, with equals, both zeros and what is no number")
    func greatest() {
        var dice = Dice(state: 3)
        var top = TopTokens()
        for size in [1, 70, 3000, 20_000] {
            let odd: [Float] = [0, -0.0, .nan, -.infinity, .infinity, .leastNonzeroMagnitude, 3, -3]
            let logits = (0..<size).map { _ in
                dice.of(true, false)
                    ? odd[Int(dice.next() % UInt64(odd.count))] : (dice.float() - 0.5) * dice.of(1, 30)
            }
            let all = logits.indices.filter { logits[$0] > -.infinity }.map {
                Candidate(token: TokenID(1000 + $0), logit: logits[$0])
            }.sorted(by: Candidate.isBefore)
            for count in [0, 1, 64, 65, 700, size - 1, size, size + 1] {
                logits.withUnsafeBufferPointer { top.find($0, first: 1000, count: count) }
                #expect(top.found == Array(all.prefix(count)), "\(count) of \(size)")
            }
        }
    }

    @Test("ranks tell one another kilobytes, not logits, and only a flat distribution takes more")
    func bytes() throws {
        var dice = Dice(state: 9)
        let vocabulary = 151_552
        let shards = [0..<37_888, 37_888..<75_776, 75_776..<113_664, 113_664..<151_552]
        let peaked = (0..<vocabulary).map { _ in
            (0..<4).reduce(Float(0)) { sum, _ in sum + dice.float() } * 6
        }
        func bytes(_ options: SamplingOptions, _ logits: [Float]) throws -> Int {
            try answers(
                [.draw(Drawing(options, promptTokens: 0), position: 7, past: nil)], [logits], shards: shards,
                drawable: vocabulary
            ).words * 4
        }
        #expect(try bytes(SamplingOptions(), peaked) == 4 * 12)
        #expect(try bytes(SamplingOptions(logprobs: 20), peaked) < 2000)
        #expect(try bytes(SamplingOptions(temperature: 1), peaked) < 1000)
        #expect(try bytes(SamplingOptions(temperature: 1, topK: 40), peaked) == 4 * 40 * 12)
        #expect(try bytes(SamplingOptions(temperature: 0.5, topP: 0.3), peaked) < 30_000)
        let flat = peaked.map { $0 * 0.001 }
        #expect(try bytes(SamplingOptions(temperature: 1, topP: 0.9), flat) < 5 * vocabulary * 4)
    }

    @Test("the past counts what it is told, and forgets what comes behind the place where a sequence goes on")
    func past() {
        let options = SamplingOptions(repetitionPenalty: 2, presencePenalty: 1, frequencyPenalty: 10)
        var past = PastTokens(Past(prompt: [1, 3], generated: [3]), promptTokens: 5)
        func logits() -> [Float] {
            var logits: [Float] = [8, 8, 8, -8, 8]
            logits.withUnsafeMutableBufferPointer { past.penalise($0, first: 0, options) }
            return logits
        }
        #expect(past.end == 6)
        #expect(logits() == [8, 4, 8, -27, 8])
        past.add(4)
        past.add(4)
        #expect(logits() == [8, 4, 8, -27, -17])
        past.cut(at: 7)
        #expect(past.end == 7 && logits() == [8, 4, 8, -27, -7])
        past.cut(at: 9)
        #expect(past.end == 7)
    }
}
