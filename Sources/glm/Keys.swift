import ArgumentParser
import Core
import Transport

/// `glm keys`: the secrets that make a host a member of a cluster.
struct Keys: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make the keys that protect a cluster on a network.", subcommands: [Make.self])

    struct Make: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write new keys into a folder.",
            discussion: """
                cluster.key is for the coordinator and the workers, gateway.key for gateways; copy them over a safe way and keep \
                them at mode 600. cluster.pub holds no secret. Existing files are never replaced.
                """)

        @Option(help: "The folder; it is made when it is missing.")
        var out: String

        func run() throws {
            for path in try KeyFile.make(in: out) { print(path) }
        }
    }
}
