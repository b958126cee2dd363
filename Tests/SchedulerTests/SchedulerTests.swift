import Core
import Scheduler
import Testing

@Suite("Scheduler")
struct SchedulerTests {
    private let greedy = Drawing()
    private func id(_ n: UInt64) -> SequenceID { SequenceID(n) }
    private func prompt(_ n: Int) -> [TokenID] { (0..<n).map { TokenID($0) } }
    private func drawn(_ n: UInt64, _ token: TokenID) -> SegmentResult {
        SegmentResult(sequence: id(n), drawn: TokenLogprob(token: token, logprob: 0))
    }

    @Test("a prompt goes in chunks, its last one draws, and its answer token by token")
    func single() throws {
        var scheduler = Scheduler(settings: .init(chunk: 4), epoch: 7)
        scheduler.add(id(1), prompt: prompt(6), purpose: .generate(greedy))
        let first = try #require(scheduler.next() as Step?)
        #expect(first.number == 1 && first.epoch == 7)
        #expect(first.segments == [Segment(sequence: id(1), start: 0, tokens: [0, 1, 2, 3], output: .none)])
        #expect(scheduler.next() == nil)
        #expect(
            try scheduler.finished(1, results: [])
                == [.computed(id(1), tokens: 4), .prefilled(id(1), tokens: 4, of: 6)])
        let second = try #require(scheduler.next() as Step?)
        #expect(second.segments == [Segment(sequence: id(1), start: 4, tokens: [4, 5], output: .sample(greedy))])
        #expect(
            try scheduler.finished(2, results: [drawn(1, 9)])
                == [.computed(id(1), tokens: 6), .prefilled(id(1), tokens: 6, of: 6), .drawn(drawn(1, 9))])
        #expect(scheduler.next() == nil)
        scheduler.proceed(id(1), with: [9])
        let third = try #require(scheduler.next() as Step?)
        #expect(third.segments == [Segment(sequence: id(1), start: 6, tokens: [9], output: .sample(greedy))])
        #expect(
            try scheduler.finished(3, results: [drawn(1, 2)])
                == [.computed(id(1), tokens: 7), .drawn(drawn(1, 2))])
        #expect(scheduler.computed(id(1)) == 7)
        scheduler.end(id(1))
        scheduler.change([.close(id(1))])
        #expect(scheduler.next() == Step(number: 4, epoch: 7, changes: [.close(id(1))], segments: []))
        _ = try scheduler.finished(4, results: [])
        #expect(scheduler.next() == nil)
    }

    @Test(
        "prompts share a step by their priority: the urgent ones first, equal ones equally, what is left to the others")
    func priority() throws {
        var scheduler = Scheduler(settings: .init(chunk: 64), epoch: 1)
        for (number, length, priority) in [(1, 200, 0), (2, 48, -5), (3, 48, -5), (4, 200, 7)] as [(UInt64, Int, Int)] {
            scheduler.add(id(number), prompt: prompt(length), purpose: .generate(greedy), priority: priority)
        }
        #expect(scheduler.sequences == [id(2), id(3), id(1), id(4)])
        var shares: [[Int]] = []
        for _ in 0..<3 {
            let step = try #require(scheduler.next() as Step?)
            shares.append(
                (1...4).map { number in
                    step.segments.first { $0.sequence == id(number) }?.tokens.count ?? 0
                })
            let ends = step.segments.filter { $0.output != .none }.map { drawn($0.sequence.number, 9) }
            _ = try scheduler.finished(step.number, results: ends)
            for end in ends { scheduler.end(end.sequence) }
        }
        // The first two, then what they leave: all of it to the next one, and nothing to the last.
        #expect(shares == [[0, 32, 32, 0], [32, 16, 16, 0], [64, 0, 0, 0]])
    }

    @Test("as many chunks of one prompt are in flight as there are stages")
    func pipelined() throws {
        var scheduler = Scheduler(settings: .init(chunk: 4, stages: 3), epoch: 1)
        scheduler.add(id(1), prompt: prompt(100), purpose: .generate(greedy))
        let starts = [scheduler.next(), scheduler.next(), scheduler.next()].map { $0?.segments.first?.start }
        #expect(starts == [0, 4, 8])
        #expect(scheduler.next() == nil)
        _ = try scheduler.finished(1, results: [])
        #expect(scheduler.next()?.segments.first?.start == 12)
    }

    @Test("a sequence has one token in flight however many stages there are")
    func oneToken() throws {
        var scheduler = Scheduler(settings: .init(stages: 4), epoch: 1)
        scheduler.add(id(1), prompt: [5], purpose: .generate(greedy))
        #expect(scheduler.next() != nil)
        #expect(scheduler.next() == nil)
    }

    @Test("a long prompt does not stop others: tokens come first, and the step stays short")
    func mixed() throws {
        var scheduler = Scheduler(settings: .init(chunk: 64), epoch: 1)
        scheduler.add(id(1), prompt: [5], purpose: .generate(greedy))
        _ = scheduler.next()
        _ = try scheduler.finished(1, results: [drawn(1, 3)])
        scheduler.proceed(id(1), with: [3])
        scheduler.add(id(2), prompt: prompt(1000), purpose: .generate(greedy))
        let step = try #require(scheduler.next() as Step?)
        #expect(step.segments.map(\.sequence) == [id(1), id(2)])
        #expect(step.segments.map(\.tokens.count) == [1, 16])
    }

    @Test("chunks become shorter where they take too long, and longer again; while others decode the limit is a tenth")
    func adapts() throws {
        var scheduler = Scheduler(settings: .init(chunk: 512, latency: .milliseconds(100)), epoch: 1)
        scheduler.add(id(1), prompt: prompt(100_000), purpose: .generate(greedy))
        func run(_ took: Duration, results: [SegmentResult] = []) throws -> [Int] {
            let step = try #require(scheduler.next() as Step?)
            _ = try scheduler.finished(step.number, results: results, took: took)
            return step.segments.map(\.tokens.count)
        }
        #expect(try run(.milliseconds(500)) == [512])
        #expect(try run(.seconds(4)) == [512], "half a second was no reason to change")
        #expect(try run(.milliseconds(100)) == [128])
        #expect(try run(.seconds(1000)) == [192], "and half as much again where there is time")
        #expect(try run(.zero) == [16], "a prompt always advances")
        scheduler.add(id(2), prompt: [1], purpose: .generate(greedy))
        let first = try #require(scheduler.next() as Step?)
        _ = try scheduler.finished(first.number, results: [drawn(2, 3)], took: .milliseconds(1))
        scheduler.proceed(id(2), with: [3])
        let shared = try #require(scheduler.next() as Step?)
        #expect(shared.segments.first?.tokens.count == 1 && shared.segments.count == 2)
        _ = try scheduler.finished(shared.number, results: [drawn(2, 3)], took: .milliseconds(200))
        #expect(scheduler.sharedChunk <= shared.segments[1].tokens.count / 2 + 1)
    }

    @Test("prompts share the budget, and what a short one leaves goes to the next")
    func shares() throws {
        var scheduler = Scheduler(settings: .init(chunk: 90), epoch: 1)
        scheduler.add(id(1), prompt: prompt(10), purpose: .generate(greedy))
        scheduler.add(id(2), prompt: prompt(1000), purpose: .generate(greedy))
        scheduler.add(id(3), prompt: prompt(1000), purpose: .generate(greedy))
        let step = try #require(scheduler.next() as Step?)
        #expect(step.segments.map(\.tokens.count) == [10, 40, 40])
    }

    @Test("decoding sequences are spread over the stages' steps")
    func spread() throws {
        var scheduler = Scheduler(settings: .init(stages: 2), epoch: 1)
        for n in 1...4 { scheduler.add(id(UInt64(n)), prompt: [1], purpose: .generate(greedy)) }
        _ = scheduler.next()
        _ = try scheduler.finished(1, results: (1...4).map { drawn($0, 2) })
        for n in 1...4 { scheduler.proceed(id(UInt64(n)), with: [2]) }
        #expect(scheduler.next()?.segments.map(\.sequence) == [id(1), id(2)])
        #expect(scheduler.next()?.segments.map(\.sequence) == [id(3), id(4)])
    }

    @Test("answers share one step where the stages share their processors, and prompts still fill the stages")
    func sharedProcessors() throws {
        var scheduler = Scheduler(settings: .init(chunk: 4, stages: 3, stagesAtOnce: 1), epoch: 1)
        for n in 1...2 { scheduler.add(id(UInt64(n)), prompt: [1], purpose: .generate(greedy)) }
        _ = scheduler.next()
        _ = try scheduler.finished(1, results: (1...2).map { drawn($0, 2) })
        scheduler.proceed(id(1), with: [2])
        #expect(scheduler.next()?.segments.map(\.sequence) == [id(1)])
        scheduler.proceed(id(2), with: [2])
        #expect(scheduler.next() == nil, "it waits for the other")
        scheduler.add(id(3), prompt: prompt(100), purpose: .generate(greedy))
        #expect(scheduler.next()?.segments.map(\.sequence) == [id(3)])
        _ = try scheduler.finished(2, results: [drawn(1, 3)])
        scheduler.proceed(id(1), with: [3])
        #expect(scheduler.next()?.segments.map(\.sequence) == [id(1), id(2), id(3)])
    }

    @Test("stages that compute at once get smaller chunks the less there is to read, others whole ones")
    func pipelinedChunks() {
        func chunks(_ tokens: Int, stages: Int, atOnce: Int) -> [Int] {
            var scheduler = Scheduler(settings: .init(stages: stages, stagesAtOnce: atOnce), epoch: 1)
            scheduler.add(id(1), prompt: prompt(tokens), purpose: .generate(greedy))
            return (0..<stages).compactMap { _ in scheduler.next()?.segments.first?.tokens.count }
        }
        // Roots of 16 times what is left.
        #expect(chunks(400, stages: 2, atOnce: 2) == [80, 71])
        #expect(chunks(400, stages: 2, atOnce: 1) == [400])
        #expect(chunks(400, stages: 5, atOnce: 5) == [40, 37, 35, 33, 31])
        #expect(chunks(100_000, stages: 2, atOnce: 2) == [512, 512])
        #expect(chunks(20, stages: 4, atOnce: 4) == [16, 4])
    }

    @Test("a prompt whose beginning is cached goes on from there")
    func cached() throws {
        var scheduler = Scheduler(settings: .init(chunk: 4), epoch: 1)
        scheduler.add(id(1), prompt: prompt(10), cached: 5, purpose: .generate(greedy))
        #expect(scheduler.next()?.segments.map(\.start) == [5])
        #expect(
            try scheduler.finished(1, results: [])
                == [.computed(id(1), tokens: 9), .prefilled(id(1), tokens: 9, of: 10)])
    }

    @Test("what comes late for an ended sequence is ignored")
    func ended() throws {
        var scheduler = Scheduler(settings: .init(), epoch: 1)
        scheduler.add(id(1), prompt: [1, 2], purpose: .generate(greedy))
        scheduler.add(id(2), prompt: [1, 2], purpose: .generate(greedy))
        scheduler.end(id(2))
        _ = scheduler.next()
        scheduler.end(id(1))
        #expect(try scheduler.finished(1, results: [drawn(1, 2)]).isEmpty)
        #expect(try scheduler.finished(1, results: [drawn(1, 2)]).isEmpty)
        #expect(scheduler.next() == nil && scheduler.isQuiet)
    }

    @Test("logits are asked for in chunks of their own, side by side")
    func logits() throws {
        var scheduler = Scheduler(settings: .init(chunk: 512), epoch: 1)
        scheduler.add(id(1), prompt: prompt(10), purpose: .logits(chunk: 7))
        scheduler.add(id(2), prompt: prompt(3), purpose: .logits(chunk: 7))
        let step = try #require(scheduler.next() as Step?)
        #expect(step.segments.map(\.tokens.count) == [7, 3])
        #expect(step.segments.allSatisfy { $0.output == .logits })
        let some = (1...2).map { SegmentResult(sequence: id($0), drawn: nil, logits: [1]) }
        let progress = try scheduler.finished(1, results: some)
        #expect(progress.contains(.logits(some[0], isLast: false)) && progress.contains(.logits(some[1], isLast: true)))
    }

    @Test("prompts and answers of sparse attention are marked in every step")
    func attention() throws {
        var scheduler = Scheduler(settings: .init(chunk: 4), epoch: 1)
        scheduler.add(id(1), prompt: [1, 2], purpose: .generate(greedy), attention: .sparse)
        scheduler.add(id(2), prompt: [1, 2], purpose: .generate(greedy))
        let step = try #require(scheduler.next() as Step?)
        #expect(step.segments.map(\.attention) == [.sparse, .exact])
        _ = try scheduler.finished(1, results: [drawn(1, 2), drawn(2, 2)])
        scheduler.proceed(id(1), with: [2])
        scheduler.proceed(id(2), with: [2])
        #expect(scheduler.next()?.segments.map(\.attention) == [.sparse, .exact])
    }

    @Test("what stands before is told with the first token that is drawn, where penalties need it")
    func past() throws {
        var scheduler = Scheduler(settings: .init(chunk: 4), epoch: 1)
        let drawing = Drawing(SamplingOptions(repetitionPenalty: 2), promptTokens: 3)
        scheduler.add(id(1), prompt: [7, 5, 7, 9, 9], cached: 4, purpose: .generate(drawing))
        var first = drawing
        first.past = Past(prompt: [5, 7], generated: [9, 9])
        #expect(scheduler.next()?.segments.map(\.output) == [.sample(first)])
        _ = try scheduler.finished(1, results: [drawn(1, 2)])
        scheduler.proceed(id(1), with: [2])
        #expect(scheduler.next()?.segments.map(\.output) == [.sample(drawing)])
    }

    @Test("a prompt that is scored asks each chunk about the tokens that follow, and one that is only read ends there")
    func scored() throws {
        var scheduler = Scheduler(settings: .init(chunk: 4), epoch: 1)
        scheduler.add(id(1), prompt: prompt(6), purpose: .read, alternatives: 2, scored: 6)
        let steps = try [[1, 2, 3, 4], [5]].map { targets in
            let step = try #require(scheduler.next() as Step?)
            let wanted = Segment.Scoring(targets: targets.map { TokenID($0) }, alternatives: 2)
            #expect(step.segments.map(\.scoring) == [wanted] && step.segments.map(\.output) == [.none])
            let scored = targets.map { ScoredToken(TokenLogprob(token: TokenID($0), logprob: -1)) }
            let result = SegmentResult(sequence: id(1), drawn: nil, scored: scored)
            return (try scheduler.finished(step.number, results: [result]), scored)
        }
        #expect(steps[0].0.last == .scored(id(1), first: 1, steps[0].1))
        #expect(Array(steps[1].0.suffix(2)) == [.scored(id(1), first: 5, steps[1].1), .read(id(1))])
        scheduler.end(id(1))
        // The prompt's end is not that of what is read again after a change of the layout.
        scheduler.add(id(2), prompt: prompt(6), purpose: .generate(greedy), alternatives: 0, scored: 3)
        #expect(scheduler.next()?.segments.map(\.scoring?.targets) == [[1, 2]])
    }

    @Test("a mean is asked of every chunk, the last token's output of the last one")
    func embeds() throws {
        for (embedding, first) in [(Embedding.mean, Segment.Output.embed(.mean, goesOn: true)), (.last, .none)] {
            var scheduler = Scheduler(settings: .init(chunk: 4), epoch: 1)
            scheduler.add(id(1), prompt: prompt(6), purpose: .embed(embedding))
            #expect(scheduler.next()?.segments.map(\.output) == [first])
            _ = try scheduler.finished(1, results: [])
            #expect(scheduler.next()?.segments.map(\.output) == [.embed(embedding, goesOn: false)])
            let result = SegmentResult(sequence: id(1), drawn: nil, embedding: [1, 2])
            #expect(try scheduler.finished(2, results: [result]).last == .embedded(id(1), [1, 2]))
        }
    }

    @Test("what stood behind the same tokens before is guessed, and wrong guesses are as if they had never been sent")
    func guesses() throws {
        var scheduler = Scheduler(settings: .init(chunk: 64), epoch: 1)
        scheduler.add(
            id(1), prompt: [1, 2, 3, 4, 5, 6, 9, 1, 2], purpose: .generate(greedy), total: 15, speculates: true)
        _ = scheduler.next()
        _ = try scheduler.finished(1, results: [drawn(1, 3)])
        scheduler.proceed(id(1), with: [3])
        let step = try #require(scheduler.next() as Step?)
        #expect(
            step.segments == [
                Segment(sequence: id(1), start: 9, tokens: [3, 4, 5], output: .sample(greedy), guesses: 2)
            ])
        // The first guess was right, the second was not.
        var result = drawn(1, 4)
        result.more = [ScoredToken(TokenLogprob(token: 2, logprob: 0))]
        #expect(try scheduler.finished(2, results: [result]) == [.computed(id(1), tokens: 11), .drawn(result)])
        scheduler.proceed(id(1), with: [4, 2])
        #expect(scheduler.computed(id(1)) == 11)
        #expect(scheduler.next()?.segments.map(\.start) == [11])
    }

    @Test("nothing is guessed behind the last token that may be drawn, and no more can be right than was guessed")
    func fewGuesses() throws {
        var scheduler = Scheduler(settings: .init(chunk: 64), epoch: 1)
        scheduler.add(
            id(1), prompt: [1, 2, 3, 4, 5, 6, 9, 1, 2], purpose: .generate(greedy), total: 12, speculates: true)
        _ = scheduler.next()
        _ = try scheduler.finished(1, results: [drawn(1, 3)])
        scheduler.proceed(id(1), with: [3])
        #expect(scheduler.next()?.segments.map(\.tokens) == [[3, 4]])
        var wrong = drawn(1, 4)
        wrong.more = [ScoredToken](repeating: ScoredToken(TokenLogprob(token: 2, logprob: 0)), count: 2)
        let results = [wrong]
        #expect(throws: Problem.self) { try scheduler.finished(2, results: results) }
    }

    @Test("a step without the result it was asked for is a failure")
    func missing() {
        var scheduler = Scheduler(settings: .init(), epoch: 1)
        scheduler.add(id(1), prompt: [1], purpose: .generate(greedy))
        _ = scheduler.next()
        #expect(throws: Problem.self) { try scheduler.finished(1, results: []) }
    }
}
