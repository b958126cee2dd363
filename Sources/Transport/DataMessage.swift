import CZeroMQ

/// A message from another worker, readable where libzmq received it.
///
/// Its memory lives as long as the object. Only the engine thread uses it.
public final class DataMessage {
    /// What it is; every part has exactly `header.elements` floats.
    public let header: DataHeader
    private let messages: UnsafeMutablePointer<zmq_msg_t>
    private var floats: [UnsafeBufferPointer<Float>] = []
    private var copies: [UnsafeMutableRawPointer] = []

    /// Takes over `header.parts` received messages, which must have the right size.
    init(header: DataHeader, messages: UnsafeMutablePointer<zmq_msg_t>) {
        self.header = header
        self.messages = messages
        floats.reserveCapacity(header.parts)
        for part in 0..<header.parts {
            floats.append(UnsafeBufferPointer(start: aligned(messages + part), count: header.elements))
        }
    }

    deinit {
        Self.free(messages, count: header.parts)
        for copy in copies { copy.deallocate() }
    }

    /// Part `index`, valid as long as the message: who keeps the pointer keeps the message, in a property or with
    /// `withExtendedLifetime`, since a variable's last use ends its life.
    public func part(_ index: Int) -> UnsafeBufferPointer<Float> { floats[index] }

    /// Calls `body` with part `index`, and keeps the message meanwhile.
    public func withPart<Result>(
        _ index: Int, _ body: (UnsafeBufferPointer<Float>) throws -> Result
    ) rethrows -> Result {
        try withExtendedLifetime(self) { try body(floats[index]) }
    }

    /// The floats of one frame. libzmq hands out small frames in the middle of its receive buffer, wherever they came
    /// to lie; those are moved to where a float may stand.
    private func aligned(_ message: UnsafeMutablePointer<zmq_msg_t>) -> UnsafePointer<Float>? {
        guard header.elements > 0, let start = zmq_msg_data(message) else { return nil }
        if UInt(bitPattern: start) % UInt(MemoryLayout<Float>.alignment) == 0 {
            return UnsafePointer(start.assumingMemoryBound(to: Float.self))
        }
        let copy = UnsafeMutableRawPointer.allocate(byteCount: header.elements * 4, alignment: 64)
        copy.copyMemory(from: start, byteCount: header.elements * 4)
        copies.append(copy)
        return UnsafePointer(copy.assumingMemoryBound(to: Float.self))
    }

    /// Closes `count` messages and frees the memory they stand in.
    static func free(_ messages: UnsafeMutablePointer<zmq_msg_t>, count: Int) {
        for part in 0..<count { zmq_msg_close(messages + part) }
        messages.deallocate()
    }
}
