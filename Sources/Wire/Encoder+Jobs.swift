import CWire
import Core

/// The payloads between gateway and coordinator.
extension Encoder {
    func microseconds(_ duration: Duration) -> UInt64 {
        let (seconds, attoseconds) = duration.components
        let whole = UInt64(clamping: seconds).multipliedReportingOverflow(by: 1_000_000)
        return whole.overflow ? .max : whole.partialValue &+ UInt64(clamping: attoseconds / 1_000_000_000_000)
    }

    mutating func modelCard(_ card: ModelCard) -> UnsafeMutablePointer<Wire__ModelCard> {
        let made = arena.new(wire__model_card__init)
        made.pointee.name = arena.place(text: card.name)
        made.pointee.context_length = UInt64(clamping: card.contextLength)
        made.pointee.vocabulary_size = UInt64(clamping: card.vocabularySize)
        made.pointee.tokenizer = blob(card.tokenizer)
        made.pointee.digest = arena.place(text: card.digest)
        return made
    }

    mutating func submit(_ request: JobRequest) -> UnsafeMutablePointer<Wire__JobRequest> {
        let made = arena.new(wire__job_request__init)
        made.pointee.prompt = blob(words: request.prompt)
        made.pointee.options = generation(request.options)
        made.pointee.ends_with_client = request.endsWithClient ? 1 : 0
        made.pointee.owner = arena.place(text: request.owner)
        made.pointee.tag = arena.place(text: request.tag)
        made.pointee.request_id = arena.place(text: request.requestID)
        return made
    }

    private mutating func generation(_ options: GenerationOptions) -> UnsafeMutablePointer<Wire__GenerationOptions> {
        let made = arena.new(wire__generation_options__init)
        made.pointee.sampling = sampling(options.sampling)
        made.pointee.has_max_tokens = options.maxTokens == nil ? 0 : 1
        made.pointee.max_tokens = UInt64(clamping: options.maxTokens ?? 0)
        made.pointee.n_stop = options.stop.count
        made.pointee.stop = arena.place(options.stop.map { arena.place(bytes: $0) })
        made.pointee.ignores_end_of_sequence = options.ignoresEndOfSequence ? 1 : 0
        made.pointee.computes_all = options.reusesPrefix ? 0 : 1
        made.pointee.is_sparse = options.attention == .sparse ? 1 : 0
        made.pointee.n_stop_tokens = options.stopTokenIDs.count
        made.pointee.stop_tokens = arena.place(options.stopTokenIDs)
        made.pointee.min_tokens = UInt64(clamping: options.minTokens)
        made.pointee.has_prompt_logprobs = options.promptLogprobs == nil ? 0 : 1
        made.pointee.prompt_logprobs = UInt32(clamping: options.promptLogprobs ?? 0)
        made.pointee.computes_singly = options.speculates ? 0 : 1
        made.pointee.priority = Int32(clamping: options.priority)
        if let wanted = options.embedding { made.pointee.embedding = embedding(wanted) }
        let alternatives = options.grammar?.alternatives ?? []
        made.pointee.n_grammar = alternatives.count
        made.pointee.grammar = arena.place(alternatives.map { alternative($0) })
        if let sequel = options.grammar?.sequel {
            made.pointee.n_grammar_sequel = sequel.alternatives.count
            made.pointee.grammar_sequel = arena.place(sequel.alternatives.map { alternative($0) })
            made.pointee.grammar_link = wireValue(
                sequel.link, in: AnswerGrammar.Link.wire, unspecified: WIRE__GRAMMAR_LINK__GRAMMAR_LINK_UNSPECIFIED)
        }
        return made
    }

    private mutating func timings(_ timings: Timings) -> UnsafeMutablePointer<Wire__Timings> {
        let made = arena.new(wire__timings__init)
        made.pointee.queued_microseconds = microseconds(timings.queued)
        made.pointee.prefill_microseconds = microseconds(timings.prefill)
        made.pointee.decode_microseconds = microseconds(timings.decode)
        return made
    }

    private func finish(_ reason: FinishReason) -> Wire__FinishReason {
        wireValue(reason, in: FinishReason.wire, unspecified: WIRE__FINISH_REASON__FINISH_REASON_UNSPECIFIED)
    }

    mutating func event(
        _ id: JobID, _ number: UInt64, _ event: JobEvent
    ) -> UnsafeMutablePointer<Wire__JobEvent> {
        let made = arena.new(wire__job_event__init)
        made.pointee.job = arena.place(text: id.name)
        made.pointee.number = number
        switch event {
        case .prefilled(let progress):
            let prefilled = arena.new(wire__prefilled__init)
            prefilled.pointee.tokens = UInt64(clamping: progress.tokens)
            prefilled.pointee.total = UInt64(clamping: progress.total)
            prefilled.pointee.cached = UInt64(clamping: progress.cached)
            prefilled.pointee.tokens_per_second = progress.tokensPerSecond
            prefilled.pointee.seconds_left = progress.secondsLeft
            made.pointee.event_case = WIRE__JOB_EVENT__EVENT_PREFILLED
            made.pointee.prefilled = prefilled
        case .token(let drawn, let text, let top):
            let made2 = arena.new(wire__token__init)
            made2.pointee.token = token(drawn)
            made2.pointee.text = arena.place(bytes: text)
            made2.pointee.n_top = top.count
            made2.pointee.top = arena.place(top.map { token($0) })
            made.pointee.event_case = WIRE__JOB_EVENT__EVENT_TOKEN
            made.pointee.token = made2
        case .scored(let first, let tokens):
            let scored = arena.new(wire__scored__init)
            scored.pointee.first = UInt64(clamping: first)
            scored.pointee.scores = scores(tokens)
            made.pointee.event_case = WIRE__JOB_EVENT__EVENT_SCORED
            made.pointee.scored = scored
        case .embedded(let values):
            let embedded = arena.new(wire__embedded__init)
            embedded.pointee.values = blob(words: values)
            made.pointee.event_case = WIRE__JOB_EVENT__EVENT_EMBEDDED
            made.pointee.embedded = embedded
        case .finished(let reason, let text, let usage, let times):
            let finished = arena.new(wire__finished__init)
            finished.pointee.reason = finish(reason)
            finished.pointee.text = arena.place(bytes: text)
            let counts = arena.new(wire__usage__init)
            counts.pointee.prompt_tokens = UInt64(clamping: usage.promptTokens)
            counts.pointee.completion_tokens = UInt64(clamping: usage.completionTokens)
            counts.pointee.cached_tokens = UInt64(clamping: usage.cachedTokens)
            finished.pointee.usage = counts
            finished.pointee.timings = timings(times)
            made.pointee.event_case = WIRE__JOB_EVENT__EVENT_FINISHED
            made.pointee.finished = finished
        case .failed(let what):
            made.pointee.event_case = WIRE__JOB_EVENT__EVENT_FAILED
            made.pointee.failed = problem(what)
        }
        return made
    }

    mutating func jobState(_ state: JobState) -> UnsafeMutablePointer<Wire__JobState>? {
        let made = arena.new(wire__job_state__init)
        made.pointee.job = arena.place(text: state.id.name)
        made.pointee.phase = wireValue(
            state.phase, in: JobState.Phase.wire, unspecified: WIRE__JOB_PHASE__JOB_PHASE_UNSPECIFIED)
        made.pointee.prompt_tokens = UInt64(clamping: state.prefill.total)
        made.pointee.prefilled_tokens = UInt64(clamping: state.prefill.tokens)
        made.pointee.cached_tokens = UInt64(clamping: state.prefill.cached)
        made.pointee.tokens_per_second = state.prefill.tokensPerSecond
        made.pointee.seconds_left = state.prefill.secondsLeft
        made.pointee.tokens = blob(words: state.tokens)
        made.pointee.text = arena.place(bytes: state.text)
        if let reason = state.finish { made.pointee.finish = finish(reason) }
        if let what = state.problem { made.pointee.problem = problem(what) }
        made.pointee.accepted = state.accepted
        made.pointee.timings = timings(state.timings)
        made.pointee.is_sparse = state.attention == .sparse ? 1 : 0
        made.pointee.owner = arena.place(text: state.owner)
        made.pointee.queue_position = UInt64(clamping: state.queuePosition ?? 0)
        made.pointee.has_seconds_to_start = state.secondsToStart == nil ? 0 : 1
        made.pointee.seconds_to_start = state.secondsToStart ?? 0
        made.pointee.priority = Int32(clamping: state.priority)
        return made
    }

    private mutating func member(_ member: ClusterStatus.Member) -> UnsafeMutablePointer<Wire__Member>? {
        let made = arena.new(wire__member__init)
        made.pointee.worker = arena.place(text: member.worker.name)
        made.pointee.state = arena.place(text: member.state)
        made.pointee.has_stage = member.stage == nil ? 0 : 1
        made.pointee.stage = UInt32(clamping: member.stage ?? 0)
        made.pointee.has_rank = member.rank == nil ? 0 : 1
        made.pointee.rank = UInt32(clamping: member.rank ?? 0)
        if let layers = member.layers { made.pointee.layers = range(layers) }
        if let leaves = member.leaves { made.pointee.leaves = range(leaves) }
        made.pointee.memory = UInt64(clamping: member.memory)
        made.pointee.weight_bytes = UInt64(clamping: member.weightBytes)
        made.pointee.kv = use(member.kv)
        made.pointee.busy = member.busy
        made.pointee.peak_memory_bytes = UInt64(clamping: member.peakMemory)
        made.pointee.traffic = traffic(member.traffic)
        made.pointee.threads = UInt32(clamping: member.threads)
        made.pointee.numa_nodes = arena.place(text: member.numaNodes)
        made.pointee.activity = arena.place(text: member.activity)
        return made
    }

    mutating func clusterStatus(_ status: ClusterStatus) -> UnsafeMutablePointer<Wire__ClusterStatus> {
        let made = arena.new(wire__cluster_status__init)
        made.pointee.model = arena.place(text: status.model)
        made.pointee.digest = arena.place(text: status.digest)
        if let grid = status.layout { made.pointee.layout = layout(grid) }
        if let grid = status.nextLayout { made.pointee.next_layout = layout(grid) }
        made.pointee.epoch = status.epoch
        made.pointee.state = arena.place(text: status.state)
        made.pointee.n_members = status.members.count
        made.pointee.members = arena.place(status.members.map { member($0) })
        made.pointee.queued_jobs = UInt64(clamping: status.queuedJobs)
        made.pointee.running_jobs = UInt64(clamping: status.runningJobs)
        made.pointee.steps = status.steps
        made.pointee.totals = totals(status.totals)
        return made
    }
}
