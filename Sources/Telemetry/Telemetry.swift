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
