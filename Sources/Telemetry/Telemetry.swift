import CoreMetrics
import Logging

/// Where the process's log lines go and what they look like.
public enum Telemetry {
    /// What a log line looks like.
    public enum Format: String, Sendable, CaseIterable {
        /// `time level role message key=value`, for people.
        case text
        /// One JSON object a line, for programs.
        case json
    }

    /// The least important lines that are written.
    public enum Level: String, Sendable, CaseIterable {
        /// What a developer asks for.
        case debug
        /// What happened.
        case info
        /// What went wrong and was dealt with.
        case warning
        /// What went wrong.
        case error
    }

    /// What this process measures.
    public static let meters = Meters(RequestMeters.families)

    private static let installed: Void = MetricsSystem.bootstrap(meters)

    /// Makes `meters` what libraries report to; only the first call does something.
    public static func installMeters() { installed }

    /// Sends every logger's lines to standard error; call it once, before the first logger is made.
    public static func bootstrap(role: String, level: Level = .info, format: Format = .text) {
        LoggingSystem.bootstrap { label in
            LineLogHandler(role: role, label: label, level: Logger.Level(level), format: format)
        }
    }

    /// Writes what a role has to say, a line a note.
    public static func notes(of role: String) -> @Sendable (String) -> Void {
        let logger = Logger(label: role)
        return { logger.info("\($0)") }
    }

    /// Writes what happened in a role, a line each, with its facts by name.
    public static func records(of role: String) -> @Sendable (String, [(String, String)]) -> Void {
        let logger = Logger(label: role)
        return { what, facts in
            let metadata = facts.map { ($0.0, Logger.MetadataValue.string($0.1)) }
            logger.info("\(what)", metadata: Logger.Metadata(metadata) { _, last in last })
        }
    }
}

extension Logger.Level {
    fileprivate init(_ level: Telemetry.Level) {
        self =
            switch level {
            case .debug: .debug
            case .info: .info
            case .warning: .warning
            case .error: .error
            }
    }
}
