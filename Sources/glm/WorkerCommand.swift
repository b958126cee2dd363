import ArgumentParser
import Core
import Glibc
import Telemetry
import Threads
import Transport
import Worker

/// `glm worker`: one slice of the model, its KV pages and the threads that compute with them.
struct WorkerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "worker", abstract: "Compute one slice of the model for a coordinator.")

    @OptionGroup var role: RoleOptions

    @Option(help: "Where the coordinator listens: tcp://HOST:PORT or ipc://PATH.")
    var coordinator: String?

    @Option(
        help:
            "Where other workers connect to: tcp://HOST:* or ipc://PATH; the address that leads to the coordinator unless given."
    )
    var bind: String?

    @Option(help: "Its name, unique in the cluster; host and process unless given.")
    var name: String?

    @Option(help: "Compute threads; one for each processor, of its NUMA nodes with --numa, unless given.")
    var threads: Int?

    @OptionGroup var numa: NumaOptions

    @Flag(help: .hidden)
    var numaShared = false

    @Option(help: "Memory for weights and KV cache, like 48G; most of what is free unless given.")
    var memory: String?

    @OptionGroup var pool: PoolOptions

    @Option(help: "Its own copy of the model; without one it gets its slice from the coordinator.")
    var model: String?

    @Option(
        help:
            "The folder for weights that came from the coordinator and for KV pages, or none; ~/.cache/glm unless given."
    )
    var cache: String?

    @Option(help: "The cluster's key file, or the folder that `glm keys make` wrote.")
    var keys: String?

    @Flag(help: "Listen without keys where others can reach it.")
    var insecure = false

    @Option(help: "A configuration file; ./glm.toml or ~/.config/glm/glm.toml unless given.")
    var config: String?

    func run() async throws {
        let settings = try Settings.load(config: config)
        let note = try role.start("worker", settings)
        guard let coordinator = coordinator ?? settings.string("coordinator") else {
            throw ValidationError("give the coordinator's address with --coordinator tcp://HOST:PORT")
        }
        let place = Placement(try numa.wish(settings))
        let threads = try threads ?? settings.int("threads") ?? place?.room ?? Topology.processors.count
        guard (1...1024).contains(threads) else { throw Problem.invalid("--threads \(threads): use 1 to 1024") }
        let memory =
            try (memory ?? settings.string("memory")).map { try byteCount($0, flag: "--memory") }
            ?? Topology.memoryAvailable(at: place) / 10 * 9
        let cacheFolder = Self.cacheFolder(cache ?? settings.string("cache"))
        let kvDisk = try pool.disk(settings)
        guard try (kvDisk == nil && pool.spill(settings) == 0) || cacheFolder != nil else {
            throw Problem.invalid("--kv-disk and --kv-spill need a folder; name one with --cache")
        }
        let worker = try Worker(
            WorkerSettings(
                coordinator: coordinator, security: try CoordinatorCommand.security(keys ?? settings.string("keys")),
                name: WorkerID(name ?? settings.string("name") ?? "\(Self.hostName())-\(getpid())"), threads: threads,
                memory: memory, model: model ?? settings.string("model"),
                dataEndpoint: try bind ?? settings.string("bind") ?? Self.dataEndpoint(toward: coordinator),
                insecure: try insecure || settings.bool("insecure") ?? false,
                cache: cacheFolder, kvMemory: try pool.memory(settings),
                kvSpill: try pool.spill(settings), kvDisk: kvDisk,
                kvFolder: cacheFolder.map { $0 + "/kv" }, place: place,
                // Whoever comes second to a node is not pinned: both would choose the same processors.
                pins: place.flatMap { numaShared || !$0.claim() ? nil : $0.pins(threads: threads) },
                record: Telemetry.records(of: "worker")
            ) { note($0) })
        try await Interrupt.cancelling {
            try await withTaskCancellationHandler {
                try await withCheckedThrowingContinuation { (done: CheckedContinuation<Void, any Error>) in
                    _ = Thread(name: "worker") { done.resume(with: Result { try worker.run() }) }
                }
            } onCancel: {
                worker.stop()
            }
        }
    }

    /// Where the data link listens: on the way that leads to the coordinator, since other workers are likely there too.
    private static func dataEndpoint(toward coordinator: String) throws -> String {
        if !coordinator.hasPrefix("tcp://") { return "ipc://*" }
        if Endpoint.isLocal(coordinator) { return "tcp://127.0.0.1:*" }
        let address = coordinator.dropFirst("tcp://".count)
        guard let colon = address.lastIndex(of: ":") else {
            throw Problem.invalid("--coordinator '\(coordinator)' is no address; write tcp://HOST:PORT")
        }
        let host = String(address[..<colon].filter { $0 != "[" && $0 != "]" })
        guard let local = localAddress(toward: host, port: String(address[address.index(after: colon)...])) else {
            throw Problem.invalid(
                "no way leads to \(coordinator); is the host's name right? Or name this host's address with --bind")
        }
        return "tcp://\(local.contains(":") ? "[\(local)]" : local):*"
    }

    /// This host's address on the way to `host`: what the kernel would send from.
    private static func localAddress(toward host: String, port: String) -> String? {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, port, &hints, &found) == 0, let first = found else { return nil }
        defer { freeaddrinfo(found) }
        let probe = socket(first.pointee.ai_family, first.pointee.ai_socktype, 0)
        guard probe >= 0 else { return nil }
        defer { close(probe) }
        // Connecting a datagram socket sends nothing; it only chooses the way.
        guard connect(probe, first.pointee.ai_addr, first.pointee.ai_addrlen) == 0 else { return nil }
        var address = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        var text = [CChar](repeating: 0, count: 256)
        let code = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw -> Int32 in
                guard getsockname(probe, raw, &size) == 0 else { return -1 }
                return getnameinfo(raw, size, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
            }
        }
        guard code == 0 else { return nil }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func hostName() -> String {
        var name = [CChar](repeating: 0, count: 256)
        guard gethostname(&name, name.count - 1) == 0 else { return "worker" }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func cacheFolder(_ wish: String?) -> String? {
        if let wish { return wish == "none" ? nil : wish }
        if let folder = getenv("XDG_CACHE_HOME").map({ String(cString: $0) }), !folder.isEmpty {
            return folder + "/glm"
        }
        guard let home = getenv("HOME").map({ String(cString: $0) }), !home.isEmpty else { return nil }
        return home + "/.cache/glm"
    }
}
