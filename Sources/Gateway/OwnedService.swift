import Core

/// A cluster as one caller sees it: what it makes is marked as its own, and what others made is not there.
///
/// Every route goes through it, so that none can forget to ask.
struct OwnedService: ClusterService {
    let service: any ClusterService

    init(_ service: any ClusterService) { self.service = service }

    private func check(_ job: JobID) async throws {
        guard let caller = Caller.current, caller.scope != .admin else { return }
        guard caller.mayTouch(try await service.job(job).owner) else {
            throw Problem.notFound("there is no job \(job) of API key \(caller.id)")
        }
    }

    func model() async throws -> ModelCard { try await service.model() }

    func submit(_ request: JobRequest, listener: @escaping JobListener) async throws -> JobID {
        var request = request
        if let caller = Caller.current { request.owner = caller.id }
        return try await service.submit(request, listener: listener)
    }

    func events(of job: JobID, listener: @escaping JobListener) async throws {
        try await check(job)
        try await service.events(of: job, listener: listener)
    }

    func cancel(_ job: JobID) async throws {
        try await check(job)
        try await service.cancel(job)
    }

    func jobs() async throws -> [JobState] {
        let jobs = try await service.jobs()
        guard let caller = Caller.current else { return jobs }
        return jobs.filter { caller.mayTouch($0.owner) }
    }

    func job(_ id: JobID) async throws -> JobState {
        try await check(id)
        return try await service.job(id)
    }

    func status() async throws -> ClusterStatus { try await service.status() }
    func steps() async throws -> [StepRecord] { try await service.steps() }
    func measureLinks() async throws -> [LinkRate] { try await service.measureLinks() }
    func scale(to layout: Layout?) async throws { try await service.scale(to: layout) }
    func drain(_ worker: WorkerID) async throws { try await service.drain(worker) }
    func keys() async throws -> [APIKey] { try await service.keys() }

    func keep(_ record: Record) async throws {
        var record = record
        if let caller = Caller.current, record.owner.isEmpty { record.owner = caller.id }
        try await service.keep(record)
    }

    func record(_ name: Record.Name, withData: Bool) async throws -> Record? {
        guard let found = try await service.record(name, withData: withData) else { return nil }
        return Caller.current?.mayTouch(found.owner) ?? true ? found : nil
    }

    func records(_ kind: String, prefix: String) async throws -> [Record] {
        let found = try await service.records(kind, prefix: prefix)
        guard let caller = Caller.current else { return found }
        return found.filter { caller.mayTouch($0.owner) }
    }

    func forget(_ name: Record.Name) async throws {
        guard try await record(name, withData: false) != nil else { return }
        try await service.forget(name)
    }
}
