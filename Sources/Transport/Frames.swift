import CZeroMQ
import Core

/// Multipart messages as arrays of bytes, on raw libzmq sockets.
enum Frames {
    /// Frames and bytes a message may have; the rest of a longer one is thrown away, not kept.
    static let mostFrames = 4096
    static let mostBytes = 4 << 30

    /// The message that waits, or nil when none does. A message over the limits comes back empty.
    static func receive(_ socket: UnsafeMutableRawPointer) -> [[UInt8]]? {
        var frames: [[UInt8]] = []
        var total = 0
        var isTooLong = false
        var message = zmq_msg_t()
        zmq_msg_init(&message)
        defer { zmq_msg_close(&message) }
        while true {
            guard zmq_msg_recv(&message, socket, ZMQ_DONTWAIT) >= 0 else {
                if zmq_errno() == EINTR { continue }
                return nil
            }
            let size = zmq_msg_size(&message)
            total += size
            isTooLong = isTooLong || frames.count >= mostFrames || total > mostBytes
            if isTooLong {
                frames = []
            } else {
                frames.append([UInt8](UnsafeRawBufferPointer(start: zmq_msg_data(&message), count: size)))
            }
            if zmq_msg_more(&message) == 0 { return frames }
        }
    }

    /// Sends without waiting: 0, or the error that stopped it, with nothing sent.
    ///
    /// libzmq decides at the first frame. When the connection is lost in mid-message it takes back what it had and
    /// swallows the frames that are left, so these must still be given to it before anything else is sent.
    static func send(_ socket: UnsafeMutableRawPointer, _ frames: [[UInt8]]) -> Int32 {
        var failure: Int32 = 0
        for (i, frame) in frames.enumerated() {
            let flags = i + 1 < frames.count ? ZMQ_DONTWAIT | ZMQ_SNDMORE : ZMQ_DONTWAIT
            while zmq_send(socket, frame, frame.count, flags) < 0 {
                let code = zmq_errno()
                if code == EINTR { continue }
                if i == 0 { return code }
                failure = code
                break
            }
        }
        return failure
    }
}
