import Core
import FoundationEssentials
import GRDB
import Glibc

/// The SQLite file: opened, brought to this release's schema, and its errors in words.
///
/// Write-ahead logging, so that readers and the writer do not wait for each other, and a commit is on the disk before it
/// returns. Several processes may have it open: the coordinator writes jobs, `glm keys` writes keys.
struct Database: Sendable {
    let pool: DatabasePool
    let path: String

    /// Opens the file, or makes it, readable by nobody else.
    ///
    /// - Throws: a problem in words when it cannot be opened, is damaged, or is of a newer release.
    init(path: String) throws {
        self.path = path
        let made = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard made >= 0 else {
            throw Problem.invalid(
                "store \(path): cannot be opened (\(Self.words(errno))); the folder must exist and be writable")
        }
        close(made)
        var configuration = Configuration()
        configuration.label = "store"
        configuration.busyMode = .timeout(5)
        configuration.maximumReaderCount = 2
        do {
            pool = try DatabasePool(path: path, configuration: configuration)
            // After GRDB's own NORMAL, which does not wait for the disk.
            try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
            try Self.schema.migrate(pool)
            let isNewer = try pool.read { try Self.schema.hasBeenSuperseded($0) }
            guard !isNewer else {
                throw Problem.invalid(
                    "store \(path): was written by a newer release; run that one, or use another file")
            }
        } catch {
            throw Self.problem(error, path: path)
        }
    }

    /// Runs `body` in one transaction.
    func write<T>(_ body: (GRDB.Database) throws -> T) throws -> T {
        do {
            return try pool.write(body)
        } catch {
            throw Self.problem(error, path: path)
        }
    }

    /// Runs `body` on a snapshot.
    func read<T>(_ body: (GRDB.Database) throws -> T) throws -> T {
        do {
            return try pool.read(body)
        } catch {
            throw Self.problem(error, path: path)
        }
    }

    /// Runs `body` on a snapshot, on a thread of the store's.
    func reading<T: Sendable>(_ body: @escaping @Sendable (GRDB.Database) throws -> T) async throws -> T {
        do {
            return try await pool.read(body)
        } catch {
            throw Self.problem(error, path: path)
        }
    }

    /// Runs `body` in one transaction, on a thread of the store's.
    func writing<T: Sendable>(_ body: @escaping @Sendable (GRDB.Database) throws -> T) async throws -> T {
        do {
            return try await pool.write(body)
        } catch {
            throw Self.problem(error, path: path)
        }
    }

    /// What went wrong, for the person who can mend it.
    static func problem(_ error: any Error, path: String) -> Problem {
        if let problem = error as? Problem { return problem }
        guard let error = error as? DatabaseError else { return .failed("store \(path): \(error)") }
        switch error.resultCode {
        case .SQLITE_FULL, .SQLITE_TOOBIG:
            return .failed("store \(path): the disk is full; make room on it")
        case .SQLITE_IOERR:
            return .failed(
                "store \(path): the disk cannot be read or written; see the system's log, and make room on it")
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            return .invalid(
                "store \(path): is damaged or no store at all; restore it from a copy, or move it away and start with an empty one"
            )
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            return .unavailable("store \(path): another process has locked it for more than 5 s; end that one")
        case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_CANTOPEN, .SQLITE_AUTH:
            return .invalid("store \(path): cannot be written; its file and folder must be writable")
        default: return .failed("store \(path): \(error.message ?? "\(error.resultCode)")")
        }
    }

    static func words(_ code: Int32) -> String { String(cString: strerror(code)).lowercased() }

    /// The tables. What was released is never changed; what is new is a migration of its own.
    private static let schema: DatabaseMigrator = {
        var schema = DatabaseMigrator()
        schema.registerMigration("1 jobs, keys, records") { database in
            try database.execute(
                sql: """
                    CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
                    CREATE TABLE jobs (
                        number INTEGER PRIMARY KEY, served TEXT NOT NULL, accepted REAL NOT NULL,
                        owner TEXT NOT NULL, tag TEXT NOT NULL, answer_limit INTEGER NOT NULL,
                        request BLOB NOT NULL, prompt BLOB, state BLOB, ended REAL);
                    CREATE TABLE events (
                        job INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE, first INTEGER NOT NULL,
                        events BLOB NOT NULL, PRIMARY KEY (job, first)) WITHOUT ROWID;
                    CREATE TABLE keys (
                        id TEXT PRIMARY KEY, name TEXT NOT NULL, hash BLOB NOT NULL UNIQUE, scope TEXT NOT NULL,
                        requests_per_minute INTEGER, tokens_per_minute INTEGER, jobs INTEGER,
                        created REAL NOT NULL, expires REAL, revoked REAL);
                    CREATE TABLE used (
                        key TEXT NOT NULL, day INTEGER NOT NULL, jobs INTEGER NOT NULL, prompt_tokens INTEGER NOT NULL,
                        completion_tokens INTEGER NOT NULL, PRIMARY KEY (key, day)) WITHOUT ROWID;
                    CREATE TABLE records (
                        kind TEXT NOT NULL, id TEXT NOT NULL, owner TEXT NOT NULL, created REAL NOT NULL,
                        text TEXT NOT NULL, data BLOB NOT NULL, PRIMARY KEY (kind, id));
                    """)
        }
        schema.registerMigration("2 answers whose clients wait") { database in
            try database.execute(sql: "ALTER TABLE jobs ADD COLUMN ends_with_client INTEGER NOT NULL DEFAULT 0")
        }
        return schema
    }()
}

extension [UInt8] {
    /// The bytes as a value of the database.
    var blob: DatabaseValue { Data(self).databaseValue }
}

extension Row {
    /// The bytes in a column; none where it has none.
    func bytes(_ column: String) -> [UInt8] {
        let data: Data? = self[column]
        return data.map { [UInt8]($0) } ?? []
    }
}
