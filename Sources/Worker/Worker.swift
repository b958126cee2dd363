import Checkpoint
import Core
import Glibc
import Kernels
import Threads
import Transport
import Wire

/// One slice of a model, its KV pages, its links and its heartbeat.
///
/// Three threads: `control` owns the socket to the coordinator, the caller of `run` reads what comes and sends
/// heartbeats whatever the engine does, and `engine` computes.
public final class Worker: Sendable {
    private enum Event: Sendable {
        case client(Client.Event)
        case stop
    }

    private let settings: WorkerSettings
    private let inbox = Mailbox<Event>()
    private let checkpoint: Checkpoint?
    private let digest: String
    private let context: Context
    private let link: DataLink

    /// Opens the worker's own model, when it has one, and its data link.
    public init(_ settings: WorkerSettings) throws {
        self.settings = settings
        checkpoint = try settings.model.map { try Checkpoint.open($0) }
        digest = try checkpoint?.digest() ?? ""
        let log = settings.log
        context = try Context(security: settings.security) { log($0) }
        link = try DataLink(context: context, endpoint: settings.dataEndpoint, insecure: settings.insecure)
    }

    /// Where packed weights may be kept: beside the model, or where what came from the coordinator is; nowhere when nothing is to be kept.
    private var packedFolders: [String] {
        guard let cache = settings.cache else { return [] }
        try? PieceStore.makeFolders(cache)
        return [checkpoint.map { "\($0.folder).glm-packed" }, "\(cache)/packed"].compactMap(\.self)
    }

    /// Ends `run`; from any thread.
    public func stop() { inbox.put(.stop) }

    /// Takes its place among the host's NUMA nodes: all threads that compute and load come from the calling one.
    private func settle() {
        guard let place = settings.place else { return }
        let refused = place.apply()
        let memory = place.nodes.count == 1 ? "memory there first" : "memory spread over them"
        let words = [
            "NUMA \(place)", "\(settings.threads) threads", memory,
            settings.pins == nil ? "threads move within" : "a processor for each thread",
        ]
        settings.log("worker \(settings.name): \((words + refused).joined(separator: ", "))")
    }

    /// Serves until it is stopped, told to end, or refused: then it throws why.
    ///
    /// `isParentAlive` is asked with every heartbeat; a child of `glm up` ends with it.
    public func run(isParentAlive: () -> Bool = { true }) throws {
        settle()
        let greeting = Message.workerHello(
            WorkerHello(
                worker: settings.name, threads: settings.threads, memoryBytes: settings.memory,
                dataEndpoint: link.endpoint, modelDigest: digest, instructionSet: InstructionSet.current.name,
                kvMemoryBytes: settings.kvMemory, kvSpillBytes: settings.kvSpill,
                processors: Topology.processors.count, measuresLinks: true,
                numaNodes: settings.place?.list ?? "")
        ).encode()
        let inbox = inbox
        settings.log("worker \(settings.name): looking for the coordinator at \(settings.coordinator)")
        let client = try Client(context: context, endpoint: settings.coordinator, greeting: greeting) {
            inbox.put(.client($0))
        }
        let send: @Sendable (Message) -> Void = { client.send($0.encode()) }
        let desk = PieceDesk(send: send)
        let vitals = Vitals()
        let engine = Engine(
            Engine.Parts(
                link: link, desk: desk, vitals: vitals, threads: settings.threads, checkpoint: checkpoint,
                digest: digest, pins: settings.pins, cache: settings.cache,
                disk: settings.kvFolder.flatMap { folder in settings.kvDisk.map { DiskRoom(folder: folder, bytes: $0) }
                },
                spillFolder: settings.kvFolder, packedFolders: packedFolders, send: send, record: settings.record,
                log: settings.log))
        defer {
            engine.stop()
            client.close()
        }
        var conversation = Conversation(settings: settings, engine: engine, desk: desk)
        var nextBeat = ContinuousClock.now
        while true {
            let now = ContinuousClock.now
            if now >= nextBeat {
                nextBeat = now + conversation.interval
                guard isParentAlive() else { return }
                if conversation.isWelcome {
                    send(.workerHeartbeat(vitals.heartbeat(link.counters.traffic)))
                } else if conversation.shouldGreetAgain {
                    client.send(greeting)
                }
            }
            switch inbox.take(timeout: max(.zero, nextBeat - .now)) {
            case nil: continue
            case .stop:
                send(.goodbye)
                return
            case .client(let event):
                let interval = conversation.interval
                if try conversation.hear(event) { return }
                // A coordinator that expects signs of life sooner does so from its welcome on.
                if conversation.interval < interval { nextBeat = min(nextBeat, now + conversation.interval) }
            }
        }
    }
}

/// What the worker makes of the coordinator's messages.
private struct Conversation {
    let settings: WorkerSettings
    let engine: Engine
    let desk: PieceDesk
    /// Time between heartbeats, as the coordinator said.
    var interval = Duration.seconds(1)
    /// Whether the coordinator has accepted the hello of this connection.
    var isWelcome = false
    /// Whether the coordinator wants to hear the hello once more, later.
    var shouldGreetAgain = false
    private var lastReason = ""

    init(settings: WorkerSettings, engine: Engine, desk: PieceDesk) {
        self.settings = settings
        self.engine = engine
        self.desk = desk
    }

    /// Acts on an event; true when the worker is to end.
    mutating func hear(_ event: Client.Event) throws -> Bool {
        switch event {
        case .connected: say("worker \(settings.name): connected to \(settings.coordinator)")
        case .disconnected:
            isWelcome = false
            shouldGreetAgain = false
            desk.giveUp(.unavailable("the connection to the coordinator was lost"))
            say("worker \(settings.name): the coordinator is gone; trying again")
        case .refused(let reason): say("worker \(settings.name): \(settings.coordinator): \(reason)")
        case .unsent: break
        case .message(let frames):
            do {
                return try hear(Message.decode(frames))
            } catch let ending as Refusal {
                throw ending.problem
            } catch {
                say("worker \(settings.name): the coordinator sent something unreadable: \(error)")
            }
        }
        return false
    }

    private struct Refusal: Error {
        var problem: Problem
    }

    private mutating func hear(_ message: Message) throws -> Bool {
        switch message {
        case .welcome(let welcome):
            interval = min(max(welcome.heartbeatInterval, .milliseconds(20)), .seconds(60))
            isWelcome = true
            shouldGreetAgain = false
            say("worker \(settings.name): member of the cluster that serves \(welcome.model)")
        case .refused(let problem):
            guard problem.kind == .unavailable else { throw Refusal(problem: problem) }
            isWelcome = false
            shouldGreetAgain = true
            say("worker \(settings.name): \(problem.message); trying again")
        case .assign(let assignment):
            guard assignment.epoch > 0 else { break }
            if assignment.isInBackground { engine.prepare(assignment) } else { engine.load(assignment) }
        case .activate(let epoch): engine.activate(epoch: epoch)
        case .step(let step): engine.run(step)
        case .probe(let probe): engine.measure(probe)
        case .piece(let request, let result): desk.deliver(request, result)
        case .shutdown:
            say("worker \(settings.name): the coordinator ends the cluster")
            return true
        default: break
        }
        return false
    }

    /// Says a line unless it was the last one said.
    private mutating func say(_ line: String) {
        guard line != lastReason else { return }
        lastReason = line
        settings.log(line)
    }
}
