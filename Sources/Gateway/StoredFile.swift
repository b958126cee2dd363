import Core
import Tokenization

/// An uploaded file, or one that a batch made, as OpenAI describes it.
struct StoredFile {
    /// The kind of its record.
    static let kind = "file"

    var id: String
    var name: String
    var purpose: String
    var bytes: Int
    var created: Int

    /// A file that has an id of its own.
    init(
        id: String = RecordNames.new("file"), name: String, purpose: String, bytes: Int,
        created: Int = EpochClock.seconds
    ) {
        self.id = id
        self.name = name
        self.purpose = purpose
        self.bytes = bytes
        self.created = created
    }

    /// The file of a record.
    init?(_ record: Record) {
        guard let about = try? JSONValue(parsing: record.text, source: "a file's record") else { return nil }
        self.init(
            id: record.name.id, name: about["filename"]?.string ?? "", purpose: about["purpose"]?.string ?? "",
            bytes: about["bytes"]?.integer ?? 0, created: Int(record.created))
    }

    /// The record that keeps it.
    func record(owner: String, data: [UInt8]) -> Record {
        Record(
            Record.Name(Self.kind, id), owner: owner, created: Double(created),
            text: JSONValue.record([
                "filename": .string(name), "purpose": .string(purpose), "bytes": .integer(bytes),
            ]).text(), data: data)
    }

    /// OpenAI's file object.
    var json: JSONValue {
        .record([
            "id": .string(id), "object": .string("file"), "bytes": .integer(bytes), "created_at": .integer(created),
            "filename": .string(name), "purpose": .string(purpose), "status": .string("processed"),
        ])
    }
}

/// Names for records.
enum RecordNames {
    /// A new name: the kind, and 24 digits that nobody guesses.
    static func new(_ kind: String) -> String {
        let digits = (0..<3).map { _ in String(UInt32.random(in: 0...UInt32.max), radix: 16) }
        return "\(kind)-" + digits.map { String(repeating: "0", count: 8 - $0.count) + $0 }.joined()
    }
}
