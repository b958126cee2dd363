import Core
import GLM
import JobStore
import Router
import Wire

/// Who waits until a job is on the disk.
enum Acceptance {
    case gateway(Contact, request: UInt64)
    case task(CheckedContinuation<Void, any Error>)
}

/// Jobs on disk: accepted means written down, and what an earlier coordinator left is finished.
///
/// Steps never wait for the disk. Where there is no store, all of this does nothing.
extension Coordinator {
    /// For so long a gateway may come back for the answer to a client that is still connected to it.
    static let claimTime = Duration.seconds(60)

    /// Has a new job written down. Who only streams it to a client does not wait for that.
    func writeDown(_ job: Job) {
        guard let store else { return }
        let id = job.id
        let accepted = AcceptedJob(
            id: id, request: job.request, limit: job.limit, accepted: job.state.accepted)
        guard !job.request.endsWithClient else { return store.accepted(accepted) }
        unwritten[id] = []
        store.accepted(accepted) { [self] problem in later(.written(id, problem)) }
    }

    /// A job is on the disk, or cannot be: then it was never accepted.
    func written(_ id: JobID, _ problem: Problem?) {
        let waiting = unwritten.removeValue(forKey: id) ?? []
        if let problem {
            let sequence = table[id]?.sequence
            update(id) { $0.fail(problem) }
            if let sequence { end(sequence) }
            table.remove(id)
        }
        for acceptance in waiting {
            switch (acceptance, problem) {
            case (.task(let continuation), nil): continuation.resume()
            case (.task(let continuation), let problem?): continuation.resume(throwing: problem)
            case (.gateway(let contact, let request), let problem?):
                send(contact, .problem(request: request, problem))
            case (.gateway, nil): try? self.accepted(id, acceptance)
            }
        }
    }

    /// Tells a gateway that a job was accepted, then its events; at once, or when the job is on the disk.
    func accepted(_ id: JobID, _ acceptance: Acceptance) throws {
        guard unwritten[id] == nil else { return unwritten[id, default: []].append(acceptance) }
        guard case .gateway(let contact, let request) = acceptance else { return }
        guard table[id] != nil else { throw Self.unknown(id) }
        send(contact, .accepted(request: request, id, isKept: store != nil))
        try listen(to: id, .gateway(contact, request: request))
    }

    /// Waits until a job is on the disk.
    func isWritten(_ id: JobID) async throws {
        guard unwritten[id] != nil else { return }
        try await withCheckedThrowingContinuation { unwritten[id, default: []].append(.task($0)) }
    }

    /// Writes down what happened to a job.
    func journal(_ id: JobID, first: Int, _ events: [JobEvent]) {
        guard let store, let job = table[id], !job.isArchived else { return }
        let end = job.ended.map { JobEnd(state: job.state, at: $0, endsWithClient: job.request.endsWithClient) }
        store.happened(to: id, first: first, events.filter(\.isNumbered), end: end)
        if let end { charge(end.state) }
    }

    /// Replays a job that an earlier coordinator finished.
    func replay(_ id: JobID, to listener: Listener) {
        Task {
            do {
                let events = try await store?.events(of: id) ?? []
                publish(id, first: 0, events, to: [listener], isOver: true)
            } catch {
                publish(id, first: 0, [.failed(error as? Problem ?? .failed("\(error)"))], to: [listener], isOver: true)
            }
        }
    }

    /// Takes up what an earlier coordinator left: those that are over are remembered, the others wait for workers.
    func takeUpJobs() {
        guard let found else { return }
        self.found = nil
        let now = clock.now
        for over in found.finished {
            table.add(
                Job(
                    over: over.state, tag: over.tag, ended: over.ended, endsWithClient: over.endsWithClient, now: now))
        }
        for (accepted, events) in found.unfinished {
            let sequence = nextSequence()
            let form = Result { try self.form(accepted.request.options) }
            var job = Job(
                accepted.id, sequence: sequence, request: accepted.request, limit: accepted.limit,
                stopTokens: Set(configuration.stopTokens), tokenizer: settings.tokenizer, form: try? form.get(),
                attentionRatio: attentionRatio(accepted.request.options.attention), accepted: accepted.accepted,
                now: now)
            let goesOn = job.takeUp(events, now: now)
            job.noteEnd(Self.secondsSince1970())
            table.add(job)
            guard goesOn else {
                // Its last token was written down, its end was not.
                journal(job.id, first: events.count, Array(job.events.dropFirst(events.count)))
                continue
            }
            do {
                _ = try form.get()
                begin(
                    try router.place(
                        sequence, tokens: job.request.prompt + job.state.tokens,
                        total: job.request.prompt.count + job.limit, reuses: job.request.options.reusesPrefix,
                        attention: job.request.options.attention, priority: job.request.options.priority))
            } catch {
                update(job.id) { $0.fail(error as? Problem ?? .failed("\(error)")) }
            }
        }
        claimsEnd = self.now + Self.claimTime
        for problem in found.problems { say("coordinator: store: \(problem)") }
        if found.foreign > 0 {
            say(
                "coordinator: store: \(found.foreign) unfinished jobs are of another model or other --type, --kv-type; they go on when that is served again"
            )
        }
        say(
            "coordinator: store: \(found.unfinished.count) jobs go on, the answers of \(found.finished.count) are remembered"
        )
    }

    /// A gateway asks for the answer to a client of its own that an earlier coordinator began.
    func claim(_ id: JobID, for contact: Contact) throws {
        guard let job = table[id] else { throw Self.unknown(id) }
        if job.request.endsWithClient, !job.isOver, owners[id] == nil { owners[id] = contact }
    }

    /// What is to be done now and then: forgets old jobs, and cancels those whose clients did not come back.
    func tidyJobs() {
        ticks += 1
        if let claimsEnd, now >= claimsEnd {
            self.claimsEnd = nil
            for job in table.open where job.request.endsWithClient && owners[job.id] == nil {
                say("coordinator: \(job.id) is cancelled, its client did not come back")
                try? cancel(job.id)
            }
        }
        // The last events of an answer may have been unsent when an earlier coordinator was killed: its gateway comes back for them.
        if claimsEnd == nil {
            store?.forget(table.takeHeard(endedBefore: Self.secondsSince1970() - Self.claimTime / .seconds(1)))
        }
        if ticks % 60 == 0 { table.forget(endedBefore: Self.secondsSince1970() - settings.retention / .seconds(1)) }
        store?.forget(table.takeForgotten())
        lookAtKeys()
    }

    /// The coordinator ends, the jobs go on with the next one: who listens here hears that, gateways wait for it.
    func leaveJobs() {
        let problem = Problem.unavailable("the coordinator was stopped; the job goes on when it is started again")
        for all in listeners.values {
            for case .local(let listener) in all {
                listener(.failed(problem))
                listener(nil)
            }
        }
        listeners = [:]
        for waiting in unwritten.values {
            for case .task(let continuation) in waiting { continuation.resume(throwing: problem) }
        }
        unwritten = [:]
    }
}
