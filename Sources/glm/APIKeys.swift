import ArgumentParser
import Core
import Glibc
import JobStore
import Tokenization

/// The store whose API keys are meant. Whoever may write the file may make keys: no gateway is asked.
struct KeyStoreOptions: ParsableArguments {
    @Option(help: "The coordinator's store, on the coordinator's host.")
    var store: String?

    @Option(help: "A configuration file; ./glm.toml or ~/.config/glm/glm.toml unless given.")
    var config: String?

    /// The keys; a store that is not there is made only where one may be.
    func ring(makes: Bool = false) throws -> KeyRing {
        guard let path = try store ?? Settings.load(config: config).string("store") else {
            throw ValidationError("give the coordinator's store with --store PATH")
        }
        guard makes || access(path, F_OK) == 0 else {
            throw Problem.notFound("there is no store \(path); give the one that the coordinator has")
        }
        return try KeyRing(path: path)
    }
}

/// The time of day.
enum WallClock {
    /// Seconds since 1970.
    static var seconds: Double {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9
    }
}

extension Keys {
    /// `glm keys create`.
    struct Create: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make an API key and print it, once.",
            discussion: """
                Only its hash is kept. From the first key on every request needs one. Scopes: watch (models, status, metrics), use \
                (generate, and see what the same key made), admin (all of it).
                """)

        @Option(help: "What to call it.")
        var name: String

        @Option(help: "watch, use or admin; use unless given.")
        var scope = "use"

        @Option(name: .customLong("requests-per-minute"), help: "Requests that generate, in a minute.")
        var requestsPerMinute: Int?

        @Option(name: .customLong("tokens-per-minute"), help: "Tokens of prompts and answers, in a minute.")
        var tokensPerMinute: Int?

        @Option(name: .customLong("most-jobs"), help: "Jobs that wait or run at one time.")
        var mostJobs: Int?

        @Option(help: "Days after which it is worth nothing.")
        var days: Int?

        @Flag(help: "Print JSON.")
        var json = false

        @OptionGroup var options: KeyStoreOptions

        func run() throws {
            guard let wanted = APIKey.Scope(rawValue: scope) else {
                throw Problem.invalid("--scope \(scope): use watch, use or admin")
            }
            guard (1...100).contains(name.utf8.count), !name.utf8.contains(where: { $0 < 32 || $0 == 127 }) else {
                throw Problem.invalid("--name: expected one line of at most 100 bytes")
            }
            for (flag, value) in [
                ("requests-per-minute", requestsPerMinute), ("tokens-per-minute", tokensPerMinute),
                ("most-jobs", mostJobs), ("days", days),
            ] {
                guard let value, !(1...1_000_000_000).contains(value) else { continue }
                throw Problem.invalid("--\(flag) \(value): use 1 or more")
            }
            let now = WallClock.seconds
            let (key, secret) = try options.ring(makes: true).make(
                name: name, scope: wanted,
                limits: APIKey.Limits(
                    requestsPerMinute: requestsPerMinute, tokensPerMinute: tokensPerMinute, jobs: mostJobs),
                expires: days.map { now + Double($0) * 86_400 }, now: now)
            guard !json else {
                let members = [("id", key.id), ("key", secret)].map { JSONValue.Member($0, .string($1)) }
                return Terminal.write(JSONValue.object(members).text() + "\n")
            }
            Terminal.note("\(key.id): keep the key, it is not shown again")
            Terminal.write(secret + "\n")
        }
    }

    /// `glm keys list`.
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the API keys with what was used with them.")

        @Flag(help: "Print JSON.")
        var json = false

        @OptionGroup var options: KeyStoreOptions

        func run() throws {
            let keys = try options.ring().all()
            let now = WallClock.seconds
            func state(_ key: APIKey) -> String {
                key.isRevoked ? "revoked" : key.isValid(at: now) ? "valid" : "expired"
            }
            guard !json else {
                let all = keys.map { key in
                    JSONValue.object([
                        .init("id", .string(key.id)), .init("name", .string(key.name)),
                        .init("scope", .string(key.scope.rawValue)), .init("state", .string(state(key))),
                        .init("created", .number("\(key.created)")),
                        .init("expires", key.expires.map { .number("\($0)") } ?? .null),
                        .init("requests_per_minute", key.limits.requestsPerMinute.map { .integer($0) } ?? .null),
                        .init("tokens_per_minute", key.limits.tokensPerMinute.map { .integer($0) } ?? .null),
                        .init("most_jobs", key.limits.jobs.map { .integer($0) } ?? .null),
                        .init("jobs", .integer(key.use.jobs)), .init("prompt_tokens", .integer(key.use.promptTokens)),
                        .init("completion_tokens", .integer(key.use.completionTokens)),
                    ])
                }
                return Terminal.write(JSONValue.array(all).text() + "\n")
            }
            func limits(_ key: APIKey) -> String {
                let all = [
                    key.limits.requestsPerMinute.map { "\($0) requests/min" },
                    key.limits.tokensPerMinute.map { "\($0) tokens/min" }, key.limits.jobs.map { "\($0) jobs" },
                ]
                let given = all.compactMap { $0 }
                return given.isEmpty ? "-" : given.joined(separator: ", ")
            }
            let rows = keys.map { key in
                [
                    key.id, key.name, key.scope.rawValue, state(key), limits(key), "\(key.use.jobs)",
                    "\(key.use.promptTokens)", "\(key.use.completionTokens)",
                ]
            }
            Terminal.write(
                rows.isEmpty
                    ? "no API keys\n"
                    : Terminal.table(
                        ["KEY", "NAME", "SCOPE", "STATE", "LIMITS", "JOBS", "PROMPT", "ANSWER"], rows, right: [5, 6, 7])
            )
        }
    }

    /// `glm keys revoke`.
    struct Revoke: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Take an API key back; within a second or two it opens nothing.")

        @Argument(help: "The key's id, key-...; see `glm keys list`.")
        var id: String

        @Flag(help: "Print JSON.")
        var json = false

        @OptionGroup var options: KeyStoreOptions

        func run() throws {
            try options.ring().revoke(id, now: WallClock.seconds)
            let answer = JSONValue.object([.init("id", .string(id)), .init("state", .string("revoked"))])
            Terminal.write((json ? answer.text() : "\(id): revoked") + "\n")
        }
    }
}
