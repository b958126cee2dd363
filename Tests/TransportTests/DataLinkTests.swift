import Core
import Testing
import Threads

@testable import Transport

@Suite("Data link")
struct DataLinkTests {
    private func header(
        epoch: UInt32 = 1, step: UInt64 = 1, sequence: UInt32 = 0, rank: Int = 0, parts: Int = 1, elements: Int = 4,
        leaves: Range<Int> = 0..<8
    ) -> DataHeader {
        DataHeader(
            kind: .roots, epoch: epoch, step: step, sequence: sequence, stage: 0, rank: rank, leaves: leaves,
            parts: parts,
            elements: elements)
    }

    private func send(_ link: DataLink, _ header: DataHeader, _ value: Float) throws {
        let values = [Float](repeating: value, count: header.elements)
        try values.withUnsafeBytes { bytes in
            try link.send(to: 0, header, Array(repeating: bytes, count: header.parts), timeout: patience)
        }
    }

    /// Two links over ipc that have begun epoch 1, each the other's only peer.
    private func pair(_ context: Context, highWater: Int = 64) throws -> (DataLink, DataLink) {
        let a = try DataLink(context: context, endpoint: "ipc://*", highWater: highWater)
        let b = try DataLink(context: context, endpoint: "tcp://127.0.0.1:0", highWater: highWater)
        try a.begin(epoch: 1, peers: [DataPeer(endpoint: b.endpoint)])
        try b.begin(epoch: 1, peers: [DataPeer(endpoint: a.endpoint)])
        return (a, b)
    }

    @Test("tensors of every size arrive as they went, in both directions, between two threads")
    func exchange() throws {
        let (a, b) = try pair(Context())
        let sizes = [0, 1, 3, 8, 16, 1000, 2047, 65_536, 1 << 20]
        let other = Thread(name: "other") {
            for (i, size) in sizes.enumerated() {
                let header = header(step: UInt64(i), parts: 2, elements: size)
                try? send(b, header, Float(i) + 0.5)
                let message = try? b.receive(header.key, timeout: patience)
                #expect(message?.values == [Float](repeating: Float(i), count: 2 * size))
            }
        }
        for (i, size) in sizes.enumerated() {
            let header = header(step: UInt64(i), parts: 2, elements: size, leaves: 0..<3)
            try send(a, header, Float(i))
            let message = try a.receive(header.key, timeout: patience)
            #expect(message.header.leaves == 0..<8)
            #expect(message.values == [Float](repeating: Float(i) + 0.5, count: 2 * size))
        }
        other.join()
        #expect(a.counters.traffic.total.messages == 9)
        #expect(a.counters.traffic.total.bytes == UInt64(sizes.reduce(0) { $0 + 48 + 8 * $1 }))
        #expect(a.counters.malformedReceived == 0 && b.counters.malformedReceived == 0)
    }

    @Test("messages that come early wait for their turn")
    func outOfOrder() throws {
        let (a, b) = try pair(Context())
        for i in 0..<50 { try send(a, header(step: UInt64(i / 10), sequence: UInt32(i % 10)), Float(i)) }
        for i in (0..<50).reversed() {
            let message = try b.receive(header(step: UInt64(i / 10), sequence: UInt32(i % 10)).key, timeout: patience)
            #expect(message.values[3] == Float(i))
        }
    }

    @Test("messages of an older epoch are dropped, those of a newer one kept")
    func epochs() throws {
        let (a, b) = try pair(Context())
        try b.begin(epoch: 2, peers: [])
        try send(a, header(epoch: 1), 1)
        try send(a, header(epoch: 3), 3)
        try send(a, header(epoch: 2), 2)
        #expect(try b.receive(header(epoch: 2).key, timeout: patience).values[0] == 2)
        #expect(b.counters.staleReceived == 1)
        try b.begin(epoch: 3, peers: [])
        #expect(try b.receive(header(epoch: 3).key, timeout: patience).values[0] == 3)
        try send(a, header(epoch: 3, step: 9), 9)
        try send(a, header(epoch: 3, step: 8), 8)
        _ = try b.receive(header(epoch: 3, step: 8).key, timeout: patience)
        try b.begin(epoch: 4, peers: [])
        #expect(b.counters.staleReceived == 2)
    }

    @Test("garbage on a data socket is counted and dropped, and the next message arrives")
    func garbage() throws {
        let context = try Context()
        let (a, b) = try pair(context)
        let stranger = try Socket(context, .push)
        try stranger.connect(b.endpoint)
        var bytes = [UInt8](repeating: 0, count: DataHeader.byteCount)
        let wanted = header(elements: 2)
        bytes.withUnsafeMutableBytes { wanted.encode(into: $0) }
        func changed(_ offset: Int, _ value: UInt8) -> [UInt8] {
            var changed = bytes
            changed[offset] = value
            return changed
        }
        let part = [UInt8](repeating: 0, count: 8)
        let junk: [[[UInt8]]] = [
            [[]], [[1, 2, 3]], [[1, 2, 3], [4], [5]], [bytes], [bytes, part, part], [bytes, Array(part.dropLast())],
            [bytes, part + [0]], [changed(0, 0), part], [changed(4, 9), part], [changed(6, 0), part],
            [changed(6, 99), part], [changed(7, 1), part], [changed(29, 9), part], [changed(28, 9), part],
            [changed(31, 200), part], [changed(39, 0xff), part], [changed(38, 0x20), part], [changed(40, 1), part],
        ]
        for message in junk {
            while !(try stranger.send(message)) { _ = stranger.waitForMessage(timeout: .zero) }
        }
        let last = header(step: 2, elements: 2)
        var lastBytes = bytes
        lastBytes.withUnsafeMutableBytes { last.encode(into: $0) }
        #expect(try stranger.send([lastBytes, part]))
        // The stranger's messages come in order, so the junk is behind us when its last one is here.
        #expect(try b.receive(last.key, timeout: patience).values.count == 2)
        #expect(b.counters.malformedReceived == UInt64(junk.count))
        try send(a, header(elements: 2), 5)
        #expect(try b.receive(wanted.key, timeout: patience).values[1] == 5)
    }

    @Test("an interruption ends a receive that waits, and every one after it, until the next plan begins")
    func interrupt() throws {
        let (a, b) = try pair(Context())
        let waiting = Mailbox<Void>()
        let ended = Mailbox<Problem?>()
        let engine = Thread(name: "engine") {
            waiting.put(())
            do {
                _ = try b.receive(header().key)
                ended.put(nil)
            } catch {
                ended.put(error as? Problem)
            }
        }
        _ = waiting.take(timeout: patience)
        b.interrupt(.failed("worker ada is lost"), epoch: 1)
        #expect(ended.take(timeout: patience) == .failed("worker ada is lost"))
        engine.join()
        #expect(throws: Problem.self) { try b.receive(header().key, timeout: patience) }
        try b.begin(epoch: 2, peers: [])
        b.interrupt(.failed("late news of the old plan"), epoch: 1)
        try send(a, header(epoch: 2), 1)
        #expect(try b.receive(header(epoch: 2).key, timeout: patience).values[0] == 1)
    }

    @Test("an interruption ends a send to a peer that is not there")
    func interruptSend() throws {
        let link = try DataLink(context: Context(), endpoint: "ipc://*")
        try link.begin(epoch: 1, peers: [DataPeer(endpoint: "ipc://\(link.endpoint.dropFirst(6))-none")])
        let ended = Mailbox<Bool>()
        let engine = Thread(name: "engine") {
            ended.put((try? send(link, header(), 1)) == nil)
        }
        link.interrupt(.failed("worker ada is lost"))
        #expect(ended.take(timeout: patience) == true)
        engine.join()
    }

    @Test("waiting ends with its time, and a peer out of range is a problem")
    func timeouts() throws {
        let (a, _) = try pair(Context())
        let problem = #expect(throws: Problem.self) { try a.receive(header().key, timeout: .milliseconds(2)) }
        #expect(problem?.kind == .unavailable)
        #expect(throws: Problem.self) { try a.send(to: 1, header(parts: 0, elements: 0), []) }
    }

    @Test("two peers that both send more than fits do not wait for each other for ever")
    func crossing() throws {
        let (a, b) = try pair(Context(), highWater: 1)
        let count = 200
        @Sendable func talk(_ link: DataLink) -> Int {
            var sum = 0
            for i in 0..<count { try? send(link, header(step: UInt64(i), elements: 5000), Float(i)) }
            for i in 0..<count {
                let message = try? link.receive(header(step: UInt64(i), elements: 5000).key, timeout: patience)
                sum += Int(message?.values[4999] ?? 0)
            }
            return sum
        }
        let sum = Mailbox<Int>()
        let other = Thread(name: "other") { sum.put(talk(b)) }
        #expect(talk(a) == count * (count - 1) / 2)
        #expect(sum.take(timeout: patience) == count * (count - 1) / 2)
        other.join()
    }

    @Test("a private ipc folder is gone with its link")
    func folder() throws {
        var link: DataLink? = try DataLink(context: Context(), endpoint: "ipc://*")
        let path = try #require(link?.endpoint.dropFirst("ipc://".count))
        let folder = String(path.prefix(path.count - "/data".count))
        #expect(mode(folder) == 0o700)
        link = nil
        #expect(mode(folder) == 0)
    }

    @Test("headers come back as they went")
    func headers() throws {
        var bytes = [UInt8](repeating: 0xaa, count: DataHeader.byteCount)
        for kind in DataHeader.Kind.allCases {
            let header = DataHeader(
                kind: kind, epoch: .max, step: .max, sequence: 77, stage: 3, rank: 7, leaves: 6..<8, parts: 64,
                elements: 1 << 40)
            bytes.withUnsafeMutableBytes { header.encode(into: $0) }
            #expect(try bytes.withUnsafeBytes { try DataHeader(decoding: $0) } == header)
        }
    }
}

extension DataMessage {
    /// The floats of all parts.
    var values: [Float] { (0..<header.parts).flatMap { withPart($0) { Array($0) } } }
}
