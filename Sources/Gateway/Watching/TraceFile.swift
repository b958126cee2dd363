import Core
import Glibc
import Synchronization
import Tokenization

/// A moment on two clocks: one that measures, and the time of day.
struct Moment: Sendable {
    /// For durations.
    let instant: ContinuousClock.Instant
    /// Nanoseconds since 1970.
    let epoch: Int64

    /// Now.
    init() {
        instant = .now
        var clock = timespec()
        clock_gettime(CLOCK_REALTIME, &clock)
        epoch = Int64(clock.tv_sec) * 1_000_000_000 + Int64(clock.tv_nsec)
    }

    /// Seconds since then.
    var seconds: Double { instant.duration(to: .now) / .seconds(1) }
    /// The nanoseconds since 1970 at the time `seconds` later.
    func epoch(after seconds: Double) -> Int64 { epoch + Int64(max(0, seconds) * 1e9) }
}

/// A piece of work in a trace.
struct Span: Sendable {
    /// OTLP's numbers.
    enum Kind: Int, Sendable {
        case `internal` = 1
        case server = 2
    }

    let traceID: String
    let spanID: String
    let parentID: String?
    let name: String
    let kind: Kind
    /// Nanoseconds since 1970.
    let start: Int64
    /// The same of its end.
    var end: Int64
    var attributes: [(String, JSONValue)] = []
    var problem: String?
    private let began: Moment?

    /// The span of a request, from its arrival on.
    init(_ trace: TraceContext, name: String, kind: Kind, start: Moment) {
        (traceID, spanID, parentID) = (trace.traceID, trace.spanID, trace.parentID)
        (self.name, self.kind, self.start, end) = (name, kind, start.epoch, start.epoch)
        began = start
    }

    /// A part of a request's work, or of a part, whose times are known.
    init(_ trace: TraceContext, within parent: String, name: String, start: Int64, end: Int64) {
        (traceID, spanID, parentID) = (trace.traceID, TraceContext.randomHex(words: 1), parent)
        (self.name, kind, self.start, self.end) = (name, .internal, start, max(start, end))
        began = nil
    }

    /// The same, which ends now.
    func ended(problem: String? = nil) -> Span {
        var span = self
        if let began { span.end = began.epoch(after: began.seconds) }
        span.problem = problem ?? self.problem
        return span
    }

    /// The span as OTLP has it in JSON.
    var json: JSONValue {
        let all = attributes.map { name, value -> JSONValue in
            let typed: JSONValue =
                switch value {
                case .number(let text) where value.integer != nil: .record(["intValue": .string(text)])
                case .number: .record(["doubleValue": value])
                default: .record(["stringValue": value])
                }
            return .record(["key": .string(name), "value": typed])
        }
        return .record([
            "traceId": .string(traceID), "spanId": .string(spanID), "parentSpanId": parentID.map { .string($0) },
            "name": .string(name), "kind": .integer(kind.rawValue), "startTimeUnixNano": .string("\(start)"),
            "endTimeUnixNano": .string("\(end)"), "attributes": .array(all),
            "status": problem.map { .record(["code": .integer(2), "message": .string($0)]) },
        ])
    }
}

/// A file of spans: a line is one export request of OTLP in JSON, as OpenTelemetry's collector reads it from files.
final class TraceFile: Sendable {
    private let descriptor: Int32
    private let writing = Mutex(())

    /// Opens a file to append to.
    init(path: String) throws {
        descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else {
            throw Problem.invalid(
                "traces cannot be written to \(path): \(String(cString: strerror(errno)).lowercased()); name another file with --traces"
            )
        }
    }

    deinit { close(descriptor) }

    /// Appends spans as one line; a disk that is full costs the line and nothing else.
    func write(_ spans: [Span]) {
        let service = JSONValue.record([
            "attributes": .array([
                .record(["key": .string("service.name"), "value": .record(["stringValue": .string("glm-gateway")])])
            ])
        ])
        let scope = JSONValue.record([
            "scope": .record(["name": .string("glm")]), "spans": .array(spans.map(\.json)),
        ])
        let export = JSONValue.record([
            "resourceSpans": .array([.record(["resource": service, "scopeSpans": .array([scope])])])
        ])
        let line = Array((export.text() + "\n").utf8)
        writing.withLock { _ in _ = Glibc.write(descriptor, line, line.count) }
    }
}
