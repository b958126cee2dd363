import ArgumentParser
import Core
import JobStore
import Transport

/// `glm keys`: the secrets that make a host a member of a cluster (`make`), and the API keys that let people and programs use it.
struct Keys: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make cluster keys, which hosts have, and API keys, which users have.",
        subcommands: [Make.self, Create.self, List.self, Revoke.self])

    /// Whether a store has an API key that opens anything.
    static func areThere(in store: String?) throws -> Bool {
        guard let store else { return false }
        let now = WallClock.seconds
        return try KeyRing(path: store).all().contains { $0.isValid(at: now) }
    }

    struct Make: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write new cluster keys into a folder.",
            discussion: """
                cluster.key is for the coordinator and the workers, gateway.key for gateways; copy them over a safe way and keep \
                them at mode 600. cluster.pub holds no secret. Existing files are never replaced.
                """)

        @Option(help: "The folder; it is made when it is missing.")
        var out: String

        @Flag(help: "Print JSON.")
        var json = false

        func run() throws {
            let paths = try KeyFile.make(in: out)
            let answer = JSONValue.object([.init("files", .array(paths.map { .string($0) }))])
            Terminal.write(json ? answer.text() + "\n" : paths.map { $0 + "\n" }.joined())
        }
    }
}
