import CZeroMQ
import Core
import Glibc
import Synchronization

/// The data link's dealings with libzmq.
extension DataLink {
    /// Sends header and parts without waiting; false when there is no room or no connection.
    ///
    /// When the connection is lost in mid-message libzmq takes back what it had and swallows the frames that are left;
    /// these are given to it, and the message counts as not sent.
    func attempt(
        _ socket: UnsafeMutableRawPointer, _ header: DataHeader, _ parts: [UnsafeRawBufferPointer]
    ) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: DataHeader.byteCount, alignment: 8) { bytes in
            header.encode(into: bytes)
            guard sendFrame(socket, UnsafeRawBufferPointer(bytes), more: !parts.isEmpty) else { return false }
            var isWhole = true
            for (i, part) in parts.enumerated() {
                isWhole = sendFrame(socket, part, more: i + 1 < parts.count) && isWhole
            }
            return isWhole
        }
    }

    private func sendFrame(_ socket: UnsafeMutableRawPointer, _ bytes: UnsafeRawBufferPointer, more: Bool) -> Bool {
        let flags = more ? ZMQ_DONTWAIT | ZMQ_SNDMORE : ZMQ_DONTWAIT
        while zmq_send(socket, bytes.baseAddress, bytes.count, flags) < 0 {
            if zmq_errno() != EINTR { return false }
        }
        return true
    }

    /// The next sound message that waits, or nil; what makes no sense is counted and dropped.
    func next() -> DataMessage? {
        for inlet in inlets {
            if let message = inlet.next() { return message }
            if inlet.isBroken { drop(inlet) }
        }
        return nextOfSocket()
    }

    private func nextOfSocket() -> DataMessage? {
        var first = zmq_msg_t()
        zmq_msg_init(&first)
        defer { zmq_msg_close(&first) }
        while receiveFrame(&first) {
            let bytes = UnsafeRawBufferPointer(start: zmq_msg_data(&first), count: zmq_msg_size(&first))
            let header = try? DataHeader(decoding: bytes)
            if let message = parts(of: header, more: zmq_msg_more(&first) != 0) {
                if message.header.kind.isTensor { return message }
                attach(message.header)
                continue
            }
            totals.withLock { $0.malformedReceived += 1 }
        }
        return nil
    }

    /// Receives the frames after the header; nil when they are not what it says.
    private func parts(of header: DataHeader?, more: Bool) -> DataMessage? {
        let expected = header?.parts ?? 0
        let messages = UnsafeMutablePointer<zmq_msg_t>.allocate(capacity: max(1, expected))
        var count = 0
        var isSound = header != nil
        var more = more
        var extra = zmq_msg_t()
        zmq_msg_init(&extra)
        defer { zmq_msg_close(&extra) }
        while more {
            guard let header, count < expected, isSound else {
                isSound = false
                guard receiveFrame(&extra) else { break }
                more = zmq_msg_more(&extra) != 0
                continue
            }
            zmq_msg_init(messages + count)
            let isReceived = receiveFrame(messages + count)
            isSound = isReceived && zmq_msg_size(messages + count) == header.elements * 4
            more = isReceived && zmq_msg_more(messages + count) != 0
            count += 1
        }
        guard let header, isSound, count == expected else {
            DataMessage.free(messages, count: count)
            return nil
        }
        return DataMessage(header: header, messages: messages)
    }

    private func receiveFrame(_ message: UnsafeMutablePointer<zmq_msg_t>) -> Bool {
        while zmq_msg_recv(message, pull.raw, ZMQ_DONTWAIT) < 0 {
            if zmq_errno() != EINTR { return false }
        }
        return true
    }

    /// Waits until a message came, `outlet` has room or somebody interrupts; false when `end` has come first.
    func wait(until end: ContinuousClock.Instant?, toSendOn outlet: UnsafeMutableRawPointer?) -> Bool {
        var milliseconds = -1
        if let end {
            let left = end - .now
            if left <= .zero { return false }
            milliseconds = Int(left.milliseconds)
        }
        defer { wakeUp() }
        guard fallAsleep() else { return true }
        return withUnsafeTemporaryAllocation(of: zmq_pollitem_t.self, capacity: 3) { items in
            items[0] = zmq_pollitem_t(socket: pull.raw, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0)
            items[1] = zmq_pollitem_t(socket: nil, fd: door, events: Int16(ZMQ_POLLIN), revents: 0)
            items[2] = zmq_pollitem_t(socket: outlet, fd: 0, events: Int16(ZMQ_POLLOUT), revents: 0)
            zmq_poll(items.baseAddress, outlet == nil ? 2 : 3, milliseconds)
            if items[1].revents != 0 {
                var rings: UInt64 = 0
                _ = read(door, &rings, 8)
            }
            return true
        }
    }
}
