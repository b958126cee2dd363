public import Core
import JobStore
import Wire

/// API keys and their limits, and what gateways keep in the store.
extension Coordinator {
    /// Refuses a job for which the queue or its key's limits have no room.
    func checkRoom(for request: JobRequest) throws {
        let open = table.open
        let waiting = open.count { $0.state.phase == .queued }
        if waiting >= settings.longestQueue {
            let seconds = forecast().secondsToStart(at: 1) ?? 10
            throw Problem.busy("\(waiting) jobs wait already; try again later", retryAfter: Self.wholeSeconds(seconds))
        }
        guard let key = knownKeys[request.owner] else { return }
        if let most = key.limits.jobs, open.count(where: { $0.request.owner == key.id }) >= most {
            throw Problem.busy(
                "API key \(key.id) has \(most) jobs that wait or run, and may have no more at once", retryAfter: 10)
        }
        let wait = meters[key.id, default: KeyMeter()].take(
            tokens: request.prompt.count, limits: key.limits, now: now)
        if let wait {
            let limits = [
                key.limits.requestsPerMinute.map { "\($0) requests" },
                key.limits.tokensPerMinute.map { "\($0) tokens" },
            ].compactMap { $0 }.joined(separator: " and ")
            throw Problem.busy(
                "API key \(key.id) may use \(limits) a minute, and has", retryAfter: Self.wholeSeconds(wait))
        }
    }

    private static func wholeSeconds(_ seconds: Double) -> Int { Int(min(max(seconds.rounded(.up), 1), 3600)) }

    /// An answer's tokens count towards its key's limit.
    func charge(_ state: JobState) {
        guard !state.owner.isEmpty else { return }
        meters[state.owner]?.charge(tokens: state.tokens.count)
    }

    /// Looks which keys there are: `glm keys` changes them while the coordinator runs.
    func lookAtKeys() {
        guard store != nil else { return }
        Task {
            do {
                _ = try await keys()
                keyTrouble = nil
            } catch {
                let problem = error as? Problem ?? .failed("\(error)")
                if problem != keyTrouble { say("coordinator: the API keys cannot be read: \(problem)") }
                keyTrouble = problem
            }
        }
    }

    /// The API keys, the revoked ones too.
    public func keys() async throws -> [APIKey] {
        guard let store else { return [] }
        let keys = try await store.keys()
        knownKeys = Dictionary(keys.map { ($0.id, $0) }) { first, _ in first }
        return keys
    }

    /// Keeps a record durably.
    public func keep(_ record: Record) async throws { try await needed().keep(record) }

    /// A record, or nil.
    public func record(_ name: Record.Name, withData: Bool) async throws -> Record? {
        try await needed().record(name, withData: withData)
    }

    /// The records of a kind whose ids begin with a prefix, without their data, oldest first.
    public func records(_ kind: String, prefix: String) async throws -> [Record] {
        try await needed().records(kind, prefix: prefix)
    }

    /// Deletes a record, if there is one.
    public func forget(_ name: Record.Name) async throws { try await needed().forget(name) }

    private func needed() throws -> JobStore {
        guard let store else { throw Record.noStore }
        return store
    }

    /// What gateways ask of the store; the disk answers later, and others' questions are answered meanwhile.
    func hearStore(_ contact: Contact, _ message: Message) {
        switch message {
        case .keys(let request): answerLater(contact, request) { .keysAre(request: request, try await self.keys()) }
        case .keep(let request, let record):
            answerLater(contact, request) {
                try await self.keep(record)
                return .done(request: request)
            }
        case .record(let request, let name, let withData):
            answerLater(contact, request) {
                let found = try await self.record(name, withData: withData)
                return .recordsAre(request: request, found.map { [$0] } ?? [])
            }
        case .records(let request, let name):
            answerLater(contact, request) {
                .recordsAre(request: request, try await self.records(name.kind, prefix: name.id))
            }
        case .forget(let request, let name):
            answerLater(contact, request) {
                try await self.forget(name)
                return .done(request: request)
            }
        default: break
        }
    }

    private func answerLater(
        _ contact: Contact, _ request: UInt64, _ body: @escaping @Sendable () async throws -> Message
    ) {
        Task {
            do {
                send(contact, try await body())
            } catch {
                send(contact, .problem(request: request, error as? Problem ?? .failed("\(error)")))
            }
        }
    }
}
