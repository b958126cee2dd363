public import Core
import GRDB

/// What gateways keep: files, batches, their results.
extension JobStore {
    /// Keeps a record in the place of one of the same name; it is on the disk when this returns.
    public func keep(_ record: Core.Record) async throws {
        try await database.writing { database in
            try database.execute(
                sql: "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?)",
                arguments: [
                    record.name.kind, record.name.id, record.owner, record.created, record.text, record.data.blob,
                ])
        }
    }

    /// A record, with its data when that is wanted, or nil.
    public func record(_ name: Core.Record.Name, withData: Bool) async throws -> Core.Record? {
        try await database.reading { database in
            let columns = withData ? "*" : "kind, id, owner, created, text, NULL AS data"
            return try Row.fetchOne(
                database, sql: "SELECT \(columns) FROM records WHERE kind = ? AND id = ?",
                arguments: [name.kind, name.id]
            ).map { Self.record($0) }
        }
    }

    /// The records of a kind whose ids begin with `prefix`, without their data, oldest first.
    public func records(_ kind: String, prefix: String) async throws -> [Core.Record] {
        try await database.reading { database in
            try Row.fetchAll(
                database,
                sql: """
                    SELECT kind, id, owner, created, text, NULL AS data FROM records
                    WHERE kind = ? AND substr(id, 1, ?) = ? ORDER BY created, id
                    """, arguments: [kind, prefix.unicodeScalars.count, prefix]
            ).map { Self.record($0) }
        }
    }

    /// Deletes a record, if there is one.
    public func forget(_ name: Core.Record.Name) async throws {
        try await database.writing { database in
            try database.execute(
                sql: "DELETE FROM records WHERE kind = ? AND id = ?", arguments: [name.kind, name.id])
        }
    }

    private static func record(_ row: Row) -> Core.Record {
        Core.Record(
            Core.Record.Name(row["kind"], row["id"]), owner: row["owner"], created: row["created"], text: row["text"],
            data: row.bytes("data"))
    }
}
