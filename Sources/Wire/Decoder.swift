import CProtobufC
import CWire
import Core

/// Turns frames into a message and trusts nothing in them.
///
/// Sizes are checked against the frames, counts and ranges against limits, enums against what we know, texts against
/// UTF-8; sub-messages that a message needs must be there and no frame may be left over. What passes can be used
/// without a second look, except for what only its receiver knows (is the token in the vocabulary, is the job ours).
struct Decoder: ~Copyable {
    private let frames: [[UInt8]]
    private var next = 1

    /// A header may not be longer; what is long travels in blobs. It bounds what protobuf-c allocates for it.
    static let mostHeaderBytes = 4 << 20
    /// Bytes, tokens and microseconds are numbers below this, so that sums of a few can not overflow.
    static let mostCount: UInt64 = 1 << 52
    /// Stages, ranks, peers or threads: no cluster has more.
    static let mostMembers: UInt64 = 4096

    static func message(in frames: [[UInt8]]) throws -> Message {
        guard let header = frames.first, header.count <= mostHeaderBytes else {
            throw Problem.invalid("message: expected a header of at most \(mostHeaderBytes) bytes")
        }
        guard let envelope = wire__envelope__unpack(nil, header.count, header) else {
            throw Problem.invalid("message: the header is not the protobuf of proto/wire.proto")
        }
        defer { wire__envelope__free_unpacked(envelope, nil) }
        let major = envelope.pointee.protocol_major
        guard major == ProtocolVersion.current.major else {
            throw Problem.refused(
                "the other side speaks protocol \(major).\(envelope.pointee.protocol_minor), this one "
                    + "\(ProtocolVersion.current); run the same release on both")
        }
        var decoder = Decoder(frames: frames)
        let message = try decoder.message(in: envelope.pointee)
        guard decoder.next == frames.count else {
            throw Problem.invalid("message: \(frames.count - decoder.next) frames more than the header accounts for")
        }
        return message
    }

    private init(frames: [[UInt8]]) { self.frames = frames }

    private mutating func message(in envelope: Wire__Envelope) throws -> Message {
        let request = envelope.request
        switch envelope.body_case {
        case WIRE__ENVELOPE__BODY_WORKER_HELLO: return .workerHello(try workerHello(the(envelope.worker_hello)))
        case WIRE__ENVELOPE__BODY_READY: return .ready(try ready(the(envelope.ready)))
        case WIRE__ENVELOPE__BODY_RESTORED:
            let restored = try the(envelope.restored)
            return .restored(
                epoch: restored.epoch, SequenceID(restored.sequence), pages: try count(restored.pages))
        case WIRE__ENVELOPE__BODY_STORED:
            let stored = try the(envelope.stored)
            return .stored(epoch: stored.epoch, keys: try keys(stored.keys), gone: try keys(stored.gone))
        case WIRE__ENVELOPE__BODY_PROBED:
            let probed = try the(envelope.probed)
            return .probed(epoch: probed.epoch, number: probed.number, try linkSpeed(the(probed.speed)))
        case WIRE__ENVELOPE__BODY_LOADING:
            let loading = try the(envelope.loading)
            guard loading.fraction >= 0, loading.fraction <= 1 else {
                throw Problem.invalid("message: a fraction of \(loading.fraction)")
            }
            return .loading(epoch: loading.epoch, fraction: loading.fraction)
        case WIRE__ENVELOPE__BODY_FAILED:
            let failed = try the(envelope.failed)
            return .failed(epoch: failed.epoch, try problem(the(failed.problem)))
        case WIRE__ENVELOPE__BODY_STEP_DONE: return .stepDone(try stepDone(the(envelope.step_done)))
        case WIRE__ENVELOPE__BODY_WORKER_HEARTBEAT:
            return .workerHeartbeat(try workerHeartbeat(the(envelope.worker_heartbeat)))
        case WIRE__ENVELOPE__BODY_FETCH: return .fetch(request: request, try fetch(the(envelope.fetch)))
        case WIRE__ENVELOPE__BODY_GOODBYE: return .goodbye
        case WIRE__ENVELOPE__BODY_WELCOME:
            let welcome = try the(envelope.welcome)
            let interval = try duration(welcome.heartbeat_microseconds)
            guard interval >= .milliseconds(1) else {
                throw Problem.invalid("message: a heartbeat interval of \(interval)")
            }
            return .welcome(Welcome(heartbeatInterval: interval, model: try name(welcome.model)))
        case WIRE__ENVELOPE__BODY_REFUSED: return .refused(try problem(the(envelope.refused)))
        case WIRE__ENVELOPE__BODY_ASSIGN: return .assign(try assignment(the(envelope.assign)))
        case WIRE__ENVELOPE__BODY_ACTIVATE: return .activate(epoch: try the(envelope.activate).epoch)
        case WIRE__ENVELOPE__BODY_STEP: return .step(try step(the(envelope.step)))
        case WIRE__ENVELOPE__BODY_PROBE: return .probe(try probe(the(envelope.probe)))
        case WIRE__ENVELOPE__BODY_PIECE: return .piece(request: request, try piece(the(envelope.piece)))
        case WIRE__ENVELOPE__BODY_HEARTBEAT: return .heartbeat
        case WIRE__ENVELOPE__BODY_SHUTDOWN: return .shutdown
        case WIRE__ENVELOPE__BODY_GATEWAY_HELLO: return .gatewayHello(name: try name(the(envelope.gateway_hello).name))
        case WIRE__ENVELOPE__BODY_MODEL: return .model(request: request)
        case WIRE__ENVELOPE__BODY_SUBMIT: return .submit(request: request, try jobRequest(the(envelope.submit)))
        case WIRE__ENVELOPE__BODY_EVENTS: return .events(request: request, try job(envelope.events))
        case WIRE__ENVELOPE__BODY_CANCEL: return .cancel(request: request, try job(envelope.cancel))
        case WIRE__ENVELOPE__BODY_JOBS: return .jobs(request: request)
        case WIRE__ENVELOPE__BODY_JOB: return .job(request: request, try job(envelope.job))
        case WIRE__ENVELOPE__BODY_STATUS: return .status(request: request)
        case WIRE__ENVELOPE__BODY_STEPS: return .steps(request: request)
        case WIRE__ENVELOPE__BODY_LINKS: return .links(request: request)
        case WIRE__ENVELOPE__BODY_SCALE:
            let wish = try the(envelope.scale)
            return .scale(request: request, wish.stages == 0 && wish.ranks == 0 ? nil : try layout(wish))
        case WIRE__ENVELOPE__BODY_DRAIN:
            return .drain(request: request, WorkerID(try name(the(envelope.drain).worker)))
        case WIRE__ENVELOPE__BODY_KEYS: return .keys(request: request)
        case WIRE__ENVELOPE__BODY_KEEP: return .keep(request: request, try record(the(envelope.keep)))
        case WIRE__ENVELOPE__BODY_RECORD:
            let wish = try the(envelope.record)
            return .record(request: request, try recordName(wish), withData: wish.with_data != 0)
        case WIRE__ENVELOPE__BODY_RECORDS:
            return .records(request: request, try recordName(the(envelope.records)))
        case WIRE__ENVELOPE__BODY_FORGET: return .forget(request: request, try recordName(the(envelope.forget)))
        case WIRE__ENVELOPE__BODY_KEYS_ARE: return .keysAre(request: request, try keyList(the(envelope.keys_are)))
        case WIRE__ENVELOPE__BODY_RECORDS_ARE:
            return .recordsAre(request: request, try recordList(the(envelope.records_are)))
        case WIRE__ENVELOPE__BODY_MODEL_IS: return .modelIs(request: request, try modelCard(the(envelope.model_is)))
        case WIRE__ENVELOPE__BODY_ACCEPTED:
            let accepted = try the(envelope.accepted)
            return .accepted(
                request: request, JobID(try name(accepted.job)), isKept: accepted.is_kept != 0)
        case WIRE__ENVELOPE__BODY_PROBLEM: return .problem(request: request, try problem(the(envelope.problem)))
        case WIRE__ENVELOPE__BODY_EVENT:
            let event = try the(envelope.event)
            return .event(
                request: request, JobID(try name(event.job)), number: event.number, try jobEvent(event))
        case WIRE__ENVELOPE__BODY_EVENTS_END: return .eventsEnd(request: request, try job(envelope.events_end))
        case WIRE__ENVELOPE__BODY_DONE: return .done(request: request)
        case WIRE__ENVELOPE__BODY_JOB_LIST:
            let list = try the(envelope.job_list)
            var states: [JobState] = []
            for i in 0..<list.n_jobs { states.append(try jobState(the(list.jobs[i]))) }
            return .jobList(request: request, states)
        case WIRE__ENVELOPE__BODY_JOB_IS: return .jobIs(request: request, try jobState(the(envelope.job_is)))
        case WIRE__ENVELOPE__BODY_STATUS_IS:
            return .statusIs(request: request, try clusterStatus(the(envelope.status_is)))
        case WIRE__ENVELOPE__BODY_STEPS_ARE:
            return .stepsAre(request: request, try stepRecords(the(envelope.steps_are)))
        case WIRE__ENVELOPE__BODY_LINKS_ARE:
            return .linksAre(request: request, try linkRates(the(envelope.links_are)))
        default:
            throw Problem.invalid("message: a body that this release does not know; run the same release on both sides")
        }
    }
}

/// The small parts that all messages are made of.
extension Decoder {
    /// The message that `pointer` leads to; it must be there.
    func the<T>(_ pointer: UnsafeMutablePointer<T>?) throws -> T {
        guard let pointer else { throw Problem.invalid("message: a part that it needs is missing") }
        return pointer.pointee
    }

    func count(_ value: UInt64, most: UInt64 = Decoder.mostCount) throws -> Int {
        guard value <= most else { throw Problem.invalid("message: a count of \(value), more than \(most)") }
        return Int(value)
    }

    func small(_ value: UInt32) throws -> Int { try count(UInt64(value), most: Self.mostMembers) }

    func duration(_ microseconds: UInt64) throws -> Duration { .microseconds(try count(microseconds)) }

    func range(_ range: Wire__Range) throws -> Range<Int> {
        let (lower, upper) = (try count(range.lower), try count(range.upper))
        guard lower <= upper else { throw Problem.invalid("message: a range from \(lower) back to \(upper)") }
        return lower..<upper
    }

    func range(_ pointer: UnsafeMutablePointer<Wire__Range>?) throws -> Range<Int>? {
        guard let pointer else { return nil }
        return try range(pointer.pointee)
    }

    /// The partner of `value` in `table`.
    func ours<Ours, Theirs: RawRepresentable<UInt32>>(
        _ value: Theirs, in table: [(Ours, Theirs)], what: String
    ) throws -> Ours {
        guard let pair = table.first(where: { $0.1.rawValue == value.rawValue }) else {
            throw Problem.invalid("message: \(what) number \(value.rawValue) is not known to this release")
        }
        return pair.0
    }

    /// One line of text, such as a name.
    func name(_ pointer: UnsafeMutablePointer<CChar>?) throws -> String {
        let name = try text(pointer)
        guard Message.canName(name) else {
            throw Problem.invalid(
                "message: a name that is longer than \(Message.mostNameBytes) bytes or more than one line")
        }
        return name
    }

    func text(_ pointer: UnsafeMutablePointer<CChar>?) throws -> String {
        guard let pointer else { return "" }
        guard let text = String(validatingCString: pointer) else {
            throw Problem.invalid("message: a text is not UTF-8")
        }
        return text
    }

    func text(_ bytes: ProtobufCBinaryData) throws -> String {
        let utf8 = UnsafeBufferPointer(start: bytes.data, count: bytes.data == nil ? 0 : bytes.len)
        guard let text = String(validating: utf8, as: UTF8.self) else {
            throw Problem.invalid("message: a text is not UTF-8")
        }
        return text
    }

    func job(_ pointer: UnsafeMutablePointer<Wire__Job>?) throws -> JobID { JobID(try name(the(pointer).job)) }

    /// The bytes of `blob`: as many whole frames as hold them.
    mutating func bytes(_ blob: UnsafeMutablePointer<Wire__Blob>?) throws -> [UInt8] {
        guard let blob else { return [] }
        var left = try count(blob.pointee.bytes)
        var bytes: [UInt8] = []
        while left > 0 {
            guard next < frames.count, !frames[next].isEmpty, frames[next].count <= left else {
                throw Problem.invalid(
                    "message: its frames do not hold the \(blob.pointee.bytes) bytes that its header announces")
            }
            left -= frames[next].count
            if bytes.isEmpty { bytes = frames[next] } else { bytes += frames[next] }
            next += 1
        }
        return bytes
    }

    /// The 4-byte numbers in `blob`.
    mutating func words<T: BitwiseCopyable>(_ blob: UnsafeMutablePointer<Wire__Blob>?, as: T.Type) throws -> [T] {
        let bytes = try bytes(blob)
        guard bytes.count % 4 == 0, MemoryLayout<T>.size == 4 else {
            throw Problem.invalid("message: \(bytes.count) bytes are no whole number of 4-byte elements")
        }
        return [T](unsafeUninitializedCapacity: bytes.count / 4) { out, count in
            UnsafeMutableRawBufferPointer(out).copyBytes(from: bytes)
            count = bytes.count / 4
        }
    }

    mutating func tokens(_ blob: UnsafeMutablePointer<Wire__Blob>?) throws -> [TokenID] {
        let tokens = try words(blob, as: TokenID.self)
        guard tokens.allSatisfy({ $0 >= 0 }) else { throw Problem.invalid("message: a token below 0") }
        return tokens
    }
}
