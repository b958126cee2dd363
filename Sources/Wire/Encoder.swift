import CProtobufC
import CWire
import Core

/// Turns one message into frames.
///
/// The C structs of the header live in an arena until it is packed; raw bytes go straight into frames of their own.
struct Encoder: ~Copyable {
    var arena = Arena()
    private var tail: [[UInt8]] = []

    /// The longest raw frame; longer blobs take several, so that receivers can keep their limit on frames low.
    static let mostFrameBytes = 16 << 20

    mutating func frames(of message: Message) -> [[UInt8]] {
        let envelope = arena.new(wire__envelope__init)
        envelope.pointee.protocol_major = ProtocolVersion.current.major
        envelope.pointee.protocol_minor = ProtocolVersion.current.minor
        fill(envelope, message)
        let header = [UInt8](unsafeUninitializedCapacity: wire__envelope__get_packed_size(envelope)) { out, count in
            count = wire__envelope__pack(envelope, out.baseAddress)
        }
        return [header] + tail
    }

    /// Puts `bytes` into the following frames.
    mutating func blob(_ bytes: [UInt8]) -> UnsafeMutablePointer<Wire__Blob> {
        var at = 0
        while at < bytes.count {
            let end = min(at + Self.mostFrameBytes, bytes.count)
            tail.append(at == 0 && end == bytes.count ? bytes : Array(bytes[at..<end]))
            at = end
        }
        let blob = arena.new(wire__blob__init)
        blob.pointee.bytes = UInt64(bytes.count)
        return blob
    }

    /// Puts the little-endian bytes of 4-byte numbers into the following frames.
    mutating func blob<T: BitwiseCopyable>(words values: [T]) -> UnsafeMutablePointer<Wire__Blob> {
        precondition(MemoryLayout<T>.size == 4)
        return blob(values.withUnsafeBytes { Array($0) })
    }

    private mutating func nothing() -> UnsafeMutablePointer<Wire__Nothing> { arena.new(wire__nothing__init) }

    private mutating func job(_ id: JobID) -> UnsafeMutablePointer<Wire__Job> {
        let job = arena.new(wire__job__init)
        job.pointee.job = arena.place(text: id.name)
        return job
    }

    private mutating func fill(_ envelope: UnsafeMutablePointer<Wire__Envelope>, _ message: Message) {
        func ask(_ request: UInt64, _ body: Wire__Envelope__BodyCase) {
            envelope.pointee.request = request
            envelope.pointee.body_case = body
        }
        switch message {
        case .workerHello(let hello):
            ask(0, WIRE__ENVELOPE__BODY_WORKER_HELLO)
            envelope.pointee.worker_hello = workerHello(hello)
        case .ready(let ready):
            ask(0, WIRE__ENVELOPE__BODY_READY)
            envelope.pointee.ready = self.ready(ready)
        case .restored(let epoch, let sequence, let pages):
            ask(0, WIRE__ENVELOPE__BODY_RESTORED)
            let restored = arena.new(wire__restored__init)
            restored.pointee.epoch = epoch
            restored.pointee.sequence = sequence.number
            restored.pointee.pages = UInt64(clamping: pages)
            envelope.pointee.restored = restored
        case .stored(let epoch, let keys, let gone):
            ask(0, WIRE__ENVELOPE__BODY_STORED)
            let stored = arena.new(wire__stored__init)
            stored.pointee.epoch = epoch
            stored.pointee.keys = arena.place(raw: bytes(of: keys))
            stored.pointee.gone = arena.place(raw: bytes(of: gone))
            envelope.pointee.stored = stored
        case .probed(let epoch, let number, let speed):
            ask(0, WIRE__ENVELOPE__BODY_PROBED)
            envelope.pointee.probed = probed(epoch, number, speed)
        case .loading(let epoch, let fraction):
            ask(0, WIRE__ENVELOPE__BODY_LOADING)
            let loading = arena.new(wire__loading__init)
            loading.pointee.epoch = epoch
            loading.pointee.fraction = fraction
            envelope.pointee.loading = loading
        case .failed(let epoch, let what):
            ask(0, WIRE__ENVELOPE__BODY_FAILED)
            let failed = arena.new(wire__failed__init)
            failed.pointee.epoch = epoch
            failed.pointee.problem = problem(what)
            envelope.pointee.failed = failed
        case .stepDone(let done):
            ask(0, WIRE__ENVELOPE__BODY_STEP_DONE)
            envelope.pointee.step_done = stepDone(done)
        case .workerHeartbeat(let beat):
            ask(0, WIRE__ENVELOPE__BODY_WORKER_HEARTBEAT)
            envelope.pointee.worker_heartbeat = workerHeartbeat(beat)
        case .fetch(let request, let wish):
            ask(request, WIRE__ENVELOPE__BODY_FETCH)
            envelope.pointee.fetch = fetch(wish)
        case .goodbye:
            ask(0, WIRE__ENVELOPE__BODY_GOODBYE)
            envelope.pointee.goodbye = nothing()
        case .welcome(let welcome):
            ask(0, WIRE__ENVELOPE__BODY_WELCOME)
            let answer = arena.new(wire__welcome__init)
            answer.pointee.heartbeat_microseconds = microseconds(welcome.heartbeatInterval)
            answer.pointee.model = arena.place(text: welcome.model)
            envelope.pointee.welcome = answer
        case .refused(let what):
            ask(0, WIRE__ENVELOPE__BODY_REFUSED)
            envelope.pointee.refused = problem(what)
        case .assign(let assignment):
            ask(0, WIRE__ENVELOPE__BODY_ASSIGN)
            envelope.pointee.assign = assign(assignment)
        case .activate(let epoch):
            ask(0, WIRE__ENVELOPE__BODY_ACTIVATE)
            let activate = arena.new(wire__activate__init)
            activate.pointee.epoch = epoch
            envelope.pointee.activate = activate
        case .step(let order):
            ask(0, WIRE__ENVELOPE__BODY_STEP)
            envelope.pointee.step = step(order)
        case .probe(let order):
            ask(0, WIRE__ENVELOPE__BODY_PROBE)
            envelope.pointee.probe = probe(order)
        case .piece(let request, let result):
            ask(request, WIRE__ENVELOPE__BODY_PIECE)
            envelope.pointee.piece = piece(result)
        case .heartbeat:
            ask(0, WIRE__ENVELOPE__BODY_HEARTBEAT)
            envelope.pointee.heartbeat = nothing()
        case .shutdown:
            ask(0, WIRE__ENVELOPE__BODY_SHUTDOWN)
            envelope.pointee.shutdown = nothing()
        case .gatewayHello(let name):
            ask(0, WIRE__ENVELOPE__BODY_GATEWAY_HELLO)
            let hello = arena.new(wire__gateway_hello__init)
            hello.pointee.name = arena.place(text: name)
            envelope.pointee.gateway_hello = hello
        case .model(let request):
            ask(request, WIRE__ENVELOPE__BODY_MODEL)
            envelope.pointee.model = nothing()
        case .submit(let request, let wanted):
            ask(request, WIRE__ENVELOPE__BODY_SUBMIT)
            envelope.pointee.submit = submit(wanted)
        case .events(let request, let id):
            ask(request, WIRE__ENVELOPE__BODY_EVENTS)
            envelope.pointee.events = job(id)
        case .cancel(let request, let id):
            ask(request, WIRE__ENVELOPE__BODY_CANCEL)
            envelope.pointee.cancel = job(id)
        case .jobs(let request):
            ask(request, WIRE__ENVELOPE__BODY_JOBS)
            envelope.pointee.jobs = nothing()
        case .job(let request, let id):
            ask(request, WIRE__ENVELOPE__BODY_JOB)
            envelope.pointee.job = job(id)
        case .status(let request):
            ask(request, WIRE__ENVELOPE__BODY_STATUS)
            envelope.pointee.status = nothing()
        case .steps(let request):
            ask(request, WIRE__ENVELOPE__BODY_STEPS)
            envelope.pointee.steps = nothing()
        case .links(let request):
            ask(request, WIRE__ENVELOPE__BODY_LINKS)
            envelope.pointee.links = nothing()
        case .scale(let request, let wish):
            ask(request, WIRE__ENVELOPE__BODY_SCALE)
            envelope.pointee.scale = layout(wish ?? Layout(stages: 0, ranks: 0))
        case .drain(let request, let worker):
            ask(request, WIRE__ENVELOPE__BODY_DRAIN)
            let drain = arena.new(wire__drain__init)
            drain.pointee.worker = arena.place(text: worker.name)
            envelope.pointee.drain = drain
        case .keys(let request):
            ask(request, WIRE__ENVELOPE__BODY_KEYS)
            envelope.pointee.keys = nothing()
        case .keep(let request, let kept):
            ask(request, WIRE__ENVELOPE__BODY_KEEP)
            envelope.pointee.keep = record(kept)
        case .record(let request, let name, let withData):
            ask(request, WIRE__ENVELOPE__BODY_RECORD)
            envelope.pointee.record = recordName(name, withData: withData)
        case .records(let request, let name):
            ask(request, WIRE__ENVELOPE__BODY_RECORDS)
            envelope.pointee.records = recordName(name)
        case .forget(let request, let name):
            ask(request, WIRE__ENVELOPE__BODY_FORGET)
            envelope.pointee.forget = recordName(name)
        case .modelIs(let request, let card):
            ask(request, WIRE__ENVELOPE__BODY_MODEL_IS)
            envelope.pointee.model_is = modelCard(card)
        case .accepted(let request, let id, let isKept):
            ask(request, WIRE__ENVELOPE__BODY_ACCEPTED)
            envelope.pointee.accepted = job(id)
            envelope.pointee.accepted.pointee.is_kept = isKept ? 1 : 0
        case .problem(let request, let what):
            ask(request, WIRE__ENVELOPE__BODY_PROBLEM)
            envelope.pointee.problem = problem(what)
        case .event(let request, let id, let number, let happened):
            ask(request, WIRE__ENVELOPE__BODY_EVENT)
            envelope.pointee.event = event(id, number, happened)
        case .eventsEnd(let request, let id):
            ask(request, WIRE__ENVELOPE__BODY_EVENTS_END)
            envelope.pointee.events_end = job(id)
        case .done(let request):
            ask(request, WIRE__ENVELOPE__BODY_DONE)
            envelope.pointee.done = nothing()
        case .jobList(let request, let states):
            ask(request, WIRE__ENVELOPE__BODY_JOB_LIST)
            let list = arena.new(wire__job_list__init)
            list.pointee.n_jobs = states.count
            list.pointee.jobs = arena.place(states.map { jobState($0) })
            envelope.pointee.job_list = list
        case .jobIs(let request, let state):
            ask(request, WIRE__ENVELOPE__BODY_JOB_IS)
            envelope.pointee.job_is = jobState(state)
        case .statusIs(let request, let status):
            ask(request, WIRE__ENVELOPE__BODY_STATUS_IS)
            envelope.pointee.status_is = clusterStatus(status)
        case .keysAre(let request, let all):
            ask(request, WIRE__ENVELOPE__BODY_KEYS_ARE)
            envelope.pointee.keys_are = keyList(all)
        case .recordsAre(let request, let found):
            ask(request, WIRE__ENVELOPE__BODY_RECORDS_ARE)
            envelope.pointee.records_are = recordList(found)
        case .stepsAre(let request, let records):
            ask(request, WIRE__ENVELOPE__BODY_STEPS_ARE)
            envelope.pointee.steps_are = stepRecords(records)
        case .linksAre(let request, let rates):
            ask(request, WIRE__ENVELOPE__BODY_LINKS_ARE)
            envelope.pointee.links_are = linkRates(rates)
        }
    }
}
