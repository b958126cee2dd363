import Core
import Transport
import Wire

/// Measures the link to another worker of the plan. One side begins, the other answers every message until the last.
///
/// A message of one part comes back as it went, one of two parts is large and only acknowledged, and one of none is the last. Both sides
/// do nothing else meanwhile, as in a step, so that what is measured is the link and no wait for somebody's computing.
struct LinkProbe: Sendable {
    let link: DataLink
    /// Of this worker.
    let slice: Slice
    let order: Probe

    /// Floats of a small message, and of a hidden row: 64 bytes and 16 KiB.
    private static let (small, row) = (16, 4096)
    /// Round trips of each size, fewer where they take longer than `patience` together.
    private static let (roundTrips, fewestRoundTrips) = (300, 5)
    private static let patience = Duration.milliseconds(200)
    /// Floats of each of the two parts of a large message: 1 MiB together.
    private static let large = 128 << 10
    /// Large messages that are on their way: a slow link must not have more in its queue than it can carry in a moment.
    private static let window = 4

    /// The speed, for the side that begins.
    func run() throws -> LinkSpeed? {
        guard order.begins else {
            try answer()
            return nil
        }
        var sequence: UInt32 = 0
        // The first messages wait until the other side is there, and take the socket until it has found the ring.
        _ = try roundTrip(of: Self.small, &sequence)
        let roundTrip = try roundTrip(of: Self.small, &sequence)
        let rowRoundTrip = try self.roundTrip(of: Self.row, &sequence)
        let rate = try rate(&sequence)
        return LinkSpeed(
            way: link.way(to: peer), roundTripNanoseconds: roundTrip.wholeNanoseconds,
            rowRoundTripNanoseconds: rowRoundTrip.wholeNanoseconds, bytesPerSecond: Int(rate))
    }

    private func answer() throws {
        var sequence: UInt32 = 0
        while true {
            let message = try link.receive(key(sequence))
            if message.header.parts == 1 {
                try message.withPart(0) { try send(sequence, [UnsafeRawBufferPointer($0)]) }
            } else {
                try send(sequence, [])
            }
            guard message.header.parts > 0 else { return }
            sequence &+= 1
        }
    }

    /// The median time of a message there and back.
    private func roundTrip(of floats: Int, _ sequence: inout UInt32) throws -> Duration {
        let values = [Float](repeating: 1, count: floats)
        var times: [Duration] = []
        let end = ContinuousClock.now + Self.patience
        while times.count < Self.roundTrips, times.count < Self.fewestRoundTrips || .now < end {
            let start = ContinuousClock.now
            try values.withUnsafeBytes { try send(sequence, [$0]) }
            try expect(sequence, parts: 1, elements: floats)
            times.append(start.duration(to: .now))
            sequence &+= 1
        }
        return times.sorted()[times.count / 2]
    }

    /// Bytes a second of large messages; it ends the measurement.
    private func rate(_ sequence: inout UInt32) throws -> Double {
        let values = [Float](repeating: 1, count: Self.large)
        let first = sequence
        var acknowledged = sequence
        let start = ContinuousClock.now
        repeat {
            try values.withUnsafeBytes { try send(sequence, [$0, $0]) }
            sequence &+= 1
            if sequence - acknowledged == Self.window {
                try expect(acknowledged)
                acknowledged &+= 1
            }
        } while start.duration(to: .now) < Self.patience
        try send(sequence, [])
        for last in acknowledged...sequence { try expect(last) }
        let bytes = 2 * Self.large * MemoryLayout<Float>.size * Int(sequence - first)
        return Double(bytes) / (start.duration(to: .now) / .seconds(1))
    }

    // MARK: Messages

    /// The other worker among the peers of the plan.
    private var peer: Int { order.stage * slice.rankCount + order.rank }

    private func send(_ sequence: UInt32, _ parts: [UnsafeRawBufferPointer]) throws {
        let header = DataHeader(
            kind: .probe, epoch: order.epoch, step: order.number, sequence: sequence, stage: slice.stage,
            rank: slice.rank, parts: parts.count, elements: (parts.first?.count ?? 0) / MemoryLayout<Float>.size)
        try link.send(to: peer, header, parts)
    }

    private func expect(_ sequence: UInt32, parts: Int = 0, elements: Int = 0) throws {
        let header = try link.receive(key(sequence)).header
        guard header.parts == parts, header.elements == elements else {
            throw Problem.failed(
                "stage \(order.stage) rank \(order.rank) answered \(parts) parts of \(elements) values with \(header.parts) of \(header.elements) while the link was measured"
            )
        }
    }

    private func key(_ sequence: UInt32) -> DataKey {
        DataKey(
            kind: .probe, epoch: order.epoch, step: order.number, sequence: sequence, stage: order.stage,
            rank: order.rank)
    }
}

extension Duration {
    fileprivate var wholeNanoseconds: Int { Int(self / .nanoseconds(1)) }
}
