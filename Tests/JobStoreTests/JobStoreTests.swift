import Core
import FoundationEssentials
import GRDB
import Glibc
import Synchronization
import Testing

@testable import JobStore

/// A folder of its own, deleted with its last user.
final class Folder: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/glm-store-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Problem.failed("no folder in /tmp") }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}

@Suite("The store", .timeLimit(.minutes(2)))
struct JobStoreTests {
    private let folder: Folder
    private var path: String { folder.path + "/store.db" }

    init() throws { folder = try Folder() }

    private func job(_ number: Int, prompt: [TokenID] = [1, 2, 3], endsWithClient: Bool = false) -> AcceptedJob {
        AcceptedJob(
            id: JobID("job-\(number)"),
            request: JobRequest(
                prompt: prompt,
                options: GenerationOptions(
                    sampling: SamplingOptions(temperature: 0.5, seed: 42, logprobs: 1), maxTokens: 9, stop: ["\n", "é"]),
                endsWithClient: endsWithClient, owner: "key-1", tag: "b/\(number)"), limit: 9, accepted: 1000.5)
    }

    private func token(_ id: TokenID) -> JobEvent {
        .token(
            TokenLogprob(token: id, logprob: -0.25), text: "t\(id)\0", top: [TokenLogprob(token: id, logprob: -0.25)])
    }

    private func end(_ number: Int, tokens: [TokenID], at: Double = 2000, endsWithClient: Bool = false) -> JobEnd {
        JobEnd(
            state: JobState(
                id: JobID("job-\(number)"), phase: .finished, prefill: PrefillProgress(tokens: 3, total: 3),
                tokens: tokens, text: "text", finish: .length, accepted: 1000.5, owner: "key-1"), at: at,
            endsWithClient: endsWithClient)
    }

    private func write(_ store: JobStore, _ job: AcceptedJob) async -> Problem? {
        await withCheckedContinuation { continuation in
            store.accepted(job) { continuation.resume(returning: $0) }
        }
    }

    private func found(_ store: JobStore, since: Double = 0) throws -> FoundJobs {
        try store.found(most: 100, mostTokens: 1000, since: since)
    }

    @Test(
        "what was accepted is found again, with all of its options and the tokens it has; numbers are never given twice"
    )
    func found() async throws {
        let store = try JobStore(path: path, served: "m")
        #expect(store.firstNumber == 1)
        let prompt = (0..<5000).map { TokenID($0 * 31 % 151_552) }
        let first = job(1, prompt: prompt)
        #expect(await write(store, first) == nil)
        #expect(await write(store, job(2)) == nil)
        store.happened(to: first.id, first: 0, [token(5), token(6)])
        store.happened(to: first.id, first: 2, [token(7)])
        store.happened(
            to: JobID("job-2"), first: 0,
            [token(9), .finished(.length, text: "x", Usage(promptTokens: 3, completionTokens: 1), Timings())],
            end: end(2, tokens: [9]))
        store.close()

        let second = try JobStore(path: path, served: "m")
        #expect(second.firstNumber > 2)
        let found = try found(second)
        #expect(found.problems.isEmpty && found.foreign == 0)
        #expect(found.unfinished.count == 1)
        #expect(found.unfinished.first?.job.request == first.request)
        #expect(found.unfinished.first?.job.limit == 9 && found.unfinished.first?.job.accepted == 1000.5)
        #expect(found.unfinished.first?.events == [token(5), token(6), token(7)])
        #expect(found.finished.map(\.state) == [end(2, tokens: [9]).state])
        #expect(found.finished.map(\.tag) == ["b/2"] && found.finished.map(\.ended) == [2000])
        #expect(try await second.events(of: JobID("job-2")).count == 2)
        #expect(try await second.events(of: JobID("nonsense")).isEmpty)
        second.close()
    }

    @Test("a job of another model is left for a coordinator that serves that")
    func foreign() async throws {
        let store = try JobStore(path: path, served: "one")
        #expect(await write(store, job(1)) == nil)
        store.close()
        let other = try JobStore(path: path, served: "two")
        #expect(try found(other).foreign == 1)
        #expect(try found(other).unfinished.isEmpty)
        other.close()
        let again = try JobStore(path: path, served: "one")
        #expect(try found(again).unfinished.count == 1)
        again.close()
    }

    @Test("old answers and those beyond the number are deleted; which of them a client waits for is told; usage stays")
    func retention() async throws {
        let ring = try KeyRing(path: path)
        let (key, _) = try ring.make(name: "a", scope: .use, limits: APIKey.Limits(), expires: nil, now: 1)
        let store = try JobStore(path: path, served: "m")
        for number in 1...6 {
            store.accepted(job(number, endsWithClient: number == 4))
            var end = end(number, tokens: [1], at: Double(number), endsWithClient: number == 4)
            end.state.owner = key.id
            store.happened(to: JobID("job-\(number)"), first: 0, [token(1)], end: end)
        }
        store.close()
        let second = try JobStore(path: path, served: "m")
        let found = try second.found(most: 3, mostTokens: 1000, since: 4)
        #expect(found.finished.map(\.ended) == [4, 5, 6])
        #expect(found.finished.map(\.endsWithClient) == [true, false, false])
        second.close()
        let third = try JobStore(path: path, served: "m")
        #expect(try self.found(third).finished.count == 3)
        third.forget([JobID("job-5")])
        third.close()
        let fourth = try JobStore(path: path, served: "m")
        #expect(try self.found(fourth).finished.map(\.ended) == [4, 6])
        fourth.close()
        #expect(try ring.all().first?.use == APIKey.Use(jobs: 6, promptTokens: 18, completionTokens: 6))
    }

    @Test("two hundred jobs accepted at once share commits")
    func grouped() async throws {
        let store = try JobStore(path: path, served: "m")
        let counter = CommitCounter()
        store.database.pool.add(transactionObserver: counter)
        await withTaskGroup(of: Problem?.self) { group in
            for number in 1...200 { group.addTask { await write(store, job(number)) } }
            for await problem in group { #expect(problem == nil) }
        }
        let commits = counter.count.load(ordering: .relaxed)
        #expect(commits < 100, "\(commits) commits for 200 jobs")
        store.close()
    }

    @Test("a second coordinator is refused, and one after a kill is not")
    func locked() throws {
        let store = try JobStore(path: path, served: "m")
        let problem = #expect(throws: Problem.self) { try JobStore(path: path, served: "m") }
        #expect(problem?.message.contains("another coordinator uses it") == true)
        store.close()
    }

    @Test("what is no store, or damaged, or cannot be opened, is said in one line")
    func damaged() async throws {
        func problem(_ path: String) -> Problem? {
            #expect(throws: Problem.self) { try JobStore(path: path, served: "m") }
        }
        #expect(problem("/nowhere/store.db")?.message.contains("cannot be opened") == true)
        #expect(problem(folder.path)?.message.contains("cannot be opened") == true)
        let text = folder.path + "/text"
        try Data(String(repeating: "no database at all\n", count: 100).utf8).write(to: URL(filePath: text))
        #expect(problem(text)?.message.contains("is damaged or no store") == true)
        // Pages in the middle of a real one.
        let store = try JobStore(path: path, served: "m")
        for number in 1...50 {
            #expect(await write(store, job(number, prompt: [TokenID](repeating: 7, count: 500))) == nil)
        }
        store.close()
        let file = open(path, O_RDWR)
        let noise = [UInt8](repeating: 0xAB, count: 4096)
        for page in 1..<20 { #expect(pwrite(file, noise, noise.count, off_t(page * 4096)) == noise.count) }
        close(file)
        let damage = #expect(throws: Problem.self) {
            let store = try JobStore(path: path, served: "m")
            defer { store.close() }
            _ = try found(store)
        }
        #expect(damage?.message.contains("is damaged") == true, "\(String(describing: damage))")
    }

    @Test("a job whose bytes are damaged is named and left, and the others go on")
    func damagedJob() async throws {
        let store = try JobStore(path: path, served: "m")
        for number in 1...3 { #expect(await write(store, job(number)) == nil) }
        try await store.database.writing { try $0.execute(sql: "UPDATE jobs SET request = x'0102' WHERE number = 2") }
        let found = try found(store)
        #expect(found.unfinished.map(\.job.id.name) == ["job-1", "job-3"])
        #expect(found.problems.count == 1 && found.problems[0].contains("job-2"))
        store.close()
    }

    @Test("a disk that is full refuses jobs in words, and serves when there is room again")
    func full() async throws {
        let lines = Mutex<[String]>([])
        let store = try JobStore(path: path, served: "m") { line in lines.withLock { $0.append(line) } }
        #expect(await write(store, job(1)) == nil)
        // SQLite's own limit on the file's pages is a disk that is full.
        try await store.limit(pages: 1)
        let problem = await write(store, job(2, prompt: [TokenID](repeating: 7, count: 50_000)))
        #expect(problem?.message.contains("not accepted") == true && problem?.message.contains("disk is full") == true)
        store.happened(to: JobID("job-1"), first: 0, (0..<2000).map { token(TokenID($0)) })
        #expect(lines.withLock { $0.contains { $0.contains("disk is full") } })
        try await store.limit(pages: 1 << 30)
        #expect(await write(store, job(3)) == nil)
        store.close()
        let again = try JobStore(path: path, served: "m")
        let found = try found(again)
        #expect(found.unfinished.map(\.job.id.name) == ["job-1", "job-3"])
        #expect(found.unfinished.first?.events.count == 2000)
        again.close()
    }

    @Test("another process that holds the file is waited for, then named")
    func busy() throws {
        _ = try KeyRing(path: path)
        let other = try DatabaseQueue(path: path)
        try other.inDatabase { database in
            try database.execute(sql: "BEGIN IMMEDIATE")
            let problem = #expect(throws: Problem.self) {
                try KeyRing(path: path).make(name: "x", scope: .use, limits: APIKey.Limits(), expires: nil, now: 1)
            }
            #expect(problem?.message.contains("another process has locked it") == true)
            try database.execute(sql: "ROLLBACK")
        }
    }

    @Test("keys are kept as hashes, revoked, and read by the coordinator that runs")
    func keys() async throws {
        let store = try JobStore(path: path, served: "m")
        let ring = try KeyRing(path: path)
        #expect(try await store.keys().isEmpty)
        let limits = APIKey.Limits(requestsPerMinute: 6, tokensPerMinute: nil, jobs: 2)
        let (key, secret) = try ring.make(name: "ci", scope: .admin, limits: limits, expires: 99, now: 5)
        #expect(secret.hasPrefix("glm-") && secret.utf8.count == 68)
        let seen = try await store.keys()
        #expect(seen == [key] && seen[0].limits == limits && seen[0].isValid(at: 98) && !seen[0].isValid(at: 99))
        #expect(throws: Problem.self) { try ring.revoke("key-none", now: 6) }
        try ring.revoke(key.id, now: 6)
        #expect(try await store.keys().first?.isRevoked == true)
        store.close()
        // The key itself is nowhere in the files.
        for file in [path, path + "-wal"] {
            guard let data = try? Data(contentsOf: URL(filePath: file)) else { continue }
            #expect(!String(decoding: data, as: UTF8.self).contains(secret))
        }
        var facts = stat()
        #expect(stat(path, &facts) == 0 && facts.st_mode & 0o777 == 0o600)
    }

    @Test("records are kept, replaced, listed by prefix and deleted")
    func records() async throws {
        let store = try JobStore(path: path, served: "m")
        let a = Core.Record(Core.Record.Name("file", "a"), owner: "k", created: 2, text: "{}", data: [1, 0, 255])
        try await store.keep(a)
        try await store.keep(Core.Record(Core.Record.Name("file", "ab%"), owner: "", created: 1, text: "2"))
        try await store.keep(Core.Record(Core.Record.Name("line", "a"), owner: "", created: 1, text: "3"))
        #expect(try await store.record(a.name, withData: true) == a)
        #expect(try await store.record(a.name, withData: false)?.data == [])
        #expect(try await store.records("file", prefix: "").map(\.name.id) == ["ab%", "a"])
        #expect(try await store.records("file", prefix: "ab%").map(\.text) == ["2"])
        #expect(try await store.records("file", prefix: "%").isEmpty)
        var other = a
        other.text = "new"
        try await store.keep(other)
        #expect(try await store.record(a.name, withData: true) == other)
        try await store.forget(a.name)
        #expect(try await store.record(a.name, withData: true) == nil)
        store.close()
    }
}

extension JobStore {
    /// Limits the file to what it has, or to so many pages.
    func limit(pages: Int) async throws {
        _ = try await database.pool.writeWithoutTransaction {
            try Int.fetchOne($0, sql: "PRAGMA max_page_count = \(pages)")
        }
    }
}

/// Counts what reaches the disk.
final class CommitCounter: TransactionObserver {
    let count = Atomic(0)

    func observes(eventsOfKind eventKind: DatabaseEventKind) -> Bool { true }
    func databaseDidChange(with event: DatabaseEvent) {}
    func databaseDidCommit(_ database: GRDB.Database) { count.add(1, ordering: .relaxed) }
    func databaseDidRollback(_ database: GRDB.Database) {}
}
