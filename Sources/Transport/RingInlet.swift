import CZeroMQ
import Core

/// Messages that come through a ring, put together as their bytes arrive.
final class RingInlet {
    let ring: Ring
    /// The sender's plan.
    let epoch: UInt32
    /// What came contradicts itself: nothing of this ring can be understood any more.
    private(set) var isBroken = false

    /// A message that has begun.
    private struct Begun {
        var header: DataHeader
        var messages: UnsafeMutablePointer<zmq_msg_t>
        var part = 0
        var offset = 0
    }

    private var begun: Begun?
    private let head = UnsafeMutableRawBufferPointer.allocate(byteCount: DataHeader.byteCount, alignment: 8)

    init(_ ring: Ring, epoch: UInt32) {
        self.ring = ring
        self.epoch = epoch
    }

    deinit {
        if let begun { DataMessage.free(begun.messages, count: begun.header.parts) }
        head.deallocate()
    }

    /// Whether `next` has something to do.
    var hasNews: Bool { ring.available > 0 || ring.isBroken }

    /// The next whole message; what there is of another is taken out of the ring.
    func next() -> DataMessage? {
        while !isBroken {
            guard var now = begun else {
                guard begin() else { return nil }
                continue
            }
            guard now.part < now.header.parts else {
                begun = nil
                return DataMessage(header: now.header, messages: now.messages)
            }
            let left = now.header.elements * 4 - now.offset
            let count = ring.read(
                into: UnsafeMutableRawBufferPointer(
                    start: zmq_msg_data(now.messages + now.part).map { $0 + now.offset }, count: left))
            now.offset += count
            if now.offset == now.header.elements * 4 { (now.part, now.offset) = (now.part + 1, 0) }
            begun = now
            if count < left {
                isBroken = ring.isBroken
                return nil
            }
        }
        return nil
    }

    /// Reads a header and makes room for what it announces; false when it is not there yet, or is none.
    private func begin() -> Bool {
        guard ring.available >= DataHeader.byteCount else {
            isBroken = ring.isBroken
            return false
        }
        _ = ring.read(into: head)
        guard let header = try? DataHeader(decoding: UnsafeRawBufferPointer(head)), header.kind.isTensor,
            header.elements * 4 <= DataLink.mostFrameBytes
        else {
            isBroken = true
            return false
        }
        let messages = UnsafeMutablePointer<zmq_msg_t>.allocate(capacity: max(1, header.parts))
        for part in 0..<header.parts where zmq_msg_init_size(messages + part, header.elements * 4) != 0 {
            DataMessage.free(messages, count: part)
            isBroken = true
            return false
        }
        begun = Begun(header: header, messages: messages)
        return true
    }
}
