import Checkpoint
import Cluster
import Core
import GLM
import Glibc
import JobStore
import KVCache
import Router
import Scheduler
import Tokenization
import Transport
import Wire

/// Drives membership, plan, steps and jobs of one cluster that serves one model.
///
/// The decisions are values (`Membership`, `Assembly`, `Router`, `Scheduler`, `Job`); the actor owns them, the clock and
/// the sockets, tells them what happened and does what they say. Chapters: `+Workers` (who is here, the plan),
/// `+Steps` (the pipeline), `+Jobs` (what clients ask), `+Gateways` (the same over the wire).
public actor Coordinator {
    /// What reaches the actor, in order.
    enum Event: Sendable {
        case server(Int, Server.Event)
        case tick
        /// A job is on the disk, or cannot be.
        case written(JobID, Problem?)
    }

    /// Jobs that are remembered.
    static let rememberedJobs = 10_000
    /// Events of jobs that are remembered: tokens, about.
    static let rememberedEvents = 2_000_000

    /// The addresses in use, with the port that a `*` became.
    public nonisolated let endpoints: [String]
    nonisolated let settings: CoordinatorSettings
    nonisolated let card: ModelCard
    nonisolated let description: ModelDescription
    nonisolated let encodedDescription: [UInt8]
    nonisolated let needs: ModelNeeds
    /// How keys and values are held.
    nonisolated let kvType: KVType
    let pieces: PieceServer
    let servers: [Server]
    private let events: AsyncStream<Event>
    private let sink: AsyncStream<Event>.Continuation
    let clock = ContinuousClock()
    let start: ContinuousClock.Instant

    var membership: Membership
    var assembly: Assembly
    var members: [WorkerID: Member] = [:]
    var workers: [Contact: WorkerID] = [:]
    var router: Router
    /// Sequences whose pages are being read from disk: who has not answered yet, and the fewest pages that came back.
    var restoring: [SequenceID: (waiting: Set<WorkerID>, pages: Int)] = [:]
    var scheduler: Scheduler?
    var table: JobTable
    /// The journal, the keys and what gateways keep, when there is one.
    let store: JobStore?
    /// What an earlier coordinator left, until it is taken up.
    var found: FoundJobs?
    /// Jobs that are not on the disk yet, and who waits for that.
    var unwritten: [JobID: [Acceptance]] = [:]
    /// Until when gateways may ask for the answers that an earlier coordinator owed them.
    var claimsEnd: Duration?
    /// What each API key uses.
    var meters: [String: KeyMeter] = [:]
    /// The API keys by id, as they were when they were last looked at.
    var knownKeys: [String: APIKey] = [:]
    /// Why the keys could not be looked at, when that was said last.
    var keyTrouble: Problem?
    var ticks = 0
    var listeners: [JobID: [Listener]] = [:]
    var owners: [JobID: Contact] = [:]
    var logitRuns: [LogitRun] = []
    /// The grammars of answers.
    var constraints: ConstraintShelf
    var sequenceNumber: UInt64 = 0
    /// When the steps that are on their way were sent.
    var sentAt: [UInt64: ContinuousClock.Instant] = [:]
    var history = StepHistory()
    /// The measurement of links that is under way.
    var measurement: LinkMeasurement?
    /// Links that were measured, which numbers them.
    var probes: UInt64 = 0
    var lastProblem: Problem?
    /// Who holds its slice of the next plan.
    var nextReady: [WorkerID: Ready] = [:]
    /// Whether no step is made because the next plan is to take over.
    var isTakingOver = false
    /// Sequences that only the next plan has room for, and the tokens that they may grow to.
    var waitingForRoom: [(SequenceID, Int)] = []
    private var garbage = 0

    /// A worker as the coordinator knows it.
    struct Member {
        var contact: Contact
        var hello: WorkerHello
        var activity = "idle"
        var ready: Ready?
        var diskTrouble = ""
        var wrongBeats = 0
        var trace = StepTrace()
        var peakMemory = 0
        var kvSpilled = 0
        var traffic = Traffic()
    }

    /// Opens the model and listens.
    public init(_ settings: CoordinatorSettings) throws {
        let checkpoint = try Checkpoint.open(settings.model)
        let description = try ModelDescription(checkpoint)
        self.settings = settings
        self.description = description
        encodedDescription = try description.encoded()
        card = ModelCard(
            name: settings.name ?? checkpoint.name, contextLength: description.configuration.contextLength,
            vocabularySize: description.configuration.vocabulary, tokenizer: settings.tokenizer?.serialized() ?? [],
            digest: description.digest)
        // Epochs begin at the time of day, so that those of a coordinator that is started anew are higher than before.
        let needs = ModelNeeds(description, type: settings.weightType)
        self.needs = needs
        let kvType = try settings.kvType ?? Stage.kvType(description, type: settings.weightType)
        self.kvType = kvType
        // K and V depend on the weights as they are held, too.
        let held = "\(description.digest) \(settings.weightType?.name ?? "as stored")"
        router = Router(
            longestQueue: .max, root: PageHash.root(digest: held, type: kvType),
            sparseRoot: PageHash.root(digest: held, type: kvType, attention: .sparse), hash: PageHash.key)
        let log = settings.log
        store = try settings.store.map { try JobStore(path: $0, served: "\(held) \(kvType.name)", log: log) }
        table = JobTable(
            remembered: Self.rememberedJobs, events: Self.rememberedEvents, first: store?.firstNumber ?? 1)
        found = try store?.found(
            most: Self.rememberedJobs, mostTokens: Self.rememberedEvents,
            since: Self.secondsSince1970() - settings.retention / .seconds(1))
        assembly = try Assembly(
            layout: settings.layout, expected: settings.workers, needs: needs,
            epoch: UInt32(truncatingIfNeeded: time(nil)))
        membership = Membership(interval: settings.heartbeat)
        let context = try Context(security: settings.security) { log($0) }
        let (events, sink) = AsyncStream.makeStream(of: Event.self)
        servers = try settings.endpoints.enumerated().map { index, endpoint in
            try Server(context: context, endpoint: endpoint, insecure: settings.insecure) {
                sink.yield(.server(index, $0))
            }
        }
        self.events = events
        self.sink = sink
        endpoints = servers.map(\.endpoint)
        pieces = PieceServer(checkpoint)
        constraints = ConstraintShelf(
            tokenizer: settings.tokenizer, vocabularySize: description.configuration.vocabulary,
            stopTokens: Set(description.configuration.stopTokens).union(settings.tokenizer?.stopTokens ?? []))
        start = clock.now
        for warning in description.configuration.warnings { log("model \(checkpoint.name): \(warning)") }
    }

    /// Serves until `stop`, or until the task is cancelled.
    public func run() async {
        takeUpJobs()
        say("coordinator: serving \(card.name) at \(endpoints.joined(separator: ", ")); \(stateInWords)")
        let (sink, interval) = (sink, settings.heartbeat)
        let ticker = Task {
            while !Task.isCancelled {
                try? await Task.sleep(for: interval)
                sink.yield(.tick)
            }
        }
        for await event in events {
            switch event {
            case .tick: tick()
            case .server(let index, .message(let peer, let frames)): hear(Contact(server: index, peer: peer), frames)
            case .server(let index, .unreachable(let peer, _)): lost(Contact(server: index, peer: peer))
            case .server(_, .refused(let reason)): say("coordinator: \(reason)")
            case .written(let job, let problem): written(job, problem)
            }
        }
        ticker.cancel()
        end()
    }

    /// Ends the cluster: workers are told to end; jobs that run fail, or wait for the next coordinator where there is a store.
    public func stop() { sink.finish() }

    private func end() {
        for worker in members.keys.sorted() { tell(worker, .shutdown) }
        let problem = Problem.unavailable("the coordinator was stopped")
        if store == nil {
            for job in table.all where !job.isOver { update(job.id) { $0.fail(problem) } }
        } else {
            leaveJobs()
        }
        failLogits(problem)
        endMeasurement(problem)
        pieces.stop()
        for server in servers { server.close() }
        store?.close()
    }

    /// Has `event` handled after what is being handled now; from any thread.
    nonisolated func later(_ event: Event) { sink.yield(event) }

    private func hear(_ contact: Contact, _ frames: [[UInt8]]) {
        let message: Message
        do {
            message = try Message.decode(frames)
        } catch {
            garbage += 1
            let problem = error as? Problem ?? .invalid("\(error)")
            if garbage <= 10 || garbage % 1000 == 0 {
                say("coordinator: message \(garbage) that is unreadable: \(problem)")
            }
            if problem.kind == .refused { send(contact, .refused(problem)) }
            return
        }
        switch message {
        case .workerHello, .ready, .loading, .failed, .stepDone, .workerHeartbeat, .fetch, .goodbye, .restored,
            .stored, .probed:
            hearWorker(contact, message)
        default: hearGateway(contact, message)
        }
    }

    private func lost(_ contact: Contact) {
        if let worker = workers[contact] { remove(worker, because: "lost its connection") }
        gatewayLost(contact)
    }

    func send(_ contact: Contact, _ message: Message) {
        servers[contact.server].send(to: contact.peer, message.encode())
    }

    func tell(_ worker: WorkerID, _ message: Message) {
        guard let member = members[worker] else { return }
        send(member.contact, message)
    }

    func say(_ line: String) { settings.log(line) }

    /// The model's dimensions.
    nonisolated var configuration: Configuration { description.configuration }

    /// Time since the start: what the values call now.
    var now: Duration { clock.now - start }

    /// Whether jobs run: `ready`, or what is awaited.
    var stateInWords: String {
        switch assembly.phase {
        case .active: return "ready"
        case .loading: return "loading"
        case .waiting:
            if let problem = assembly.problem { return problem.message }
            for worker in assembly.workers {
                if let problem = assembly.problem(of: worker) { return "worker \(worker) cannot serve: \(problem)" }
            }
            let missing = assembly.missing
            return "waiting for \(missing) more \(missing == 1 ? "worker" : "workers")"
        }
    }
}
