import Core
import Glibc
import Testing
import Threads

@testable import Transport

@Suite("Shared memory between workers of one host")
struct RingTests {
    private func header(_ step: UInt64, parts: Int = 1, elements: Int) -> DataHeader {
        DataHeader(kind: .roots, epoch: 1, step: step, sequence: 0, stage: 0, rank: 0, parts: parts, elements: elements)
    }

    private func send(_ link: DataLink, _ header: DataHeader, _ value: Float, waits: Bool = true) throws {
        let values = (0..<header.elements).map { value + Float($0 % 1000) }
        try values.withUnsafeBytes { bytes in
            try link.send(to: 0, header, Array(repeating: bytes, count: header.parts), waits: waits, timeout: patience)
        }
    }

    private func pair() throws -> (DataLink, DataLink) {
        let context = try Context()
        let a = try DataLink(context: context, endpoint: "ipc://*")
        let b = try DataLink(context: context, endpoint: "ipc://*")
        try a.begin(epoch: 1, peers: [DataPeer(endpoint: b.endpoint)])
        try b.begin(epoch: 1, peers: [DataPeer(endpoint: a.endpoint)])
        return (a, b)
    }

    /// A writer's and a reader's side of one ring.
    private func ring() throws -> (Ring, Ring) {
        let writer = try #require(Ring())
        return (writer, try #require(Ring(opening: writer.name)))
    }

    @Test("bytes come out as they went in, over many turns of the ring, however they are cut")
    func bytes() throws {
        let (writer, reader) = try ring()
        #expect(writer.isAttached)
        var random = SystemRandomNumberGenerator()
        var (sent, received) = (0, 0)
        func byte(_ at: Int) -> UInt8 { UInt8(truncatingIfNeeded: at &* 31 &+ at >> 8) }
        while received < 5 * Ring.capacity {
            let count = Int.random(in: 0...300_000, using: &random)
            let bytes = (sent..<sent + count).map(byte)
            sent += bytes.withUnsafeBytes { writer.write($0) }
            #expect(sent - received <= Ring.capacity)
            var buffer = [UInt8](repeating: 0, count: Int.random(in: 0...300_000, using: &random))
            let got = buffer.withUnsafeMutableBytes { reader.read(into: $0) }
            #expect(buffer.prefix(got).elementsEqual((received..<received + got).map(byte)))
            received += got
        }
        #expect(!writer.isBroken && !reader.isBroken)
    }

    @Test("only the ring of that number is opened, and only one that is there")
    func names() throws {
        let writer = try #require(Ring())
        var name = writer.name
        name.number &+= 1
        #expect(Ring(opening: name) == nil)
        name = writer.name
        name.file = -1
        #expect(Ring(opening: name) == nil)
        name.file = 1 << 40
        #expect(Ring(opening: name) == nil)
        name.file = 0
        #expect(Ring(opening: name) == nil)
        name = writer.name
        name.process = .max
        #expect(Ring(opening: name) == nil)
        #expect(!writer.isAttached)
    }

    @Test("two links take their rings after the first message, for messages of every size, both ways at once")
    func links() throws {
        let (a, b) = try pair()
        let sizes = [1, 4096, 100, 3_000_000, 0, 7, 1 << 20, 4096]
        @Sendable func talk(_ link: DataLink) -> Bool {
            for (step, size) in sizes.enumerated() {
                let header = header(UInt64(step), parts: 1 + step % 3, elements: size)
                guard (try? send(link, header, Float(step))) != nil,
                    let message = try? link.receive(header.key, timeout: patience)
                else { return false }
                let expected = (0..<header.parts).flatMap { _ in (0..<size).map { Float(step) + Float($0 % 1000) } }
                guard message.values == expected else { return false }
            }
            return true
        }
        let result = Mailbox<Bool>()
        let other = Thread(name: "other") { result.put(talk(b)) }
        #expect(talk(a))
        #expect(result.take(timeout: patience) == true)
        other.join()
        #expect(a.inlets.count == 1 && b.inlets.count == 1)
        #expect(a.inlets.allSatisfy { $0.ring.isAttached })
        #expect(a.counters.malformedReceived == 0 && b.counters.malformedReceived == 0)
    }

    @Test("who does not wait for a reader that computes sends what the ring has no room for through the socket")
    func busyReader() throws {
        let (a, b) = try pair()
        try send(a, header(0, elements: 1), 0)
        _ = try b.receive(header(0, elements: 1).key, timeout: patience)
        #expect(a.way(to: 0) == .ring)
        // Nobody reads while these are sent: the first and the last fit, the one between is larger than the ring.
        let sizes = [1_000, Ring.capacity, 2_000]
        for (step, size) in sizes.enumerated() {
            try send(a, header(UInt64(step + 1), elements: size), Float(step), waits: false)
        }
        #expect(b.inlets.first?.ring.available == 2 * DataHeader.byteCount + 4 * (sizes[0] + sizes[2]))
        for (step, size) in sizes.enumerated().reversed() {
            let message = try b.receive(header(UInt64(step + 1), elements: size).key, timeout: patience)
            #expect(message.values.count == size && message.values[7] == Float(step) + 7)
        }
        #expect(a.way(to: 0) == .ring)
    }

    @Test("a reader that sleeps is woken")
    func sleeper() throws {
        let (a, b) = try pair()
        try send(a, header(0, elements: 1), 0)
        _ = try b.receive(header(0, elements: 1).key, timeout: patience)
        let ring = try #require(b.inlets.first?.ring)
        let got = Mailbox<Int>()
        let reader = Thread(name: "reader") {
            for step in 1..<6 {
                let message = try? b.receive(header(UInt64(step), elements: 9).key, timeout: patience)
                got.put(message?.values.count ?? 0)
            }
        }
        for step in 1..<6 {
            let end = ContinuousClock.now + patience
            while !ring.isReaderAsleep, .now < end { sched_yield() }
            #expect(ring.isReaderAsleep)
            try send(a, header(UInt64(step), elements: 9), 1)
            #expect(got.take(timeout: patience) == 9)
        }
        reader.join()
    }

    @Test("a writer whose reader reads no more ends with an interruption, and the next plan has a ring of its own")
    func interrupted() throws {
        let (a, b) = try pair()
        try send(a, header(0, elements: 1), 0)
        _ = try b.receive(header(0, elements: 1).key, timeout: patience)
        let ended = Mailbox<Problem?>()
        let writer = Thread(name: "writer") {
            do {
                try send(a, header(1, elements: 3_000_000), 1)
                ended.put(nil)
            } catch {
                ended.put(error as? Problem)
            }
        }
        a.interrupt(.failed("worker ada is lost"), epoch: 1)
        #expect(ended.take(timeout: patience) == .failed("worker ada is lost"))
        writer.join()
        try b.begin(epoch: 2, peers: [])
        #expect(b.inlets.isEmpty)
        try a.begin(epoch: 2, peers: [DataPeer(endpoint: b.endpoint)])
        for step in 0..<3 {
            var header = header(UInt64(step), elements: 500_000)
            header.epoch = 2
            let wanted = header
            let reader = Thread(name: "reader") {
                ended.put((try? b.receive(wanted.key, timeout: patience)) == nil ? .failed("nothing came") : nil)
            }
            try send(a, wanted, 5)
            #expect(ended.take(timeout: patience) == .some(nil))
            reader.join()
        }
        #expect(b.inlets.count == 1)
    }

    @Test("garbage in a ring ends what waits for it, in words, and touches nothing else")
    func garbage() throws {
        for junk in [[UInt8](repeating: 0xff, count: 48), Array("GLMD".utf8) + [UInt8](repeating: 9, count: 4000)] {
            let (_, b) = try pair()
            let writer = try #require(Ring())
            b.attach(.ring(writer.name, epoch: 1))
            #expect(b.inlets.count == 1)
            _ = junk.withUnsafeBytes { writer.write($0) }
            let problem = #expect(throws: Problem.self) { try b.receive(header(0, elements: 1).key, timeout: patience) }
            #expect(problem?.message.contains("unreadable") == true)
            #expect(b.inlets.isEmpty && b.counters.malformedReceived == 1)
        }
    }
}
