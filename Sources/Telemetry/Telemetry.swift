public import Logging

/// Where the process's log lines go and what they look like.
public enum Telemetry {
    /// What a log line looks like.
    public enum Format: String, Sendable, CaseIterable {
        /// `time level role message key=value`, for people.
        case text
        /// One JSON object a line, for programs.
        case json
    }

    /// Sends every logger's lines to standard error; call it once, before the first logger is made.
    public static func bootstrap(role: String, level: Logger.Level = .info, format: Format = .text) {
        LoggingSystem.bootstrap { label in
            LineLogHandler(role: role, label: label, level: level, format: format)
        }
    }
}
