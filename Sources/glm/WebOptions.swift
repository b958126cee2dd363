import ArgumentParser
import Core
import Glibc

/// Who may call a gateway: gateway and up.
struct WebOptions: ParsableArguments {
    @Option(
        name: .customLong("allow-origin"),
        help: "A site whose pages may call, like https://chat.example.org; may be given several times.")
    var allowOrigin: [String] = []

    /// The origins, checked.
    func origins(_ settings: Settings) throws -> [String] {
        let origins = allowOrigin.isEmpty ? settings.string("allow-origin").map { [$0] } ?? [] : allowOrigin
        for origin in origins {
            let parts = origin.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 3, parts[0].hasSuffix(":"), parts[1].isEmpty, !parts[2].isEmpty else {
                throw Problem.invalid(
                    "--allow-origin \(origin): expected a scheme and a host, like https://chat.example.org")
            }
        }
        return origins
    }

    /// The same as flags.
    func flags(_ settings: Settings) throws -> [String] {
        try origins(settings).flatMap { ["--allow-origin", $0] }
    }
}

/// Lets this process have as many connections as the system allows it: the usual first limit is 1024.
func raiseDescriptorLimit() {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return }
    limit.rlim_cur = limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
}
