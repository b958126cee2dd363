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
    let spansHosts: Bool
    private var step: UInt64 = 0
    private var exchanges: UInt32 = 0
    private var held: [DataMessage] = []
    /// Time spent here since the step began: waiting for others, and sending.
    private(set) var waited = Duration.zero

    init(link: DataLink, slice: Slice, epoch: UInt32, spansHosts: Bool) {
        self.link = link
        self.slice = slice
        self.epoch = epoch
        self.spansHosts = spansHosts
    }

    func begin(step: UInt64) {
        self.step = step
        exchanges = 0
        waited = .zero
    }

    /// Lets go of what the last call returned.
    func end() { held = [] }

    func open() -> UInt32 {
        exchanges &+= 1
        return exchanges
    }

    func send(_ roots: [SubtreeRoot], elements: Range<Int>, to rank: Int, in exchange: UInt32) throws {
        let start = ContinuousClock.now
        defer { waited += .now - start }
        let hull = RootSpan.hull(of: roots.map(\.leaves))
        guard RootSpan.roots(of: slice.leaves, within: hull) == roots.map(\.leaves) else {
            throw Problem.failed("the sums of leaves \(slice.leaves) can not be told apart on the wire")
        }
        let header = DataHeader(
            kind: .roots, epoch: epoch, step: step, sequence: exchange, stage: slice.stage, rank: slice.rank,
            leaves: hull, parts: roots.count, elements: elements.count)
        let parts = roots.map {
            UnsafeRawBufferPointer(
                start: $0.values + elements.lowerBound, count: elements.count * MemoryLayout<Float>.size)
        }
        try link.send(to: place(rank), header, parts, waits: !spansHosts)
    }

    func receive(elements: Range<Int>, in exchange: UInt32) throws -> [SubtreeRoot] {
        guard slice.rankCount > 1 else { return [] }
        let start = ContinuousClock.now
        defer { waited += .now - start }
        held = []
        var found: [SubtreeRoot] = []
        for rank in others {
            let message = try link.receive(key(.roots, exchange, rank))
            let leaves = RootSpan.roots(of: slice.leavesByRank[rank], within: message.header.leaves)
            guard message.header.parts == leaves.count, leaves.isEmpty || message.header.elements == elements.count
            else {
                throw Problem.failed(
                    "stage \(slice.stage) rank \(rank) sent \(message.header.parts) sums of \(message.header.elements) values, expected \(leaves.count) of \(elements.count)"
                )
            }
            for (index, run) in leaves.enumerated() {
                guard let values = message.part(index).baseAddress else { continue }
                found.append(SubtreeRoot(leaves: run, values: values - elements.lowerBound))
            }
            held.append(message)
        }
        return found
    }

    func spread(_ values: UnsafeBufferPointer<Float>, in exchange: UInt32) throws {
        let start = ContinuousClock.now
        defer { waited += .now - start }
        for rank in others { try send(values, .roots, to: rank, in: exchange) }
    }

    func take(from rank: Int, count: Int, in exchange: UInt32) throws -> UnsafeBufferPointer<Float> {
        let start = ContinuousClock.now
        defer { waited += .now - start }
        let message = try link.receive(key(.roots, exchange, rank))
        held = [message]
        return try values(of: message, from: rank, count: count, what: "summed values")
    }

    func trade(_ goods: Goods, _ parcels: [Parcel]) throws -> [UnsafeBufferPointer<Float>] {
        let kind: DataHeader.Kind =
            switch goods {
            case .attention: .attention
            case .draws: .logits
            }
        let start = ContinuousClock.now
        defer { waited += .now - start }
        let number = open()
        for parcel in parcels { try send(parcel.values, kind, to: parcel.rank, in: number) }
        held = try parcels.map { try link.receive(key(kind, number, $0.rank)) }
        return try zip(parcels, held).map { parcel, message in
            try values(of: message, from: parcel.rank, count: parcel.expected, what: "values of \(goods)")
        }
    }

    private func send(
        _ values: UnsafeBufferPointer<Float>, _ kind: DataHeader.Kind, to rank: Int, in exchange: UInt32
    ) throws {
        let header = DataHeader(
            kind: kind, epoch: epoch, step: step, sequence: exchange, stage: slice.stage, rank: slice.rank,
            parts: values.isEmpty ? 0 : 1, elements: values.count)
        try link.send(
            to: place(rank), header, values.isEmpty ? [] : [UnsafeRawBufferPointer(values)], waits: !spansHosts)
    }

    /// A message's one part, which must have `count` values; a message without a part has none.
    private func values(
        of message: DataMessage, from rank: Int, count: Int, what: String
    ) throws -> UnsafeBufferPointer<Float> {
        let elements = message.header.parts == 0 ? 0 : message.header.elements
        guard message.header.parts <= 1, elements == count else {
            throw Problem.failed("stage \(slice.stage) rank \(rank) sent \(elements) \(what), expected \(count)")
        }
        return elements == 0 ? UnsafeBufferPointer(start: nil, count: 0) : message.part(0)
    }

    func gather(_ values: UnsafeBufferPointer<Float>) throws -> [UnsafeBufferPointer<Float>] {
        guard slice.rankCount > 1 else { return [] }
        let start = ContinuousClock.now
        defer { waited += .now - start }
        let number = open()
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
