import Cluster
public import Core
import GLM
import Glibc
import Router
import Scheduler
import Wire

/// Who hears a job's events.
enum Listener: Sendable {
    case local(JobListener)
    case gateway(Contact, request: UInt64)
}

/// What clients ask; the same in process and over the wire.
extension Coordinator: ClusterService {
    /// The model that is served, or a problem while no jobs can run.
    public func model() throws -> ModelCard {
        guard assembly.phase == .active else { throw Problem.unavailable("the cluster is not ready: \(stateInWords)") }
        return card
    }

    /// Accepts a job, or throws; its events follow.
    public func submit(_ request: JobRequest, listener: @escaping JobListener) async throws -> JobID {
        let id = try accept(request)
        try await isWritten(id)
        try listen(to: id, .local(listener))
        return id
    }

    /// Tells the events of a job from its beginning, replayed, then live.
    public func events(of job: JobID, listener: @escaping JobListener) throws {
        try listen(to: job, .local(listener))
    }

    /// Ends a job within one step.
    public func cancel(_ job: JobID) throws {
        guard let found = table[job] else { throw Self.unknown(job) }
        guard !found.isOver else { return }
        update(job) { $0.finish(.cancelled) }
        end(found.sequence)
    }

    /// Every job that is remembered, newest first.
    public func jobs() -> [JobState] {
        let forecast = forecast()
        return table.all.map { forecast.completed($0.state) }
    }

    /// One job.
    public func job(_ id: JobID) throws -> JobState {
        guard let job = table[id] else { throw Self.unknown(id) }
        return job.state.phase == .queued ? forecast().completed(job.state) : job.state
    }

    /// The cluster as it is now.
    public func status() -> ClusterStatus {
        let plan = assembly.plan
        let pools = pools()
        let everybody = members.keys.sorted().compactMap { worker -> ClusterStatus.Member? in
            guard let member = members[worker] else { return nil }
            let slice = plan?.place(of: worker)?.slice
            let state =
                if assembly.problem(of: worker) != nil {
                    "failed"
                } else if assembly.draining.contains(worker) {
                    slice == nil ? "drained" : "draining"
                } else if slice == nil {
                    plan == nil ? "joining" : "spare"
                } else {
                    assembly.isReady(worker) ? "ready" : "loading"
                }
            return ClusterStatus.Member(
                worker: worker, state: state, stage: slice?.stage, rank: slice?.rank, layers: slice?.layers,
                leaves: slice?.leaves, memory: member.hello.memoryBytes,
                weightBytes: member.ready?.weightBytes ?? 0, kv: pools[worker] ?? KVUse(),
                busy: member.trace.busy, peakMemory: member.peakMemory, traffic: member.traffic,
                threads: member.hello.threads, numaNodes: member.hello.numaNodes,
                activity: assembly.problem(of: worker)?.message ?? member.activity)
        }
        return ClusterStatus(
            model: card.name, digest: card.digest, layout: plan?.layout, nextLayout: assembly.next?.layout,
            epoch: plan?.epoch ?? assembly.epoch, state: stateInWords,
            members: everybody, queuedJobs: table.queued, runningJobs: table.running, steps: scheduler?.steps ?? 0,
            totals: table.totals)
    }

    /// The last steps, oldest first.
    public func steps() -> [StepRecord] { history.records }

    /// Whether jobs run now; throws when workers are here that cannot serve the model.
    public func isReady() throws -> Bool {
        if assembly.phase == .active { return true }
        if let lastProblem { throw lastProblem }
        return false
    }

    /// Writes a job down and queues it.
    func accept(_ request: JobRequest) throws -> JobID {
        guard assembly.phase == .active, let capacity = router.capacity else {
            throw Problem.unavailable("the cluster is not ready: \(stateInWords)")
        }
        if !request.tag.isEmpty, let known = table.job(tagged: request.tag) { return known }
        try configuration.check(prompt: request.prompt)
        try request.options.check(vocabulary: card.vocabularySize)
        try checkRoom(for: request)
        let promptTokens = request.prompt.count
        let room = configuration.contextLength - promptTokens
        // An answer without a limit may fill the context, but of the KV cache it reserves a quarter: others run beside it.
        let share = max(1, min(capacity, max(capacity / 4, promptTokens + 1024)) - promptTokens)
        let limit = request.options.embedding == nil ? min(room, request.options.maxTokens ?? share) : 0
        let sequence = nextSequence()
        let id = table.nextID()
        let now = clock.now
        let job = Job(
            id, sequence: sequence, request: request, limit: limit, stopTokens: Set(configuration.stopTokens),
            tokenizer: settings.tokenizer, form: try form(request.options),
            attentionRatio: attentionRatio(request.options.attention),
            accepted: Self.secondsSince1970(), now: now)
        guard limit > 0 || request.options.isReading else {
            table.add(job)
            record("job accepted", of: job)
            writeDown(job)
            update(id) { $0.finish(.length) }
            return id
        }
        let admitted: [Router.Admission]
        do {
            admitted = try router.place(
                sequence, tokens: request.prompt, total: promptTokens + limit, reuses: request.options.sharesPages,
                attention: request.options.attention, priority: request.options.priority)
        } catch let shortage as Router.Shortage {
            guard layoutThatFits(shortage) else { throw problem(shortage) }
            admitted = []
            waitingForRoom.append((sequence, promptTokens + limit))
        }
        table.add(job)
        record("job accepted", of: job)
        writeDown(job)
        begin(admitted)
        return id
    }

    /// Work of one (query, key) pair against that of one token's products: what makes long prompts slower.
    func attentionRatio(_ attention: AttentionMode) -> Double {
        let c = configuration
        let linear = c.hidden * c.headDim * (2 * c.heads + 2 * c.kvHeads) + 3 * c.hidden * c.ffn
        // Sparse attention takes about an eighth of the pairs' work: what it attends to, and the choice.
        return 2 * Double(c.heads * c.headDim) / Double(max(linear, 1)) / (attention == .sparse ? 8 : 1)
    }

    /// Replays a job's events to `listener` and tells it those that follow.
    func listen(to id: JobID, _ listener: Listener) throws {
        guard let job = table[id] else { throw Self.unknown(id) }
        guard !job.isArchived else { return replay(id, to: listener) }
        publish(id, first: 0, job.events, to: [listener], isOver: job.isOver)
        if !job.isOver { listeners[id, default: []].append(listener) }
    }

    /// Changes a job and tells those who listen what happened.
    @discardableResult
    func update<Result>(_ id: JobID, _ change: (inout Job) -> Result) -> Result? {
        let seconds = Self.secondsSince1970()
        let wasOver = table[id]?.isOver ?? true
        let changed = table.update(id) { job in
            defer { job.noteEnd(seconds) }
            return change(&job)
        }
        guard let (result, first, events) = changed else { return nil }
        let isOver = table[id]?.isOver ?? true
        if !wasOver { journal(id, first: first, events) }
        publish(id, first: first, events, to: listeners[id] ?? [], isOver: isOver)
        if isOver {
            if !events.isEmpty, let job = table[id] { record("job ended", of: job) }
            listeners[id] = nil
            owners[id] = nil
        }
        return result
    }

    func publish(_ id: JobID, first: Int, _ events: [JobEvent], to listeners: [Listener], isOver: Bool) {
        for listener in listeners {
            switch listener {
            case .local(let listener):
                for event in events { listener(event) }
                if isOver { listener(nil) }
            case .gateway(let contact, let request):
                var number = UInt64(first)
                for event in events {
                    send(contact, .event(request: request, id, number: number, event))
                    if event.isNumbered { number += 1 }
                }
                if isOver { send(contact, .eventsEnd(request: request, id)) }
            }
        }
    }

    static func unknown(_ job: JobID) -> Problem {
        .notFound("there is no job \(job), or it was forgotten; see glm jobs")
    }

    static func secondsSince1970() -> Double {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return Double(now.tv_sec) + Double(now.tv_nsec) * 1e-9
    }
}
