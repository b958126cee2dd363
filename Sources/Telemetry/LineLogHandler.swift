import Glibc
import Logging

/// Writes each event as one line to standard error.
///
/// The message is a fixed text and all that varies is metadata, so lines can be searched and counted. A line is written
/// in one call, so that lines of several threads and processes do not mix. Line breaks in values are escaped: nobody can
/// forge a line.
struct LineLogHandler: LogHandler {
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    var logLevel: Logger.Level
    private let role: String
    private let label: String
    private let format: Telemetry.Format

    init(role: String, label: String, level: Logger.Level, format: Telemetry.Format) {
        self.role = role
        self.label = label
        self.logLevel = level
        self.format = format
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var line = Array(text(of: event, at: Self.now()).utf8)
        line.append(10)
        _ = write(STDERR_FILENO, line, line.count)
    }

    /// The line for `event`, without its end.
    func text(of event: LogEvent, at time: String) -> String {
        var facts = metadata
        if let metadataProvider { facts.merge(metadataProvider.get()) { _, new in new } }
        if let more = event.metadata { facts.merge(more) { _, new in new } }
        if let error = event.error { facts["error"] = "\(error)" }
        let sorted = facts.sorted { $0.key < $1.key }
        switch format {
        case .text:
            let pairs = sorted.map { " \($0.key)=\(Self.plain("\($0.value)", quotesSpaces: true))" }
            let message = Self.plain(event.message.description, quotesSpaces: false)
            return "\(time) \(event.level) \(role) \(message)\(pairs.joined())"
        case .json:
            let head = [
                ("time", time), ("level", "\(event.level)"), ("role", role), ("logger", label),
                ("message", event.message.description),
            ]
            let all = head + sorted.map { ($0.key, "\($0.value)") }
            return "{" + all.map { "\(Self.quoted($0.0)):\(Self.quoted($0.1))" }.joined(separator: ",") + "}"
        }
    }

    /// `text` as it is when it is a plain word, else quoted.
    private static func plain(_ text: String, quotesSpaces: Bool) -> String {
        let isPlain = text.unicodeScalars.allSatisfy {
            $0.value >= 32 && $0.value != 127 && !(quotesSpaces && ($0 == " " || $0 == "\"" || $0 == "="))
        }
        return isPlain && !(quotesSpaces && text.isEmpty) ? text : quoted(text)
    }

    /// `text` as a JSON string.
    private static func quoted(_ text: String) -> String {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case _ where scalar.value < 32 || scalar.value == 127:
                let hex = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }

    /// The time as `2025-01-31T12:34:56.789Z`.
    private static func now() -> String {
        var clock = timespec()
        clock_gettime(CLOCK_REALTIME, &clock)
        var parts = tm()
        gmtime_r(&clock.tv_sec, &parts)
        func padded(_ value: some BinaryInteger, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let day = "\(padded(parts.tm_year + 1900, 4))-\(padded(parts.tm_mon + 1, 2))-\(padded(parts.tm_mday, 2))"
        let time = "\(padded(parts.tm_hour, 2)):\(padded(parts.tm_min, 2)):\(padded(parts.tm_sec, 2))"
        return "\(day)T\(time).\(padded(clock.tv_nsec / 1_000_000, 3))Z"
    }
}
