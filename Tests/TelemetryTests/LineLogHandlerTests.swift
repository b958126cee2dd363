import Logging
import Testing

@testable import Telemetry

@Suite("Log lines")
struct LineLogHandlerTests {
    private let time = "2025-01-31T12:34:56.789Z"

    private func line(
        _ format: Telemetry.Format, _ message: Logger.Message, _ metadata: Logger.Metadata = [:]
    ) -> String {
        let handler = LineLogHandler(role: "worker", label: "links", level: .info, format: format)
        let event = LogEvent(
            level: .info, message: message, metadata: metadata, source: "test", file: #fileID, function: #function,
            line: 1)
        return handler.text(of: event, at: time)
    }

    @Test("text: time, level, role, message, facts in order of name")
    func text() {
        #expect(
            line(.text, "peer joined", ["rank": "1", "address": "tcp://a:1"])
                == "2025-01-31T12:34:56.789Z info worker peer joined address=tcp://a:1 rank=1")
    }

    @Test("nobody can forge a line: breaks, quotes and equals signs in values are escaped")
    func forgery() {
        let text = line(.text, "joined", ["name": "x\n2025 error worker all=lost", "empty": ""])
        #expect(!text.contains("\n"))
        #expect(text.hasSuffix(#"joined empty="" name="x\n2025 error worker all=lost""#))
        #expect(!line(.text, "two\nlines").contains("\n"))
    }

    @Test("json: one object with every fact as text, control characters escaped")
    func json() {
        #expect(
            line(.json, "said \"no\"", ["why": "tab\tbell\u{7}"])
                == #"{"time":"2025-01-31T12:34:56.789Z","level":"info","role":"worker","logger":"links","#
                + #""message":"said \"no\"","why":"tab\tbell\u0007"}"#)
    }
}
