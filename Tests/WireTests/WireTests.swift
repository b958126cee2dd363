import Core
import Testing

@testable import Wire

@Suite("Wire")
struct WireTests {
    @Test("every message comes back as it went", arguments: Samples.all)
    func roundTrip(message: Message) throws {
        #expect(try Message.decode(message.encode()) == message)
    }

    @Test("bytes longer than a frame take several and come back whole")
    func longBlobs() throws {
        let bytes = [UInt8](repeating: 7, count: Encoder.mostFrameBytes + 5)
        let message = Message.piece(request: 1, .success(Piece(rows: 1, rowBytes: bytes.count, bytes: bytes)))
        let frames = message.encode()
        #expect(frames.dropFirst().map(\.count) == [Encoder.mostFrameBytes, 5])
        #expect(try Message.decode(frames) == message)
    }

    @Test("another major version is refused in words, another minor is served")
    func versions() throws {
        // Field 1 is the major version, field 2 the minor: tag, value.
        let frames = Message.jobs(request: 3).encode()
        #expect(frames[0].prefix(2) == [0x08, 2])
        var other = frames
        other[0][1] = 3
        let problem = #expect(throws: Problem.self) { try Message.decode(other) }
        #expect(problem?.kind == .refused)
        #expect(problem?.message.contains("protocol 3.") == true)
        var newer = frames
        newer[0].insert(contentsOf: [0x10, 9], at: 2)
        #expect(try Message.decode(newer) == .jobs(request: 3))
    }

    @Test("a frame too few, too many, too short or too long is refused", arguments: Samples.all)
    func frames(message: Message) {
        let frames = message.encode()
        #expect(throws: Problem.self) { try Message.decode(frames + [[0]]) }
        guard frames.count > 1 else { return }
        #expect(throws: Problem.self) { try Message.decode(Array(frames.dropLast())) }
        var short = frames
        short[1].removeLast()
        #expect(throws: Problem.self) { try Message.decode(short) }
        var long = frames
        long[1].append(0)
        #expect(throws: Problem.self) { try Message.decode(long) }
    }

    @Test("nothing at all, an empty header and an oversized one are refused")
    func headers() {
        #expect(throws: Problem.self) { try Message.decode([]) }
        #expect(throws: Problem.self) { try Message.decode([[]]) }
        #expect(throws: Problem.self) {
            try Message.decode([[UInt8](repeating: 0, count: Decoder.mostHeaderBytes + 1)])
        }
    }

    @Test("unknown bodies, enums and impossible numbers are refused")
    func unknown() {
        let known: [UInt8] = [0x08, 1]
        // No body; body 200; problem kind 0 and 99.
        let headers: [[UInt8]] = [
            known, known + [0xc2, 0x0c, 0], known + [0x82, 0x02, 2, 0x08, 0], known + [0x82, 0x02, 2, 0x08, 99],
        ]
        for header in headers { #expect(throws: Problem.self) { try Message.decode([header]) } }
        let impossible: [Message] = [
            .loading(epoch: 1, fraction: .nan), .loading(epoch: 1, fraction: 1.5),
            .workerHello(WorkerHello(worker: WorkerID(""), threads: 1, memoryBytes: 1, dataEndpoint: "")),
            .workerHello(WorkerHello(worker: WorkerID("a\nb"), threads: 1, memoryBytes: 1, dataEndpoint: "")),
            .ready(Ready(epoch: 1, weightBytes: .max, kvPages: 0, kvPageBytes: 0)),
            .piece(request: 1, .success(Piece(rows: 2, rowBytes: 2, bytes: [1]))),
            .piece(request: 1, .success(Piece(rows: 1 << 40, rowBytes: 1 << 40, bytes: [1]))),
            .step(
                Step(
                    number: 1, epoch: 1,
                    segments: [Segment(sequence: SequenceID(1), start: 0, tokens: [], output: .none)])),
            .step(
                Step(
                    number: 1, epoch: 1,
                    segments: [Segment(sequence: SequenceID(1), start: 0, tokens: [-1], output: .none)])),
            .submit(
                request: 1,
                JobRequest(
                    prompt: [1], options: GenerationOptions(sampling: SamplingOptions(topP: 0)), endsWithClient: false)),
        ]
        for message in impossible { #expect(throws: Problem.self) { try Message.decode(message.encode()) } }
    }

    @Test("slices that do not fit their layout are refused")
    func slices() {
        func assign(_ layout: Layout, _ change: (inout Slice) -> Void) -> Message {
            var slice = Samples.slice
            change(&slice)
            return .assign(
                Assignment(
                    epoch: 1, layout: layout, slice: slice, peers: [], modelDescription: [], kvPages: 0, digest: ""))
        }
        let layout = Layout(stages: 2, ranks: 3)
        #expect(throws: Never.self) { try Message.decode(assign(layout) { _ in }.encode()) }
        let wrong = [
            assign(Layout(stages: 2, ranks: 2)) { _ in }, assign(layout) { $0.stage = 2 },
            assign(layout) { $0.rank = 3 },
            assign(layout) { $0.leavesByRank = [0..<3, 4..<6, 6..<8] },
            assign(layout) { $0.leavesByRank = [0..<3, 3..<6, 6..<7] }, assign(layout) { $0.leavesByRank = [] },
            assign(layout) { $0.vocabularyByRank = [0..<5] },
        ]
        for message in wrong { #expect(throws: Problem.self) { try Message.decode(message.encode()) } }
    }

    @Test("twenty thousand damaged messages are decoded or refused, never more than that")
    func fuzz() {
        var random = Numbers(state: 0x6c6d)
        var decoded = 0
        for round in 0..<20_000 {
            var frames = Samples.all[round % Samples.all.count].encode()
            for _ in 0...random.below(3) { damage(&frames, &random) }
            do {
                // What is accepted can be sent on.
                let message = try Message.decode(frames)
                _ = message.encode()
                decoded += 1
            } catch let problem as Problem {
                #expect(!problem.message.isEmpty)
            } catch {
                Issue.record("\(error)")
            }
        }
        // Damage to a number or a letter makes another valid message, so some must pass: the fuzz reaches the depths.
        #expect((1000..<19_000).contains(decoded))
    }

    private func damage(_ frames: inout [[UInt8]], _ random: inout Numbers) {
        guard !frames.isEmpty else { return }
        let f = random.below(4) == 0 ? random.below(frames.count) : 0
        let size = frames[f].count
        switch random.below(16) {
        case 0, 1: frames[f] = (0..<random.below(64)).map { _ in UInt8(random.below(256)) }
        case 2: frames[f].removeLast(random.below(size + 1))
        case 3: frames[f].insert(UInt8(random.below(256)), at: random.below(size + 1))
        case 4: frames.remove(at: f)
        case 5: frames.insert([UInt8](repeating: 0xff, count: random.below(20)), at: random.below(frames.count + 1))
        case 6 where size > 4:
            // Another message's bytes in the middle of this one's.
            let other = Samples.all[random.below(Samples.all.count)].encode()[0]
            frames[f].insert(contentsOf: other.prefix(random.below(other.count + 1)), at: random.below(size))
        case 7...9 where size > 0: frames[f][random.below(size)] = UInt8(random.below(256))
        default:
            if size > 0 { frames[f][random.below(size)] ^= 1 << UInt8(random.below(8)) }
        }
    }
}

/// Random numbers that are the same in every run (xorshift).
struct Numbers {
    var state: UInt64

    mutating func below(_ limit: Int) -> Int {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return limit <= 1 ? 0 : Int(state % UInt64(limit))
    }
}
