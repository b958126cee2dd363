import ArgumentParser
import Core
import Gateway
import Glibc
import Transport

/// `glm gateway`: the HTTP door of a cluster.
struct GatewayCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gateway", abstract: "Serve OpenAI's HTTP interface in front of a coordinator.")

    @OptionGroup var role: RoleOptions

    @Option(help: "Where the coordinator listens: tcp://HOST:PORT or ipc://PATH.")
    var coordinator: String?

    @Option(help: "Where to listen for HTTP; 127.0.0.1:8080 unless given.")
    var listen: String?

    @Option(help: "The gateway's key file, or the folder that `glm keys make` wrote.")
    var keys: String?

    @Flag(help: "Let everybody in where others can reach it, though there are no API keys.")
    var insecure = false

    @Option(help: "A file that spans of requests are appended to, a line of OTLP in JSON each; none unless given.")
    var traces: String?
    @OptionGroup var web: WebOptions

    @Option(help: "A configuration file; ./glm.toml or ~/.config/glm/glm.toml unless given.")
    var config: String?

    func run() async throws {
        let settings = try Settings.load(config: config)
        let note = try role.start("gateway", settings)
        guard let coordinator = coordinator ?? settings.string("coordinator") else {
            throw ValidationError("give the coordinator's address with --coordinator tcp://HOST:PORT")
        }
        let listen = try ListenAddress(listen ?? settings.string("listen") ?? "127.0.0.1:8080")
        let isInsecure = try insecure || settings.bool("insecure") ?? false
        let link = try CoordinatorLink(
            endpoint: coordinator, name: "gateway-\(getpid())",
            security: try Self.security(keys ?? settings.string("keys"))
        ) { note($0) }
        defer { link.close() }
        raiseDescriptorLimit()
        let gateway = try Gateway(
            settings: Gateway.Settings(
                listen: listen, insecure: isInsecure, origins: try web.origins(settings),
                traces: traces ?? settings.string("traces")), service: link)
        try await gateway.run { note("listening at http://\($0)") }
    }

    /// The keys in a file, or in the gateways' file of a folder; none when there is no path.
    private static func security(_ path: String?) throws -> Security {
        guard let path else { return .open }
        var facts = stat()
        let isFolder = stat(path, &facts) == 0 && facts.st_mode & S_IFMT == S_IFDIR
        return .curve(try KeyFile.read(isFolder ? "\(path)/\(KeyFile.gatewayName)" : path))
    }
}
