import Cluster
public import Core
import GLM
import Router
import Scheduler
import Transport
import Wire

/// Logits that somebody waits for: sequences that are run through side by side.
struct LogitRun {
    var sequences: [SequenceID]
    var prompts: [[TokenID]]
    var chunk: Int
    var attention: AttentionMode
    var admitted: Set<SequenceID> = []
    var open: Set<SequenceID>
    var logits: [SequenceID: [Float]] = [:]
    var continuation: CheckedContinuation<[[Float]], any Error>
}

/// The pipeline: steps out, results in.
extension Coordinator {
    /// Sends steps until as many are on their way as there are stages, or nobody can advance.
    func pump() {
        guard let plan = assembly.plan, !isTakingOver else { return }
        scheduler?.change(router.takeChanges())
        while let next = scheduler?.next() {
            let (formed, stuck) = masked(next)
            var step = formed
            step.requests = requests(openedBy: step)
            let frames = Message.step(step).encode()
            sentAt[step.number] = clock.now
            history.sent(step, at: now)
            for place in plan.allPlaces {
                guard let contact = members[place.worker]?.contact else { continue }
                servers[contact.server].send(to: contact.peer, frames)
            }
            for (sequence, problem) in stuck {
                fail(sequence, problem)
                end(sequence)
            }
        }
    }

    /// A worker is done with a step; the last stage's rank 0 has its results.
    func stepDone(_ worker: WorkerID, _ done: StepDone) {
        guard assembly.phase == .active, let plan = assembly.plan, done.epoch == plan.epoch else { return }
        let now = clock.now
        members[worker]?.trace.add(computed: .microseconds(done.computeMicroseconds), at: now - start)
        if let place = plan.place(of: worker) { history.done(worker, at: place.slice, done, now: now - start) }
        guard plan.places.last?.first?.worker == worker else { return }
        let took = sentAt.removeValue(forKey: done.number).map { now - $0 } ?? .zero
        history.finished(done.epoch, done.number, at: now - start)
        do {
            try check(done.results)
            let finished = try scheduler?.finished(done.number, results: done.results, took: took) ?? []
            for progress in finished { advance(progress) }
        } catch {
            let problem = error as? Problem ?? .failed("\(error)")
            return hearWorkerFailure(worker, epoch: done.epoch, problem)
        }
        prepared()
        pump()
    }

    /// The requests that the sequences which a step opens answer, for the workers' log lines.
    private func requests(openedBy step: Step) -> [SequenceID: String] {
        var requests: [SequenceID: String] = [:]
        for case .open(let sequence, _, _) in step.changes {
            guard let id = table.job(of: sequence), let name = table[id]?.request.requestID, !name.isEmpty else {
                continue
            }
            requests[sequence] = name
        }
        return requests
    }

    private func hearWorkerFailure(_ worker: WorkerID, epoch: UInt32, _ problem: Problem) {
        guard let contact = members[worker]?.contact else { return }
        hearWorker(contact, .failed(epoch: epoch, problem))
    }

    /// Refuses results that cannot be: tokens that the vocabulary does not have, torn logits.
    private func check(_ results: [SegmentResult]) throws {
        for result in results {
            let tokens = (result.draws + result.scored).flatMap { [$0.token] + $0.top }
            guard tokens.allSatisfy({ $0.token >= 0 && Int($0.token) < card.vocabularySize }),
                result.logits.count % max(card.vocabularySize, 1) == 0
            else { throw Problem.failed("the last stage drew a token that the vocabulary does not have") }
        }
    }

    private func advance(_ progress: Scheduler.Progress) {
        switch progress {
        case .computed(let sequence, let tokens): router.computed(sequence, tokens: tokens)
        case .prefilled(let sequence, let tokens, _):
            let now = clock.now
            if let job = table.job(of: sequence) { update(job) { $0.prefilled(tokens, now: now) } }
        case .drawn(let result):
            guard let job = table.job(of: result.sequence) else { return }
            let now = clock.now
            for drawn in result.draws {
                guard update(job, { $0.drew(drawn, now: now) }) == true else { return end(result.sequence) }
                router.append(drawn.token.token, to: result.sequence)
            }
            scheduler?.proceed(result.sequence, with: result.draws.map(\.token.token))
        case .scored(let sequence, let first, let tokens):
            if let job = table.job(of: sequence) { update(job) { $0.scored(first: first, tokens) } }
        case .read(let sequence): finish(sequence) { $0.finish(.length) }
        case .embedded(let sequence, let values): finish(sequence) { $0.embedded(values) }
        case .logits(let result, let isLast): collect(result, isLast: isLast)
        }
    }

    /// A job that draws nothing has what it wanted.
    private func finish(_ sequence: SequenceID, _ change: (inout Job) -> Void) {
        if let job = table.job(of: sequence) { update(job, change) }
        end(sequence)
    }

    /// A sequence is over: its pages and its place are free.
    func end(_ sequence: SequenceID) {
        let computed = scheduler?.computed(sequence) ?? 0
        scheduler?.end(sequence)
        restoring[sequence] = nil
        begin(router.free(sequence, computed: computed))
    }

    /// Every worker reads pages of a sequence from its disk; the sequence runs when the last of them has.
    func restored(_ sequence: SequenceID, pages: Int, by worker: WorkerID) {
        guard var entry = restoring[sequence], entry.waiting.remove(worker) != nil else { return }
        entry.pages = min(entry.pages, pages)
        restoring[sequence] = entry
        guard entry.waiting.isEmpty else { return }
        restoring[sequence] = nil
        guard let cached = router.restored(sequence, pages: entry.pages) else { return }
        start(sequence, cached: cached)
        pump()
    }

    /// A job's sequence runs, its first `cached` tokens being there.
    private func start(_ sequence: SequenceID, cached: Int) {
        guard let id = table.job(of: sequence), let job = table[id] else { return }
        let now = clock.now
        update(id) { $0.found(cached, now: now) }
        // What was answered before the layout changed is read like the prompt; the next token is the one that would have come.
        scheduler?.add(
            sequence, prompt: job.request.prompt + job.state.tokens, cached: cached, purpose: purpose(of: job),
            attention: job.request.options.attention, alternatives: job.request.options.promptLogprobs,
            scored: job.request.prompt.count, total: job.request.prompt.count + job.limit,
            speculates: job.request.options.speculates, priority: job.request.options.priority)
    }

    private func purpose(of job: Job) -> Scheduler.Purpose {
        let options = job.request.options
        if let embedding = options.embedding { return .embed(embedding) }
        if job.limit == 0 { return .read }
        return .generate(
            Drawing(options, promptTokens: job.request.prompt.count, stopTokens: configuration.stopTokens))
    }

    /// Sequences have room now.
    func begin(_ admitted: [Router.Admission]) {
        for admission in admitted {
            let sequence = admission.sequence
            if let id = table.job(of: sequence) {
                let now = clock.now
                update(id) { $0.start(now: now) }
                if admission.restoring > 0 {
                    restoring[sequence] = (Set(assembly.plan?.allPlaces.map(\.worker) ?? []), admission.restoring)
                } else {
                    start(sequence, cached: admission.cached)
                }
            } else if let at = logitRuns.firstIndex(where: { $0.open.contains(sequence) }) {
                logitRuns[at].admitted.insert(sequence)
                let run = logitRuns[at]
                guard run.admitted.count == run.sequences.count else { continue }
                for (sequence, prompt) in zip(run.sequences, run.prompts) {
                    scheduler?.add(
                        sequence, prompt: prompt, purpose: .logits(chunk: run.chunk),
                        attention: run.attention)
                }
            }
        }
        pump()
    }

    /// Whose sequence it is hears that it failed.
    func fail(_ sequence: SequenceID, _ problem: Problem) {
        if let job = table.job(of: sequence) { update(job) { $0.fail(problem) } }
        if let at = logitRuns.firstIndex(where: { $0.sequences.contains(sequence) }) {
            logitRuns.remove(at: at).continuation.resume(throwing: problem)
        }
    }

    /// Everybody who waits for logits hears that they will not come; a plan follows, or none.
    func failLogits(_ problem: Problem) {
        for run in logitRuns {
            run.continuation.resume(throwing: problem)
            for sequence in run.open { _ = router.free(sequence) }
        }
        logitRuns = []
    }

    /// Bytes of logits of one sequence that a step brings back, at most.
    private static let mostLogitBytes = 64 << 20

    /// The logits [tokens, vocabulary] of every token of the sequences, run side by side, `chunk` tokens of each a step.
    public func logits(
        sequences: [[TokenID]], chunk: Int, attention: AttentionMode = .exact
    ) async throws -> [[Float]] {
        guard !sequences.isEmpty, chunk > 0 else { return [] }
        for prompt in sequences { try configuration.check(prompt: prompt) }
        guard assembly.phase == .active else { throw Problem.unavailable("the cluster is not ready: \(stateInWords)") }
        let ids = sequences.map { _ in nextSequence() }
        // What comes back must fit in a message; how it is cut changes nothing.
        let chunk = min(chunk, max(1, Self.mostLogitBytes / (card.vocabularySize * MemoryLayout<Float>.size)))
        return try await withCheckedThrowingContinuation { continuation in
            logitRuns.append(
                LogitRun(
                    sequences: ids, prompts: sequences, chunk: chunk, attention: attention, open: Set(ids),
                    continuation: continuation))
            do {
                for (id, prompt) in zip(ids, sequences) { begin(try router.place(id, tokens: [], total: prompt.count)) }
            } catch {
                for id in ids { begin(router.free(id)) }
                logitRuns.removeAll { $0.sequences == ids }
                continuation.resume(throwing: (error as? Router.Shortage).map { problem($0) } ?? error)
            }
        }
    }

    private func collect(_ result: SegmentResult, isLast: Bool) {
        guard let at = logitRuns.firstIndex(where: { $0.open.contains(result.sequence) }) else { return }
        logitRuns[at].logits[result.sequence, default: []] += result.logits
        guard isLast else { return }
        logitRuns[at].open.remove(result.sequence)
        if logitRuns[at].open.isEmpty {
            let run = logitRuns.remove(at: at)
            run.continuation.resume(returning: run.sequences.map { run.logits[$0] ?? [] })
        }
        end(result.sequence)
    }

    func nextSequence() -> SequenceID {
        sequenceNumber += 1
        return SequenceID(sequenceNumber)
    }
}
