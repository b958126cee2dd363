import ArgumentParser
import Core
import Telemetry

/// What coordinator, worker and gateway take alike: how they log.
struct RoleOptions: ParsableArguments {
    @Option(help: "The least important log lines to write: debug, info, warning or error; info unless given.")
    var logLevel: String?

    @Option(help: "How log lines are written: text for people or json for programs; text unless given.")
    var logFormat: String?

    @Flag(help: .hidden)
    var withParent = false

    /// Starts the role's log, and the watch over a parent; the result writes a line to the log.
    func start(_ role: String, _ settings: Settings) throws -> @Sendable (String) -> Void {
        if withParent { ParentWatch.start() }
        let levelName = logLevel ?? settings.string("log-level") ?? "info"
        guard let level = Telemetry.Level(rawValue: levelName) else {
            let names = Telemetry.Level.allCases.map(\.rawValue).joined(separator: ", ")
            throw Problem.invalid("--log-level \(levelName) is unknown; use one of \(names)")
        }
        let formatName = logFormat ?? settings.string("log-format") ?? "text"
        guard let format = Telemetry.Format(rawValue: formatName) else {
            throw Problem.invalid("--log-format \(formatName) is unknown; use text or json")
        }
        Telemetry.bootstrap(role: role, level: level, format: format)
        return Telemetry.notes(of: role)
    }
}
