import CProtobufC
import CWire
import Core

/// The payloads between gateway and coordinator.
extension Decoder {
    mutating func modelCard(_ card: Wire__ModelCard) throws -> ModelCard {
        ModelCard(
            name: try name(card.name), contextLength: try count(card.context_length),
            vocabularySize: try count(card.vocabulary_size), tokenizer: try bytes(card.tokenizer),
            digest: try name(card.digest))
    }

    mutating func jobRequest(_ request: Wire__JobRequest) throws -> JobRequest {
        JobRequest(
            prompt: try tokens(request.prompt), options: try generation(the(request.options)),
            endsWithClient: request.ends_with_client != 0, owner: try name(request.owner), tag: try name(request.tag),
            requestID: try name(request.request_id))
    }

    private func generation(_ options: Wire__GenerationOptions) throws -> GenerationOptions {
        var stop: [String] = []
        for i in 0..<(try count(UInt64(options.n_stop), most: 1024)) { stop.append(try text(options.stop[i])) }
        return GenerationOptions(
            sampling: try sampling(the(options.sampling)),
            maxTokens: options.has_max_tokens != 0 ? try count(options.max_tokens) : nil, stop: stop,
            ignoresEndOfSequence: options.ignores_end_of_sequence != 0, reusesPrefix: options.computes_all == 0,
            attention: options.is_sparse != 0 ? .sparse : .exact,
            stopTokenIDs: try ids(options.stop_tokens, count: options.n_stop_tokens),
            minTokens: try count(options.min_tokens),
            promptLogprobs: options.has_prompt_logprobs != 0
                ? try count(UInt64(options.prompt_logprobs), most: 1 << 20) : nil,
            embedding: options.embedding == WIRE__EMBEDDING__EMBEDDING_UNSPECIFIED
                ? nil : try ours(options.embedding, in: Embedding.wire, what: "embedding"),
            grammar: try grammar(options),
            speculates: options.computes_singly == 0, priority: Int(options.priority))
    }

    private func timings(_ timings: Wire__Timings) throws -> Timings {
        Timings(
            queued: try duration(timings.queued_microseconds), prefill: try duration(timings.prefill_microseconds),
            decode: try duration(timings.decode_microseconds))
    }

    private func finish(_ reason: Wire__FinishReason) throws -> FinishReason {
        try ours(reason, in: FinishReason.wire, what: "finish reason")
    }

    private func progress(
        _ tokens: UInt64, of total: UInt64, cached: UInt64, rate: Double, left: Double
    ) throws -> PrefillProgress {
        guard rate.isFinite, rate >= 0, left.isFinite, left >= 0 else {
            throw Problem.invalid("message: a prefill of \(rate) tokens a second with \(left) seconds left")
        }
        return PrefillProgress(
            tokens: try count(tokens), total: try count(total), cached: try count(cached), tokensPerSecond: rate,
            secondsLeft: left)
    }

    mutating func jobEvent(_ event: Wire__JobEvent) throws -> JobEvent {
        switch event.event_case {
        case WIRE__JOB_EVENT__EVENT_PREFILLED:
            let prefilled = try the(event.prefilled)
            return .prefilled(
                try progress(
                    prefilled.tokens, of: prefilled.total, cached: prefilled.cached,
                    rate: prefilled.tokens_per_second, left: prefilled.seconds_left))
        case WIRE__JOB_EVENT__EVENT_TOKEN:
            let drawn = try the(event.token)
            return .token(
                try token(the(drawn.token)), text: try text(drawn.text), top: try tokens(drawn.top, count: drawn.n_top))
        case WIRE__JOB_EVENT__EVENT_SCORED:
            let scored = try the(event.scored)
            return .scored(first: try count(scored.first), try scores(the(scored.scores)))
        case WIRE__JOB_EVENT__EVENT_EMBEDDED:
            return .embedded(try words(the(event.embedded).values, as: Float.self))
        case WIRE__JOB_EVENT__EVENT_FINISHED:
            let finished = try the(event.finished)
            let usage = try the(finished.usage)
            return .finished(
                try finish(finished.reason), text: try text(finished.text),
                Usage(
                    promptTokens: try count(usage.prompt_tokens), completionTokens: try count(usage.completion_tokens),
                    cachedTokens: try count(usage.cached_tokens)),
                try timings(the(finished.timings)))
        case WIRE__JOB_EVENT__EVENT_FAILED: return .failed(try problem(the(event.failed)))
        default:
            throw Problem.invalid(
                "message: an event that this release does not know; run the same release on both sides")
        }
    }

    mutating func jobState(_ state: Wire__JobState) throws -> JobState {
        guard state.accepted.isFinite, state.seconds_to_start.isFinite else {
            throw Problem.invalid("message: a job without a time")
        }
        let isFinished = state.finish != WIRE__FINISH_REASON__FINISH_REASON_UNSPECIFIED
        return JobState(
            id: JobID(try name(state.job)), phase: try ours(state.phase, in: JobState.Phase.wire, what: "job phase"),
            prefill: try progress(
                state.prefilled_tokens, of: state.prompt_tokens, cached: state.cached_tokens,
                rate: state.tokens_per_second, left: state.seconds_left),
            tokens: try tokens(state.tokens), text: try text(state.text),
            finish: isFinished ? try finish(state.finish) : nil,
            problem: try state.problem.map { try problem($0.pointee) },
            accepted: state.accepted, timings: try timings(the(state.timings)),
            attention: state.is_sparse != 0 ? .sparse : .exact, owner: try name(state.owner),
            priority: Int(state.priority),
            queuePosition: state.queue_position > 0 ? try count(state.queue_position) : nil,
            secondsToStart: state.has_seconds_to_start != 0 ? state.seconds_to_start : nil)
    }

    func clusterStatus(_ status: Wire__ClusterStatus) throws -> ClusterStatus {
        var members: [ClusterStatus.Member] = []
        for i in 0..<(try count(UInt64(status.n_members), most: Self.mostMembers)) {
            let member = try the(status.members[i])
            guard (0...1).contains(member.busy) else { throw Problem.invalid("message: busy \(member.busy)") }
            members.append(
                ClusterStatus.Member(
                    worker: WorkerID(try name(member.worker)), state: try name(member.state),
                    stage: member.has_stage != 0 ? try small(member.stage) : nil,
                    rank: member.has_rank != 0 ? try small(member.rank) : nil, layers: try range(member.layers),
                    leaves: try range(member.leaves), memory: try count(member.memory),
                    weightBytes: try count(member.weight_bytes), kv: try use(the(member.kv)),
                    busy: member.busy, peakMemory: try count(member.peak_memory_bytes),
                    traffic: traffic(member.traffic),
                    threads: try small(member.threads), numaNodes: try name(member.numa_nodes),
                    activity: try name(member.activity)))
        }
        return ClusterStatus(
            model: try name(status.model), digest: try name(status.digest),
            layout: try status.layout.map { try layout($0.pointee) },
            nextLayout: try status.next_layout.map { try layout($0.pointee) }, epoch: status.epoch,
            state: try text(status.state),
            members: members, queuedJobs: try count(status.queued_jobs), runningJobs: try count(status.running_jobs),
            steps: status.steps, totals: try status.totals.map { try totals($0.pointee) } ?? ClusterTotals())
    }
}
