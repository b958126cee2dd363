public import Core
import GRDB
import Glibc
import Synchronization
import Threads

/// The coordinator's journal of jobs, the API keys and what gateways keep: one SQLite file.
///
/// Everything that happens to jobs goes through a mailbox to one thread, which takes all there is and commits it together: who
/// puts never waits for the disk, and two hundred jobs accepted at once wait for one commit. What nobody waits for, the
/// tokens of answers that run, is written a few times a second: a coordinator that is killed draws again what was not
/// written, and draws the same.
public final class JobStore: Sendable {
    /// The file.
    public let path: String
    let database: Database
    private let lock: StoreLock
    /// What jobs depend on: an unfinished job only goes on where this is the same.
    private let served: String
    private let inbox = Mailbox<JobEntry>()
    /// The number of the first job of this coordinator: higher than any that was ever given.
    public let firstNumber: Int
    private let writer = Mutex<Thread?>(nil)
    private let log: @Sendable (String) -> Void

    /// How long entries that nobody waits for may lie.
    private static let patience = Duration.milliseconds(200)
    /// Job numbers that are set aside at a time: none is given twice, though some were never written down.
    static let reserve = 1000

    /// Opens the store at `path`, or makes it; no other coordinator may have it.
    ///
    /// - Parameters:
    ///   - path: A file; SQLite keeps others beside it.
    ///   - served: What an answer's tokens depend on: the model's digest, the types of weights and of K and V.
    ///   - log: Hears of trouble with the disk, and of its end.
    /// - Throws: a problem in words when the file is damaged, locked, of a newer release or cannot be written.
    public init(path: String, served: String, log: @escaping @Sendable (String) -> Void = { _ in }) throws {
        self.path = path
        self.served = served
        self.log = log
        lock = try StoreLock(path: path + ".lock")
        let database = try Database(path: path)
        self.database = database
        let inbox = inbox
        firstNumber = try database.write { database in
            let first = try Self.firstNumber(database)
            try Self.setAside(database, from: first)
            return first
        }
        let scribe = Scribe(database: database, served: served, log: log)
        writer.withLock { writer in
            writer = Thread(name: "journal") { scribe.write(from: inbox, patience: Self.patience) }
        }
    }

    /// Writes down what is left and closes the file; everything put later is lost.
    public func close() {
        inbox.close()
        let thread = writer.withLock { writer -> Thread? in
            defer { writer = nil }
            return writer
        }
        thread?.join()
        // What is left is one whole file, where the disk allows it.
        _ = try? database.pool.writeWithoutTransaction { try $0.checkpoint(.truncate) }
        try? database.pool.close()
        lock.release()
    }

    /// A job was accepted; `written` hears when it is on the disk, or why it cannot be. Without `written` nobody waits for that.
    public func accepted(_ job: AcceptedJob, written: (@Sendable (Problem?) -> Void)? = nil) {
        if !inbox.put(.accepted(job, written: written)) { written?(.unavailable("the coordinator was stopped")) }
    }

    /// Events of a job followed, numbered from `first`; with `end` it is over.
    public func happened(to job: JobID, first: Int, _ events: [JobEvent], end: JobEnd? = nil) {
        guard !events.isEmpty || end != nil else { return }
        inbox.put(.happened(job, first: first, events, end: end))
    }

    /// Nobody remembers these jobs any more.
    public func forget(_ jobs: [JobID]) {
        if !jobs.isEmpty { inbox.put(.forgotten(jobs)) }
    }

    /// The jobs that an earlier coordinator left: all that are not over, and the newest of the others, `most` of them with `mostTokens` tokens
    /// in all that ended after `since`; the rest is deleted.
    public func found(most: Int, mostTokens: Int, since: Double) throws -> FoundJobs {
        var found = FoundJobs()
        var kept = 0, tokens = 0
        var forgotten: [Int] = []
        try database.read { database in
            let sql = """
                SELECT number, state, tag, ended, ends_with_client FROM jobs WHERE state IS NOT NULL ORDER BY number DESC
                """
            for row in try Row.fetchAll(database, sql: sql) {
                let number: Int = row["number"]
                let ended: Double = row["ended"] ?? 0
                guard kept < most, tokens < mostTokens, ended >= since else {
                    forgotten.append(number)
                    continue
                }
                do {
                    let state = try JobCodec.state(row.bytes("state"))
                    kept += 1
                    tokens += state.tokens.count
                    found.finished.append((state, row["tag"], ended, row["ends_with_client"]))
                } catch {
                    found.problems.append("\(Self.id(number)) cannot be read: \(error)")
                    forgotten.append(number)
                }
            }
            found.finished.reverse()
            try unfinished(database, &found)
        }
        forget(forgotten.map { Self.id($0) })
        return found
    }

    private func unfinished(_ database: GRDB.Database, _ found: inout FoundJobs) throws {
        let sql = "SELECT * FROM jobs WHERE state IS NULL ORDER BY number"
        let rows = try Row.fetchCursor(database, sql: sql)
        while let row = try rows.next() {
            let number: Int = row["number"]
            let begunWith: String = row["served"]
            guard begunWith == served else {
                found.foreign += 1
                continue
            }
            do {
                let job = AcceptedJob(
                    id: Self.id(number),
                    request: try JobCodec.request(header: row.bytes("request"), prompt: row.bytes("prompt")),
                    limit: row["answer_limit"], accepted: row["accepted"])
                found.unfinished.append((job, try Self.events(number, database)))
            } catch {
                found.problems.append("\(Self.id(number)) cannot be read and is left: \(error)")
            }
        }
    }

    /// All events of a job that is over, numbered from 0, except the progress of its prompt.
    public func events(of job: JobID) async throws -> [JobEvent] {
        guard let number = Self.number(job) else { return [] }
        return try await database.reading { try Self.events(number, $0) }
    }

    /// The events that are there without a gap.
    private static func events(_ number: Int, _ database: GRDB.Database) throws -> [JobEvent] {
        var events: [JobEvent] = []
        let sql = "SELECT first, events FROM events WHERE job = ? ORDER BY first"
        for row in try Row.fetchAll(database, sql: sql, arguments: [number]) {
            let first: Int = row["first"]
            guard first == events.count else { break }
            events += try JobCodec.events(row.bytes("events"))
        }
        return events
    }

    // MARK: Numbers

    static func id(_ number: Int) -> JobID { JobID("job-\(number)") }

    static func number(_ job: JobID) -> Int? {
        job.name.hasPrefix("job-") ? Int(job.name.dropFirst(4)) : nil
    }

    /// The first number that is not set aside.
    static func firstNumber(_ database: GRDB.Database) throws -> Int {
        try Int.fetchOne(database, sql: "SELECT value FROM counters WHERE name = 'job'") ?? 1
    }

    /// Sets numbers aside, from one on.
    static func setAside(_ database: GRDB.Database, from number: Int) throws {
        try database.execute(
            sql: "INSERT OR REPLACE INTO counters VALUES ('job', ?)", arguments: [number + reserve])
    }
}
