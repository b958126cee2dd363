import Core
import NIOPosix
import Tokenization

/// Works through batches: a few lines at a time as jobs, each result kept durably, the files made at the end.
///
/// Everything that must outlive it is in the cluster's store: a gateway that starts takes up what another left, and two that
/// work on one batch give the same, since a line makes one job however often it is asked for.
actor BatchRunner {
    /// Lines of one batch that are jobs at one time.
    static let width = 16
    /// What a line's record says of it.
    static let good = "ok"
    static let error = "error"

    private let service: any ClusterService
    private let models: ModelShelf
    private let log: @Sendable (String) -> Void
    private var working: [String: Task<Void, Never>] = [:]
    private var jobs: [String: Set<JobID>] = [:]

    init(service: any ClusterService, models: ModelShelf, log: @escaping @Sendable (String) -> Void) {
        self.service = service
        self.models = models
        self.log = log
    }

    /// Looks for batches that are not over, now and then, until the task is cancelled; what is not done then stays for the next gateway.
    func run() async {
        while !Task.isCancelled {
            await look()
            do { try await Task.sleep(for: .seconds(5)) } catch { break }
        }
        for task in working.values { task.cancel() }
    }

    /// Takes up the batches that are not over, and ends those that are to be cancelled.
    func look() async {
        // A cluster that is not there, or keeps nothing, has no batches now.
        guard let records = try? await service.records(Batch.kind, prefix: "") else { return }
        for batch in records.compactMap({ Batch($0) }) where !batch.status.isOver {
            if batch.status == .cancelling, let task = working[batch.id] {
                task.cancel()
                for job in jobs[batch.id] ?? [] { try? await service.cancel(job) }
                await task.value
            }
            guard working[batch.id] == nil else { continue }
            // Of its own: not part of the request that made the batch.
            working[batch.id] = Task.detached { [self] in await self.work(batch) }
        }
    }

    private func work(_ batch: Batch) async {
        do {
            let status = batch.status == .cancelling ? .cancelled : try await answer(batch)
            try await end(batch, as: status)
        } catch {
            // The next look takes it up again, unless the gateway ends.
            if !(error is CancellationError) { log("batch \(batch.id): \(error); trying again") }
        }
        jobs[batch.id] = nil
        working[batch.id] = nil
    }

    /// Answers the lines that have no result yet; returns how the batch ends.
    private func answer(_ batch: Batch) async throws -> Batch.Status {
        guard let input = try await service.record(Record.Name(StoredFile.kind, batch.input), withData: true) else {
            log("batch \(batch.id): its file \(batch.input) was deleted")
            return .failed
        }
        let (lines, _) = try await Self.read(input.data, endpoint: batch.endpoint)
        let done = Set(try await service.records(Batch.lineKind, prefix: batch.id + "/").map(\.name))
        let isExpired = try await withThrowingTaskGroup(of: Void.self) { group in
            var open = 0
            for (number, line) in lines.enumerated() where !done.contains(batch.name(ofLine: number)) {
                if EpochClock.seconds >= batch.expires { return true }
                if open >= Self.width {
                    _ = try await group.next()
                    open -= 1
                }
                open += 1
                group.addTask { try await self.answer(line, number, of: batch) }
            }
            try await group.waitForAll()
            return false
        }
        return isExpired ? .expired : .completed
    }

    private func answer(_ line: BatchLine, _ number: Int, of batch: Batch) async throws {
        var status = 200
        var body: JSONValue
        var job = ""
        do {
            (job, body) = try await result(line, number, of: batch)
        } catch let error as CancellationError {
            throw error
        } catch {
            let error = error as? APIError ?? APIError(error as? Problem ?? .failed("\(error)"))
            status = error.status
            body = error.json
        }
        let result = JSONValue.record([
            "id": .string("batch_req_\(batch.id.dropFirst("batch-".count))_\(number)"),
            "custom_id": .string(line.customID),
            "response": .record([
                "status_code": .integer(status), "request_id": .string(job), "body": body,
            ]), "error": .null,
        ])
        try await service.keep(
            Record(
                batch.name(ofLine: number), owner: batch.owner, created: Double(EpochClock.seconds),
                text: status == 200 ? Self.good : Self.error, data: Array(result.text().utf8)))
    }

    /// The answer to a line, and the job that made it; waits while there is no room for it.
    private func result(_ line: BatchLine, _ number: Int, of batch: Batch) async throws -> (String, JSONValue) {
        while true {
            do {
                let caller = Caller(id: batch.owner, scope: batch.owner.isEmpty ? .admin : .use)
                // In every role's log lines it is called by its batch and its place in it.
                let scope = RequestScope(named: batch.tag(ofLine: number, copy: 0))
                return try await RequestScope.$current.withValue(scope) {
                    try await Caller.$current.withValue(caller) { try await answered(line, number, of: batch) }
                }
            } catch let problem as Problem where problem.kind == .unavailable || problem.kind == .busy {
                try await Task.sleep(for: .seconds(min(problem.retryAfter ?? 2, 30)))
            }
        }
    }

    /// The answer to a line, unless there is no room for it now.
    private func answered(_ line: BatchLine, _ number: Int, of batch: Batch) async throws -> (String, JSONValue) {
        let model = try await models.served()
        let body = try await FileParts.filled(line.body, from: service)
        let read = try await NIOThreadPool.singleton.runIfActive {
            try line.endpoint.read(body, model: model)
        }
        let requests = read.jobs.enumerated().map { copy, request in
            var request = request
            request.endsWithClient = false
            request.tag = batch.tag(ofLine: number, copy: copy)
            return request
        }
        let group = try await JobGroup(requests, copies: read.copies, service: service)
        jobs[batch.id, default: []].insert(group.first)
        defer { jobs[batch.id]?.remove(group.first) }
        let builder = AnswerBuilder(
            choices: requests.count, copies: read.copies, plan: read.plan,
            keepsTokens: read.options.sampling.logprobs != nil)
        let answer = try await group.answer(builder)
        return (group.first.name, read.shape(group.first).whole(answer))
    }

    /// Makes the files of a batch's results and writes down how it ended.
    private func end(_ batch: Batch, as status: Batch.Status) async throws {
        var batch = batch
        var files: (good: [UInt8], bad: [UInt8]) = ([], [])
        let lines = try await service.records(Batch.lineKind, prefix: batch.id + "/").sorted { $0.name.id < $1.name.id }
        for line in lines {
            guard let full = try await service.record(line.name, withData: true) else { continue }
            if full.text == Self.good { files.good += full.data + [10] } else { files.bad += full.data + [10] }
        }
        for (id, name, data) in [
            (batch.outputFile, "output", files.good), (batch.errorFile, "errors", files.bad),
        ] where !data.isEmpty {
            let file = StoredFile(
                id: id, name: "\(batch.id)-\(name).jsonl", purpose: "batch_output", bytes: data.count)
            try await service.keep(file.record(owner: batch.owner, data: data))
        }
        batch.failed = lines.count { $0.text == Self.error }
        batch.completed = lines.count - batch.failed
        batch.hasOutput = !files.good.isEmpty
        batch.hasErrors = !files.bad.isEmpty
        batch.status = status
        batch.ended = EpochClock.seconds
        try await service.keep(batch.record)
        for line in lines { try await service.forget(line.name) }
    }

    /// The requests of a file; a long one takes a while, on a thread that nobody else waits for.
    static func read(_ data: [UInt8], endpoint: Endpoint) async throws -> (lines: [BatchLine], faults: [Batch.Fault]) {
        try await NIOThreadPool.singleton.runIfActive { BatchLine.read(data, endpoint: endpoint) }
    }
}
