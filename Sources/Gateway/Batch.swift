import Core
import Tokenization

/// A batch as OpenAI describes it: many requests in a file, answered in a file.
///
/// Its record says what was asked and how it ended; how far it is can be seen from the records of its lines.
struct Batch: Sendable {
    /// The kind of its record, and that of its lines' results.
    static let kind = "batch"
    static let lineKind = "line"

    enum Status: String, Sendable {
        case failed, inProgress = "in_progress", completed, expired, cancelling, cancelled

        var isOver: Bool { self != .inProgress && self != .cancelling }
    }

    /// What is wrong with a line of its file.
    struct Fault: Sendable {
        var line: Int
        var code: String
        var message: String
    }

    var id: String
    var owner: String
    var endpoint: Endpoint
    var input: String
    var window: String
    var created: Int
    var expires: Int
    var ended: Int?
    var status: Status
    var total: Int
    var completed = 0
    var failed = 0
    var hasErrors = false
    var hasOutput = false
    var metadata: JSONValue
    var faults: [Fault] = []

    init(
        owner: String, endpoint: Endpoint, input: String, window: String, seconds: Int, total: Int, metadata: JSONValue,
        faults: [Fault]
    ) {
        id = RecordNames.new("batch")
        self.owner = owner
        self.endpoint = endpoint
        self.input = input
        self.window = window
        created = EpochClock.seconds
        expires = created + seconds
        self.total = total
        self.metadata = metadata
        self.faults = faults
        status = faults.isEmpty ? .inProgress : .failed
        ended = faults.isEmpty ? nil : created
    }

    /// The batch of a record.
    init?(_ record: Record) {
        guard let about = try? JSONValue(parsing: record.text, source: "a batch's record"),
            let status = about["status"]?.string.flatMap({ Status(rawValue: $0) }),
            let endpoint = about["endpoint"]?.string.flatMap({ Endpoint(rawValue: $0) })
        else { return nil }
        id = record.name.id
        owner = record.owner
        self.endpoint = endpoint
        input = about["input_file_id"]?.string ?? ""
        window = about["completion_window"]?.string ?? ""
        created = Int(record.created)
        expires = about["expires_at"]?.integer ?? 0
        ended = about["ended_at"]?.integer
        self.status = status
        total = about["total"]?.integer ?? 0
        completed = about["completed"]?.integer ?? 0
        failed = about["failed"]?.integer ?? 0
        hasOutput = about["has_output"]?.bool ?? false
        hasErrors = about["has_errors"]?.bool ?? false
        metadata = about["metadata"] ?? .null
        faults = (about["faults"]?.elements ?? []).map { fault in
            Fault(
                line: fault["line"]?.integer ?? 0, code: fault["code"]?.string ?? "",
                message: fault["message"]?.string ?? "")
        }
    }

    /// The record that keeps it.
    var record: Record {
        Record(
            Record.Name(Self.kind, id), owner: owner, created: Double(created),
            text: JSONValue.record([
                "status": .string(status.rawValue), "endpoint": .string(endpoint.rawValue),
                "input_file_id": .string(input),
                "completion_window": .string(window), "expires_at": .integer(expires),
                "ended_at": ended.map { .integer($0) }, "total": .integer(total), "completed": .integer(completed),
                "failed": .integer(failed), "has_output": .bool(hasOutput), "has_errors": .bool(hasErrors),
                "metadata": metadata, "faults": .array(faults.map(\.json)),
            ]).text())
    }

    /// The files of its results; each has one name, so that it is made once whoever makes it.
    var outputFile: String { "file-\(id)-output" }
    var errorFile: String { "file-\(id)-errors" }

    /// The record of a line's result.
    func name(ofLine line: Int) -> Record.Name {
        let digits = "\(line)"
        return Record.Name(Self.lineKind, "\(id)/" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits)
    }

    /// The job of a line: asking twice makes one.
    func tag(ofLine line: Int, copy: Int) -> String { "\(id)/\(line)" + (copy > 0 ? "/\(copy)" : "") }

    /// OpenAI's batch object.
    var json: JSONValue {
        func time(_ wanted: Status) -> JSONValue { status == wanted ? ended.map { .integer($0) } ?? .null : .null }
        return .record([
            "id": .string(id), "object": .string("batch"), "endpoint": .string(endpoint.rawValue),
            "errors": faults.isEmpty
                ? .null : .record(["object": .string("list"), "data": .array(faults.map(\.json))]),
            "input_file_id": .string(input), "completion_window": .string(window),
            "status": .string(status.rawValue), "output_file_id": hasOutput ? .string(outputFile) : .null,
            "error_file_id": hasErrors ? .string(errorFile) : .null, "created_at": .integer(created),
            "in_progress_at": faults.isEmpty ? .integer(created) : .null, "expires_at": .integer(expires),
            "finalizing_at": time(.completed), "completed_at": time(.completed), "failed_at": time(.failed),
            "expired_at": time(.expired), "cancelling_at": .null, "cancelled_at": time(.cancelled),
            "request_counts": .record([
                "total": .integer(total), "completed": .integer(completed), "failed": .integer(failed),
            ]), "metadata": metadata,
        ])
    }
}

extension Batch.Fault {
    /// OpenAI's error of a line.
    var json: JSONValue {
        .record([
            "code": .string(code), "message": .string(message), "param": .null, "line": .integer(line),
        ])
    }
}

/// One request of a batch.
struct BatchLine: Sendable {
    var customID: String
    var endpoint: Endpoint
    var body: JSONValue

    /// Lines of one batch, at most.
    static let most = 50_000

    /// The requests of a file, and what is wrong with its lines.
    static func read(_ data: [UInt8], endpoint: Endpoint) -> (lines: [BatchLine], faults: [Batch.Fault]) {
        var lines: [BatchLine] = []
        var faults: [Batch.Fault] = []
        var seen: Set<String> = []
        for (index, text) in data.split(separator: 10, omittingEmptySubsequences: false).enumerated() {
            guard text.contains(where: { $0 != 13 && $0 != 32 && $0 != 9 }) else { continue }
            guard lines.count < most else {
                faults.append(
                    .init(line: index + 1, code: "too_many_lines", message: "a batch has at most \(most) lines"))
                break
            }
            func fault(_ code: String, _ message: String) {
                // A file that is wrong throughout needs no more words than this.
                if faults.count < 100 { faults.append(.init(line: index + 1, code: code, message: message)) }
            }
            do {
                let line = try JSONValue(parsing: Array(text), source: "line \(index + 1)")
                guard let id = line["custom_id"]?.string, !id.isEmpty else {
                    fault("missing_custom_id", "custom_id: missing; expected a string")
                    continue
                }
                guard seen.insert(id).inserted else {
                    fault("duplicate_custom_id", "custom_id: \(id.prefix(100)) is there twice")
                    continue
                }
                guard line["method"]?.string == "POST", line["url"]?.string == endpoint.rawValue else {
                    fault("invalid_url", "expected method POST and url \(endpoint.rawValue), as the batch says")
                    continue
                }
                guard let body = line["body"], body.members != nil else {
                    fault("invalid_body", "body: expected an object")
                    continue
                }
                lines.append(BatchLine(customID: id, endpoint: endpoint, body: body))
            } catch {
                fault("invalid_json_line", "\(error)")
            }
        }
        if lines.isEmpty, faults.isEmpty {
            faults.append(.init(line: 1, code: "empty_file", message: "the file has no requests"))
        }
        return (lines, faults)
    }
}
