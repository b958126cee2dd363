import Core
import Wire

/// Requests, states and events as bytes: the messages of the wire, which knows all of their fields and trusts nothing it reads.
enum JobCodec {
    /// A request: the message's header, and the prompt as it travels behind it.
    static func encode(_ request: JobRequest) -> (header: [UInt8], prompt: [UInt8]) {
        let frames = Message.submit(request: 0, request).encode()
        return (frames[0], Array(frames.dropFirst().joined()))
    }

    /// The request that `encode` wrote.
    static func request(header: [UInt8], prompt: [UInt8]) throws -> JobRequest {
        guard case .submit(_, let request) = try Message.decode(frames(header, prompt)) else {
            throw Problem.failed("a job's request is damaged")
        }
        return request
    }

    /// A state, with its tokens.
    static func encode(_ state: JobState) -> [UInt8] {
        let frames = Message.jobIs(request: 0, state).encode()
        return list([frames[0], Array(frames.dropFirst().joined())])
    }

    /// The state that `encode` wrote.
    static func state(_ bytes: [UInt8]) throws -> JobState {
        let parts = try parts(bytes)
        guard parts.count == 2, case .jobIs(_, let state) = try Message.decode(frames(parts[0], parts[1])) else {
            throw Problem.failed("a job's state is damaged")
        }
        return state
    }

    /// Events, one after the other.
    static func encode(_ id: JobID, first: Int, _ events: [JobEvent]) -> [UInt8] {
        list(
            events.enumerated().flatMap { index, event in
                Message.event(request: 0, id, number: UInt64(first + index), event).encode()
            })
    }

    /// The events that `encode` wrote.
    static func events(_ bytes: [UInt8]) throws -> [JobEvent] {
        try parts(bytes).map { part in
            guard case .event(_, _, _, let event) = try Message.decode([part]) else {
                throw Problem.failed("a job's events are damaged")
            }
            return event
        }
    }

    private static func frames(_ header: [UInt8], _ rest: [UInt8]) -> [[UInt8]] {
        rest.isEmpty ? [header] : [header, rest]
    }

    /// Parts, each behind its length of 4 bytes.
    private static func list(_ parts: [[UInt8]]) -> [UInt8] {
        var bytes: [UInt8] = []
        for part in parts {
            withUnsafeBytes(of: UInt32(part.count).littleEndian) { bytes.append(contentsOf: $0) }
            bytes.append(contentsOf: part)
        }
        return bytes
    }

    private static func parts(_ bytes: [UInt8]) throws -> [[UInt8]] {
        var parts: [[UInt8]] = []
        var at = 0
        while at < bytes.count {
            guard at + 4 <= bytes.count else { throw Problem.failed("a part of the store is torn") }
            let length = bytes[at..<at + 4].reversed().reduce(0) { $0 << 8 | Int($1) }
            at += 4
            guard length <= bytes.count - at else { throw Problem.failed("a part of the store is torn") }
            parts.append(Array(bytes[at..<at + length]))
            at += length
        }
        return parts
    }
}
