import ArgumentParser
import Core
import Gateway
import Threads

/// `glm up`: coordinator, workers and gateway as child processes of this one, on this machine.
struct Up: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up", abstract: "Start a whole cluster on this machine; Ctrl-C ends it.")

    @OptionGroup var serving: ServingOptions

    @Option(help: "Worker processes; as many as the layout takes, or one for each processor up to four, unless given.")
    var workers: Int?

    @Option(
        help:
            "Compute threads of each worker; the processors divided among a stage's ranks, or among all without --layout, unless given."
    )
    var threads: Int?

    @OptionGroup var numa: NumaOptions

    @OptionGroup var pool: PoolOptions

    @Option(help: "Where to listen for HTTP; 127.0.0.1:8080 unless given.")
    var listen: String?

    @Option(help: "A file that spans of requests are appended to, a line of OTLP in JSON each; none unless given.")
    var traces: String?

    @OptionGroup var kept: StoreOptions

    @Flag(help: "Let everybody in where others can reach it, though there are no API keys.")
    var insecure = false

    @OptionGroup var web: WebOptions

    func run() async throws {
        let settings = try Settings.load(config: serving.config)
        let model = try serving.path(settings)
        let layout = try serving.layout(settings)
        let processors = Topology.processors.count
        let count = try workers ?? settings.int("workers") ?? layout?.workers ?? min(4, processors)
        guard (1...64).contains(count) else { throw Problem.invalid("--workers \(count): use 1 to 64") }
        if let layout, layout.workers > count {
            throw Problem.invalid("--layout \(layout) takes \(layout.workers) workers, --workers says \(count)")
        }
        let places = WorkerPlaces(try numa.wish(settings), count: count, together: layout?.ranks ?? count)
        let threads = try threads ?? settings.int("threads")
        guard (1...1024).contains(threads ?? 1) else {
            throw Problem.invalid("--threads \(threads ?? 0): use 1 to 1024")
        }
        let address = try ListenAddress(listen ?? settings.string("listen") ?? "127.0.0.1:8080")
        let isInsecure = try insecure || settings.bool("insecure") ?? false
        guard try address.isLoopback || isInsecure || Keys.areThere(in: kept.path(settings)) else {
            throw Problem.refused(
                "listening at \(address) would let everybody on the network use the cluster, which has no API keys: make one with glm keys create and give its --store, listen at 127.0.0.1, or allow it with --insecure"
            )
        }
        var coordinator = [
            "--model", model, "--layout", layout?.description ?? "auto", "--workers", "\(count)", "--chunk",
            "\(try serving.chunk(settings))",
        ]
        if let type = try serving.weightType(settings) { coordinator += ["--type", type.name] }
        if let type = try serving.kvType(settings) { coordinator += ["--kv-type", type.name] }
        if try serving.scalesItself(settings) { coordinator += ["--scale", "auto"] }
        if let tokens = try serving.kvTokens(settings) { coordinator += ["--kv-tokens", "\(tokens)"] }
        coordinator += try kept.flags(settings)
        let folder = try PrivateFolder()
        defer { folder.remove() }
        let household = Household(
            folder: folder.path, model: model, workerCount: count, memory: places.memory,
            threads: threads, places: places, pool: try pool.flags(settings), coordinator: coordinator,
            gateway: ["--listen", "\(address)"] + (isInsecure ? ["--insecure"] : [])
                + (try web.flags(settings))
                + ((traces ?? settings.string("traces")).map { ["--traces", $0] } ?? []), address: "\(address)")
        do {
            try await Interrupt.cancelling { try await household.run() }
        } catch is CancellationError {
            Terminal.note("stopped")
        }
    }
}

/// The child processes of `glm up`, and what is said about them.
private struct Household: Sendable {
    let folder: String
    let model: String
    let workerCount: Int
    let memory: Int
    let threads: Int?
    let places: WorkerPlaces
    let pool: [String]
    let coordinator: [String]
    let gateway: [String]
    let address: String
    private var control: String { "ipc://\(folder)/control" }

    /// Starts everybody and watches them, until it is cancelled or one of them cannot go on.
    func run() async throws {
        var children: [Child] = []
        do {
            for index in 0..<workerCount + 2 { children.append(try child(index)) }
            try await watch(&children)
        } catch {
            await Child.stop(children)
            throw error
        }
    }

    /// The coordinator, the gateway, then the workers.
    private func child(_ index: Int) throws -> Child {
        let role = ["--with-parent"]
        if index == 0 {
            return try Child("coordinator", ["coordinator", "--bind", control] + role + coordinator, folder: folder)
        }
        if index == 1 {
            return try Child("gateway", ["gateway", "--coordinator", control] + role + gateway, folder: folder)
        }
        return try LocalCluster.worker(
            index - 2, memory: memory, control: control, model: model, threads: threads, places: places,
            folder: folder, pool: pool)
    }

    private func watch(_ children: inout [Child]) async throws {
        let link = try CoordinatorLink(endpoint: control, name: "up")
        defer { link.close() }
        var view = View(address: address)
        var returns = [Return](repeating: Return(), count: children.count)
        while true {
            for (index, child) in children.enumerated() where !child.isRunning {
                // Who was lost is started again. Before the cluster was seen to serve, one that gave up will give up
                // again; one that was killed gets a few tries: jobs may have been accepted since the last look.
                guard view.wasReady || (child.signal != nil && returns[index].count < 3) else { throw child.end }
                if returns[index].time == nil {
                    let pause = returns[index].plan(after: child.started.duration(to: .now))
                    let when = pause == .zero ? "" : " in \(pause.components.seconds) s"
                    view.say("\(child.end.message); starting it again\(when)")
                }
                if returns[index].isDue { children[index] = try self.child(index) }
            }
            if let status = try? await link.status() {
                view.show(status)
                if let problem = view.problem { throw problem }
            }
            try await Task.sleep(for: .milliseconds(view.isReady ? 500 : 50))
        }
    }
}

/// When a child that ended is started again: at once, or later and later when it ends soon after every start.
private struct Return {
    /// The time, or nil when the child runs.
    private(set) var time: ContinuousClock.Instant?
    /// How often it was started again.
    private(set) var count = 0
    private var pause = Duration.zero

    /// Plans the return of one that lived for `life`; says how long it waits.
    mutating func plan(after life: Duration) -> Duration {
        pause = life > .seconds(5) ? .zero : min(max(pause * 2, .seconds(1)), .seconds(30))
        time = .now + pause
        return pause
    }

    /// Whether the time has come; it is over with that.
    var isDue: Bool {
        mutating get {
            guard let time, time <= .now else { return false }
            self.time = nil
            count += 1
            return true
        }
    }
}

/// What `glm up` shows: one line while the cluster forms, then the members and the address.
private struct View {
    let address: String
    private(set) var isReady = false
    private(set) var wasReady = false
    /// Why the cluster will not come to serve, when it has not served yet.
    private(set) var problem: Problem?
    private var lastLine = ""

    init(address: String) { self.address = address }

    mutating func show(_ status: ClusterStatus) {
        let nowReady = status.state == "ready"
        defer { isReady = nowReady }
        let isOnItsWay = nowReady || status.state == "loading" || status.state.hasPrefix("waiting for")
        if !isOnItsWay, !wasReady { problem = .failed(status.state) }
        guard nowReady else {
            let loading = status.members.compactMap { $0.state == "loading" ? $0.activity : nil }.max() ?? status.state
            return draw("\(status.model): \(status.state == "loading" ? loading : status.state)")
        }
        guard !isReady else { return }
        wasReady = true
        clear()
        Terminal.write(Self.page(status))
        Terminal.write("\nready: \(status.model) as \(status.layout?.description ?? "") at http://\(address)\n")
    }

    mutating func say(_ line: String) {
        clear()
        Terminal.note(line)
    }

    private mutating func draw(_ line: String) {
        guard line != lastLine else { return }
        if Terminal.showsErrors {
            Terminal.draw(line)
        } else if !line.contains("loading") {
            Terminal.note(line)
        }
        lastLine = line
    }

    private mutating func clear() {
        if Terminal.showsErrors, !lastLine.isEmpty { Terminal.draw("") }
        lastLine = ""
    }

    /// The members, by stage and rank.
    private static func page(_ status: ClusterStatus) -> String {
        let members = status.members.sorted {
            ($0.stage ?? .max, $0.rank ?? .max) < ($1.stage ?? .max, $1.rank ?? .max)
        }
        func span(_ range: Range<Int>?) -> String {
            guard let range, !range.isEmpty else { return "-" }
            return range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound)-\(range.upperBound - 1)"
        }
        return Terminal.table(
            ["WORKER", "STATE", "STAGE", "RANK", "LAYERS", "LEAVES", "WEIGHTS", "KV CACHE", "THREADS"],
            members.map { member in
                [
                    member.worker.name, member.state, member.stage.map { "\($0)" } ?? "-",
                    member.rank.map { "\($0)" } ?? "-", span(member.layers), span(member.leaves),
                    Terminal.bytes(member.weightBytes), Terminal.bytes(member.kv.pages * member.kv.pageBytes),
                    "\(member.threads)",
                ]
            }, right: [2, 3, 6, 7, 8])
    }
}
