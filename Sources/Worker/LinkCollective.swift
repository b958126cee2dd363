import Core
import GLM
import Transport

/// What the ranks of a stage tell one another, over the worker's data link.
///
/// The exchanges of a step are counted: both sides know by the number what a message is. The engine's thread owns it.
final class LinkCollective: Collective {
    private let link: DataLink
    private let slice: Slice
    private let epoch: UInt32
    private var step: UInt64 = 0
    private var exchanges: UInt32 = 0
    private var held: [DataMessage] = []
    /// Time spent here since the step began: waiting for others, and sending.
    private(set) var waited = Duration.zero

    init(link: DataLink, slice: Slice, epoch: UInt32) {
        self.link = link
        self.slice = slice
        self.epoch = epoch
    }

    func begin(step: UInt64) {
        self.step = step
        exchanges = 0
        waited = .zero
    }

    /// Lets go of what the last call returned.
    func end() { held = [] }

    func exchange(_ roots: [SubtreeRoot], _ division: RowDivision) throws -> [SubtreeRoot] {
        guard slice.rankCount > 1 else { return [] }
        let start = ContinuousClock.now
        defer { waited += .now - start }
        let number = nextExchange()
        let hull = RootSpan.hull(of: roots.map(\.leaves))
        guard RootSpan.roots(of: slice.leaves, within: hull) == roots.map(\.leaves) else {
            throw Problem.failed("the sums of leaves \(slice.leaves) can not be told apart on the wire")
        }
        for rank in others {
            let range = division.elements(of: rank)
            let header = DataHeader(
                kind: .roots, epoch: epoch, step: step, sequence: number, stage: slice.stage, rank: slice.rank,
                leaves: hull, parts: roots.count, elements: range.count)
            let parts = roots.map {
                UnsafeRawBufferPointer(
                    start: $0.values + range.lowerBound, count: range.count * MemoryLayout<Float>.size)
            }
            try link.send(to: place(rank), header, parts)
        }
        held = []
        var found: [SubtreeRoot] = []
        let own = division.elements(of: slice.rank)
        for rank in others {
            let message = try link.receive(key(.roots, number, rank))
            let leaves = RootSpan.roots(of: slice.leavesByRank[rank], within: message.header.leaves)
            guard message.header.parts == leaves.count, leaves.isEmpty || message.header.elements == own.count else {
                throw Problem.failed(
                    "stage \(slice.stage) rank \(rank) sent \(message.header.parts) sums of \(message.header.elements) values, expected \(leaves.count) of \(own.count)"
                )
            }
            for (index, run) in leaves.enumerated() {
                guard let values = message.part(index).baseAddress else { continue }
                found.append(SubtreeRoot(leaves: run, values: values - own.lowerBound))
            }
            held.append(message)
        }
        return found
    }

    func trade(_ goods: Goods, _ parcels: [Parcel]) throws -> [UnsafeBufferPointer<Float>] {
        let kind: DataHeader.Kind =
            switch goods {
            case .sums: .roots
            case .attention: .attention
            case .draws: .logits
            }
        let start = ContinuousClock.now
        defer { waited += .now - start }
        let number = nextExchange()
        for parcel in parcels {
            let header = DataHeader(
                kind: kind, epoch: epoch, step: step, sequence: number, stage: slice.stage, rank: slice.rank,
                parts: parcel.values.isEmpty ? 0 : 1, elements: parcel.values.count)
            try link.send(
                to: place(parcel.rank), header, parcel.values.isEmpty ? [] : [UnsafeRawBufferPointer(parcel.values)])
        }
        held = try parcels.map { try link.receive(key(kind, number, $0.rank)) }
        return try zip(parcels, held).map { parcel, message in
            let elements = message.header.parts == 0 ? 0 : message.header.elements
            guard message.header.parts <= 1, elements == parcel.expected else {
                throw Problem.failed(
                    "stage \(slice.stage) rank \(parcel.rank) sent \(elements) values of \(goods), expected \(parcel.expected)"
                )
            }
            return elements == 0 ? UnsafeBufferPointer(start: nil, count: 0) : message.part(0)
        }
    }

    func gather(_ values: UnsafeBufferPointer<Float>) throws -> [UnsafeBufferPointer<Float>] {
        guard slice.rankCount > 1 else { return [] }
        let start = ContinuousClock.now
        defer { waited += .now - start }
        let number = nextExchange()
        guard slice.rank == 0 else {
            let header = DataHeader(
                kind: .logits, epoch: epoch, step: step, sequence: number, stage: slice.stage, rank: slice.rank,
                parts: values.isEmpty ? 0 : 1, elements: values.count)
            try link.send(to: place(0), header, values.isEmpty ? [] : [UnsafeRawBufferPointer(values)])
            return []
        }
        held = try others.map { try link.receive(key(.logits, number, $0)) }
        let rows = slice.vocabulary.isEmpty ? nil : values.count / slice.vocabulary.count
        return try zip(others, held).map { rank, message in
            let width = slice.vocabularyByRank[rank].count
            let elements = message.header.parts == 0 ? 0 : message.header.elements
            guard message.header.parts <= 1, elements == (rows ?? (width > 0 ? elements / width : 0)) * width else {
                throw Problem.failed("stage \(slice.stage) rank \(rank) sent \(elements) logits for rows of \(width)")
            }
            return message.header.parts == 0 ? UnsafeBufferPointer(start: nil, count: 0) : message.part(0)
        }
    }

    /// Sends the stage's hidden states to the same rank of the next stage.
    func pass(_ hidden: UnsafeBufferPointer<Float>) throws {
        let header = DataHeader(
            kind: .hidden, epoch: epoch, step: step, sequence: 0, stage: slice.stage, rank: slice.rank, parts: 1,
            elements: hidden.count)
        let next = (slice.stage + 1) * slice.rankCount + slice.rank
        try link.send(to: next, header, [UnsafeRawBufferPointer(hidden)])
    }

    /// The hidden states of the stage before: `count` values.
    func take(_ count: Int) throws -> DataMessage {
        let start = ContinuousClock.now
        defer { waited += .now - start }
        let message = try link.receive(
            DataKey(kind: .hidden, epoch: epoch, step: step, sequence: 0, stage: slice.stage - 1, rank: slice.rank))
        guard message.header.parts == 1, message.header.elements == count else {
            throw Problem.failed(
                "stage \(slice.stage - 1) sent \(message.header.elements) hidden values for step \(step), expected \(count)"
            )
        }
        return message
    }

    private var others: [Int] { (0..<slice.rankCount).filter { $0 != slice.rank } }

    /// A rank's number among the peers of the plan.
    private func place(_ rank: Int) -> Int { slice.stage * slice.rankCount + rank }

    private func key(_ kind: DataHeader.Kind, _ number: UInt32, _ rank: Int) -> DataKey {
        DataKey(kind: kind, epoch: epoch, step: step, sequence: number, stage: slice.stage, rank: rank)
    }

    private func nextExchange() -> UInt32 {
        exchanges &+= 1
        return exchanges
    }
}

/// Which subtrees of a run of leaves a message holds, told by one range of leaves.
///
/// A subtree whose leaves are all empty (fewer heads than leaves) has no sum. Such subtrees stand at the ends of a run,
/// never between two others, so the hull of those that are there names them.
enum RootSpan {
    /// From the first leaf to the last.
    static func hull(of roots: [Range<Int>]) -> Range<Int> {
        guard let first = roots.first, let last = roots.last else { return 0..<0 }
        return first.lowerBound..<last.upperBound
    }

    /// The subtrees of `leaves` that lie within `hull`.
    static func roots(of leaves: Range<Int>, within hull: Range<Int>) -> [Range<Int>] {
        Leaves.subtrees(of: leaves).filter { hull.lowerBound <= $0.lowerBound && $0.upperBound <= hull.upperBound }
    }
}
