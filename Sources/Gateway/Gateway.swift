public import Core
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import ServiceLifecycle
import UnixSignals

#if canImport(Glibc)
    import Glibc
#endif

/// The HTTP door of a cluster: OpenAI's shapes in, jobs out, event streams back.
///
/// It keeps nothing but the tokenizer of the model that is served: any number of gateways may stand before one cluster.
public struct Gateway: Sendable {
    /// How a gateway listens.
    public struct Settings: Sendable {
        /// Where.
        public var listen: ListenAddress
        /// Whether everybody is let in at an address that others can reach, while there are no API keys.
        public var insecure: Bool
        /// A comment is sent on a stream that said nothing for so long, or proxies close it.
        public var heartbeat: Duration
        /// The longest request body, in bytes.
        public var bodyLimit: Int
        /// Origins, like `https://chat.example.org`, whose pages may call.
        public var origins: [String]
        /// Connections at one time; more wait until one is closed.
        public var mostConnections: Int
        /// A connection is closed when it says nothing for so long before or between requests, or in the middle of one.
        public var patience: Duration
        /// The file that spans are appended to, or nil for none.
        public var traces: String?

        /// Settings; a heartbeat every 15 seconds, bodies of at most 64 MiB, 4096 connections and a minute's patience unless said
        /// otherwise.
        public init(
            listen: ListenAddress, insecure: Bool = false, heartbeat: Duration = .seconds(15),
            bodyLimit: Int = 64 << 20, origins: [String] = [], mostConnections: Int = 4096,
            patience: Duration = .seconds(60), traces: String? = nil
        ) {
            self.listen = listen
            self.insecure = insecure
            self.heartbeat = heartbeat
            self.bodyLimit = bodyLimit
            self.origins = origins
            self.mostConnections = mostConnections
            self.patience = patience
            self.traces = traces
        }
    }

    /// The longest head of a request, in bytes, and the most fields in it.
    private static let headLimit = 64 << 10
    private static let mostFields = 200

    private let settings: Settings
    private let service: any ClusterService
    private let desk: KeyDesk
    private let traces: TraceFile?

    /// A gateway for `service`; throws when the file of traces cannot be opened.
    public init(settings: Settings, service: any ClusterService) throws {
        self.settings = settings
        traces = try settings.traces.map { try TraceFile(path: $0) }
        self.service = MeasuredService(service: service, traces: traces)
        desk = KeyDesk(service: service, needsKeys: !settings.listen.isLoopback && !settings.insecure)
    }

    /// Refuses to stand open to others, unless it was told to or there are API keys. Waits for the coordinator, which knows them.
    private func checkOpenness(logger: Logger) async throws {
        guard !settings.listen.isLoopback, !settings.insecure else { return }
        var hasSaid = false
        while true {
            do {
                if try await desk.hasKeys() { return }
            } catch let problem as Problem where problem.kind == .unavailable {
                if !hasSaid { logger.info("waiting for the coordinator, which knows the API keys: \(problem)") }
                hasSaid = true
                try await Task.sleep(for: .milliseconds(500))
                continue
            }
            throw Problem.refused(
                "listening at \(settings.listen) would let everybody on the network use the cluster, which has no API keys: "
                    + "make one with glm keys create, listen at 127.0.0.1, or allow it with --insecure")
        }
    }

    /// Serves until it is cancelled or, with `handlesSignals`, until SIGINT or SIGTERM; open streams then get a moment to end.
    ///
    /// `onListening` is told the address with the port that was really taken.
    public func run(
        handlesSignals: Bool = true, onListening: @escaping @Sendable (ListenAddress) async -> Void = { _ in }
    ) async throws {
        let logger = Logger(label: "gateway")
        let listen = settings.listen
        try await checkOpenness(logger: logger)
        let owned = OwnedService(service)
        let models = ModelShelf(service: owned)
        let batches = BatchRunner(service: owned, models: models) { logger.warning("\($0)") }
        let runner = Task { await batches.run() }
        defer { runner.cancel() }
        let application = Application(
            router: router(service: owned, models: models, batches: batches, logger: logger),
            server: .http1(
                configuration: HTTP1Channel.Configuration(
                    idleTimeout: TimeAmount(settings.patience),
                    httpDecoderConfiguration: HTTP1Channel.Configuration.DecoderConfiguration(
                        maxHeaderFieldSize: Self.headLimit, maxHeaderListSize: Self.headLimit,
                        maxHeaderFieldCount: Self.mostFields))),
            configuration: ApplicationConfiguration(
                address: .hostname(listen.host, port: listen.port), serverName: "glm", backlog: 1024,
                availableConnectionsDelegate: MaximumAvailableConnections(settings.mostConnections)),
            onServerRunning: { channel in
                var bound = listen
                bound.port = channel.localAddress?.port ?? listen.port
                await onListening(bound)
            },
            logger: quiet(logger))
        var configuration = ServiceGroupConfiguration(
            services: [application], gracefulShutdownSignals: handlesSignals ? [.sigterm, .sigint] : [],
            logger: quiet(logger))
        configuration.maximumGracefulShutdownDuration = .seconds(3)
        do {
            try await ServiceGroup(configuration: configuration).run()
        } catch let error as IOError {
            throw problem(for: error)
        } catch let error as SocketAddressError {
            throw Problem.invalid("cannot listen at \(listen): \(error); is the host's name right?")
        }
    }

    /// Every route, behind the layers that all requests pass.
    private func router(
        service: OwnedService, models: ModelShelf, batches: BatchRunner, logger: Logger
    ) -> Router<BasicRequestContext> {
        let router = Router(options: .autoGenerateHeadEndpoints)
        router.add(middleware: RequestScopes(traces: traces))
        router.add(middleware: RequestLog(logger: logger))
        router.add(middleware: MetricsMiddleware())
        router.add(middleware: ErrorResponses())
        router.add(middleware: Origins(allowed: settings.origins))
        router.add(middleware: Access(desk: desk))
        let generation = Generation(
            service: service, models: models, heartbeat: settings.heartbeat, bodyLimit: settings.bodyLimit)
        ModelRoutes(service: service, models: models).add(to: router)
        GenerationRoutes(generation: generation).add(to: router)
        TokenRoutes(generation: generation).add(to: router)
        DocumentRoute(models: models).add(to: router)
        JobRoutes(service: service, generation: generation).add(to: router)
        FileRoutes(service: service, generation: generation).add(to: router)
        BatchRoutes(service: service, generation: generation, runner: batches).add(to: router)
        StatusRoute(service: service).add(to: router)
        ScaleRoutes(service: service, generation: generation).add(to: router)
        LinkRoutes(service: service).add(to: router)
        WatchRoutes(service: service).add(to: router)
        DashboardRoutes().add(to: router)
        return router
    }

    /// The web framework logs its own comings and goings, a shutdown as an error: nothing an operator can act on.
    private func quiet(_ logger: Logger) -> Logger {
        var logger = logger
        logger.logLevel = .critical
        return logger
    }

    private func problem(for error: IOError) -> Problem {
        let listen = settings.listen
        switch error.errnoCode {
        case EADDRINUSE:
            return .invalid(
                "port \(listen.port) of \(listen.host) is in use by another program; choose another with --listen")
        case EADDRNOTAVAIL:
            return .invalid("\(listen.host) is no address of this machine; choose one with --listen")
        case EACCES:
            return .invalid(
                "listening at \(listen) is not permitted; ports below 1024 need root, choose another with --listen")
        default:
            return .failed("cannot listen at \(listen): \(error)")
        }
    }
}
