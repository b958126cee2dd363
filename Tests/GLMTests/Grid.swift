import Checkpoint
import Core
import Foundation
import GLM

/// A grid of stages in one process, a thread a rank: the arithmetic of a cluster without its sockets.
final class Grid {
    private let stages: [[Stage]]
    private let vocabulary: Int
    private let spansHosts: Bool
    private var step: UInt64 = 0

    init(
        _ description: ModelDescription, source: Checkpoint, layout: Layout, type: WeightType? = nil,
        kvType: KVType? = nil, weights: [Double]? = nil, kvTokens: Int = 4096,
        spansHosts: Bool = false
    )
        throws
    {
        self.spansHosts = spansHosts
        let configuration = description.configuration
        vocabulary = configuration.vocabulary
        let leaves = Leaves.runs(weights: weights ?? [Double](repeating: 1, count: layout.ranks))
        // Tokens are drawn where whole segments of the vocabulary are divided; small ones are cut anywhere, for the logits.
        let unit = configuration.vocabulary > 1024 ? 1024 : 1
        let units = (configuration.vocabulary + unit - 1) / unit
        let rows = (0..<layout.ranks).map { rank in
            min(
                configuration.vocabulary, units * rank / layout.ranks * unit)..<min(
                    configuration.vocabulary, units * (rank + 1) / layout.ranks * unit)
        }
        stages = try (0..<layout.stages).map { stage in
            let layers =
                configuration.layers * stage / layout.stages..<configuration.layers * (stage + 1) / layout.stages
            return try (0..<layout.ranks).map { rank in
                try Stage(
                    description: description,
                    slice: Slice(
                        stage: stage, stageCount: layout.stages, rank: rank, layers: layers, leavesByRank: leaves,
                        vocabularyByRank: rows, kvWeightByRank: weights.map { $0.map { Int($0 * 4) } }),
                    source: source, type: type, kvType: kvType,
                    kvPages: Slots.pages(for: kvTokens) * configuration.kvHeads,
                    threads: 1 + rank % 2,
                    progress: { _ in })
            }
        }
    }

    /// The logits of the first sequence, in chunks, the others in the same steps.
    func logits(_ sequences: [[TokenID]], chunk: Int) throws -> [Float] {
        var wanted: [Float] = []
        for start in stride(from: 0, to: sequences.map(\.count).max() ?? 0, by: chunk) {
            let segments = sequences.indices.filter { start < sequences[$0].count }.map { index in
                Segment(
                    sequence: SequenceID(UInt64(index)), start: start,
                    tokens: Array(sequences[index][start..<min(start + chunk, sequences[index].count)]), output: .logits
                )
            }
            for result in try run(segments) where result.sequence == SequenceID(0) { wanted += result.logits }
        }
        _ = try run(
            [],
            changes: sequences.indices.map(UInt64.init).flatMap { number -> [KVChange] in
                [.close(SequenceID(number)), .drop(PageRun(SequenceID(number), 0..<Int.max))]
            })
        return wanted
    }

    func run(_ segments: [Segment], changes: [KVChange] = []) throws -> [SegmentResult] {
        step += 1
        let step = Step(number: step, epoch: 1, changes: changes, segments: segments)
        var hidden: [[Float]] = []
        var results: [SegmentResult] = []
        for ranks in stages {
            let meeting = Meeting(count: ranks.count, spansHosts: spansHosts)
            let outcomes = Outcomes(count: ranks.count)
            let inputs = hidden
            let stages = ranks
            let threads = ranks.indices.map { rank in
                let thread = Thread {
                    do {
                        let output =
                            try inputs.isEmpty
                            ? stages[rank].run(step, input: nil, collective: meeting.member(rank))
                            : inputs[rank].withUnsafeBufferPointer {
                                try stages[rank].run(step, input: $0.baseAddress, collective: meeting.member(rank))
                            }
                        switch output {
                        case .hidden(let values): outcomes.set(rank, hidden: Array(values), results: [])
                        case .results(let found): outcomes.set(rank, hidden: [], results: found)
                        }
                    } catch {
                        outcomes.fail(rank, error)
                    }
                }
                thread.stackSize = 8 << 20
                thread.start()
                return thread
            }
            try outcomes.wait()
            withExtendedLifetime(threads) {}
            hidden = outcomes.hidden
            results = outcomes.results[0]
        }
        return results
    }
}

/// What the threads of one stage came back with.
private final class Outcomes: @unchecked Sendable {
    private let condition = NSCondition()
    private(set) var hidden: [[Float]]
    private(set) var results: [[SegmentResult]]
    private var left: Int
    private var error: (any Error)?

    init(count: Int) {
        hidden = [[Float]](repeating: [], count: count)
        results = [[SegmentResult]](repeating: [], count: count)
        left = count
    }

    func set(_ rank: Int, hidden: [Float], results: [SegmentResult]) {
        condition.withLock {
            self.hidden[rank] = hidden
            self.results[rank] = results
            left -= 1
            condition.broadcast()
        }
    }

    func fail(_ rank: Int, _ error: any Error) {
        condition.withLock {
            self.error = error
            left = 0
            condition.broadcast()
        }
    }

    func wait() throws {
        try condition.withLock {
            while left > 0 { condition.wait() }
            if let error { throw error }
        }
    }
}

/// Where the ranks of a stage meet: everybody lays down a copy, waits for all, and reads the others'.
private final class Meeting: @unchecked Sendable {
    private let condition = NSCondition()
    let count: Int
    let spansHosts: Bool
    private var laid: [Int: [[([Float], Range<Int>)]]] = [:]
    private var posted: [[Int]: [([Float], Range<Int>)]] = [:]

    init(count: Int, spansHosts: Bool) {
        self.count = count
        self.spansHosts = spansHosts
    }

    func member(_ rank: Int) -> Member { Member(self, rank) }

    func post(_ values: [([Float], Range<Int>)], from: Int, to: Int, round: Int) {
        condition.withLock {
            posted[[round, from, to]] = values
            condition.broadcast()
        }
    }

    func collect(from: Int, to: Int, round: Int) -> [([Float], Range<Int>)] {
        condition.withLock {
            while true {
                if let values = posted.removeValue(forKey: [round, from, to]) { return values }
                condition.wait()
            }
        }
    }

    func meet(_ rank: Int, round: Int, _ values: [([Float], Range<Int>)]) -> [[([Float], Range<Int>)]] {
        condition.withLock {
            var table = laid[round] ?? Array(repeating: [], count: count)
            table[rank] = values + [([], 0..<0)]
            laid[round] = table
            condition.broadcast()
            while true {
                if let table = laid[round], table.allSatisfy({ !$0.isEmpty }) {
                    return table.map { Array($0.dropLast()) }
                }
                condition.wait()
            }
        }
    }

    final class Member: Collective {
        private let meeting: Meeting
        private let rank: Int
        private var round = 0
        private var kept: [[Float]] = []
        private var pointers: [UnsafeMutablePointer<Float>] = []

        init(_ meeting: Meeting, _ rank: Int) {
            self.meeting = meeting
            self.rank = rank
        }

        deinit { for pointer in pointers { pointer.deallocate() } }

        private func keep(_ values: [Float]) -> UnsafeBufferPointer<Float> {
            let copy = UnsafeMutablePointer<Float>.allocate(capacity: max(values.count, 1))
            copy.initialize(from: values, count: values.count)
            pointers.append(copy)
            return UnsafeBufferPointer(start: copy, count: values.count)
        }

        var spansHosts: Bool { meeting.spansHosts }

        func open() -> UInt32 {
            round += 1
            return UInt32(round)
        }

        func send(_ roots: [SubtreeRoot], elements: Range<Int>, to other: Int, in exchange: UInt32) {
            meeting.post(
                roots.map { (Array(UnsafeBufferPointer(start: $0.values, count: elements.upperBound)), $0.leaves) },
                from: rank, to: other, round: Int(exchange))
        }

        func receive(elements: Range<Int>, in exchange: UInt32) -> [SubtreeRoot] {
            (0..<meeting.count).filter { $0 != rank }.flatMap { other in
                meeting.collect(from: other, to: rank, round: Int(exchange)).compactMap { values, leaves in
                    // What another's rank is not for this one must not be read.
                    let known = values.indices.map { elements.contains($0) ? values[$0] : .nan }
                    return keep(known).baseAddress.map { SubtreeRoot(leaves: leaves, values: UnsafePointer($0)) }
                }
            }
        }

        func spread(_ values: UnsafeBufferPointer<Float>, in exchange: UInt32) {
            for other in 0..<meeting.count where other != rank {
                meeting.post([(Array(values), 0..<0)], from: rank, to: other, round: Int(exchange))
            }
        }

        func take(from other: Int, count: Int, in exchange: UInt32) throws -> UnsafeBufferPointer<Float> {
            let found = meeting.collect(from: other, to: rank, round: Int(exchange)).first?.0 ?? []
            guard found.count == count else {
                throw Problem.failed("rank \(other) sent \(found.count) values, expected \(count)")
            }
            return keep(found)
        }

        func trade(_ goods: Goods, _ parcels: [Parcel]) throws -> [UnsafeBufferPointer<Float>] {
            round += 1
            // Everybody lays down all its parcels; the range names whom one is for.
            let all = meeting.meet(rank, round: round, parcels.map { (Array($0.values), $0.rank..<$0.rank + 1) })
            return try parcels.map { parcel in
                let found = all[parcel.rank].first { $0.1.lowerBound == rank }?.0 ?? []
                guard found.count == parcel.expected else {
                    throw Problem.failed("rank \(parcel.rank) sent \(found.count) values, expected \(parcel.expected)")
                }
                return keep(found)
            }
        }

        func gather(_ values: UnsafeBufferPointer<Float>) throws -> [UnsafeBufferPointer<Float>] {
            round += 1
            let all = meeting.meet(rank, round: round, [(Array(values), 0..<0)])
            return rank == 0 ? all.indices.filter { $0 != 0 }.map { keep(all[$0][0].0) } : []
        }
    }
}
