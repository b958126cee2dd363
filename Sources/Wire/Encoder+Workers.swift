import CWire
import Core

/// The payloads between worker and coordinator.
extension Encoder {
    mutating func problem(_ problem: Problem) -> UnsafeMutablePointer<Wire__Problem> {
        let made = arena.new(wire__problem__init)
        made.pointee.kind = wireValue(
            problem.kind, in: Problem.Kind.wire, unspecified: WIRE__PROBLEM_KIND__PROBLEM_KIND_UNSPECIFIED)
        made.pointee.message = arena.place(text: problem.message)
        made.pointee.retry_after_seconds = UInt32(clamping: problem.retryAfter ?? 0)
        return made
    }

    mutating func range(_ range: Range<Int>) -> UnsafeMutablePointer<Wire__Range>? {
        let made = arena.new(wire__range__init)
        made.pointee.lower = UInt64(clamping: range.lowerBound)
        made.pointee.upper = UInt64(clamping: range.upperBound)
        return made
    }

    mutating func workerHello(_ hello: WorkerHello) -> UnsafeMutablePointer<Wire__WorkerHello> {
        let made = arena.new(wire__worker_hello__init)
        made.pointee.worker = arena.place(text: hello.worker.name)
        made.pointee.threads = UInt32(clamping: hello.threads)
        made.pointee.memory_bytes = UInt64(clamping: hello.memoryBytes)
        made.pointee.data_endpoint = arena.place(text: hello.dataEndpoint)
        made.pointee.data_public_key = arena.place(text: hello.dataPublicKey)
        made.pointee.model_digest = arena.place(text: hello.modelDigest)
        made.pointee.instruction_set = arena.place(text: hello.instructionSet)
        made.pointee.kv_spill_bytes = UInt64(clamping: hello.kvSpillBytes)
        made.pointee.kv_memory_bytes = UInt64(clamping: hello.kvMemoryBytes ?? 0)
        made.pointee.processors = UInt32(clamping: hello.processors ?? 0)
        made.pointee.measures_links = hello.measuresLinks ? 1 : 0
        made.pointee.numa_nodes = arena.place(text: hello.numaNodes)
        return made
    }

    mutating func token(_ token: TokenLogprob) -> UnsafeMutablePointer<Wire__TokenLogprob>? {
        let made = arena.new(wire__token_logprob__init)
        made.pointee.token = token.token
        made.pointee.logprob = token.logprob
        return made
    }

    mutating func stepDone(_ done: StepDone) -> UnsafeMutablePointer<Wire__StepDone> {
        let made = arena.new(wire__step_done__init)
        made.pointee.epoch = done.epoch
        made.pointee.number = done.number
        made.pointee.compute_microseconds = UInt64(clamping: done.computeMicroseconds)
        made.pointee.wait_microseconds = UInt64(clamping: done.waitMicroseconds)
        made.pointee.input_wait_microseconds = UInt64(clamping: done.inputWaitMicroseconds)
        made.pointee.n_results = done.results.count
        made.pointee.results = arena.place(done.results.map { segmentResult($0) })
        return made
    }

    private mutating func segmentResult(_ result: SegmentResult) -> UnsafeMutablePointer<Wire__SegmentResult>? {
        let made = arena.new(wire__segment_result__init)
        made.pointee.sequence = result.sequence.number
        if let drawn = result.drawn { made.pointee.drawn = token(drawn) }
        made.pointee.n_top = result.top.count
        made.pointee.top = arena.place(result.top.map { token($0) })
        if !result.logits.isEmpty { made.pointee.logits = blob(words: result.logits) }
        if !result.scored.isEmpty { made.pointee.scored = scores(result.scored) }
        if !result.embedding.isEmpty { made.pointee.hidden = blob(words: result.embedding) }
        if !result.more.isEmpty { made.pointee.more = scores(result.more) }
        return made
    }

    mutating func workerHeartbeat(_ beat: WorkerHeartbeat) -> UnsafeMutablePointer<Wire__WorkerHeartbeat> {
        let made = arena.new(wire__worker_heartbeat__init)
        made.pointee.epoch = beat.epoch
        made.pointee.activity = arena.place(text: beat.activity)
        made.pointee.kv_used = UInt64(clamping: beat.kvUsed)
        made.pointee.kv_spilled = UInt64(clamping: beat.kvSpilled)
        made.pointee.steps_done = beat.stepsDone
        made.pointee.traffic = traffic(beat.traffic)
        made.pointee.peak_memory_bytes = UInt64(clamping: beat.peakMemoryBytes)
        made.pointee.disk_trouble = arena.place(text: beat.diskTrouble)
        return made
    }

    mutating func traffic(_ traffic: Traffic) -> UnsafeMutablePointer<Wire__Traffic>? {
        let made = arena.new(wire__traffic__init)
        made.pointee.hidden = sent(traffic.hidden)
        made.pointee.sums = sent(traffic.sums)
        made.pointee.attention = sent(traffic.attention)
        made.pointee.draws = sent(traffic.draws)
        made.pointee.tokens = traffic.tokens
        return made
    }

    private mutating func sent(_ sent: Traffic.Sent) -> UnsafeMutablePointer<Wire__Sent>? {
        let made = arena.new(wire__sent__init)
        made.pointee.messages = sent.messages
        made.pointee.bytes = sent.bytes
        return made
    }

    mutating func fetch(_ fetch: Fetch) -> UnsafeMutablePointer<Wire__Fetch> {
        let made = arena.new(wire__fetch__init)
        made.pointee.tensor = arena.place(text: fetch.tensor)
        made.pointee.rows = range(fetch.rows)
        if let columns = fetch.columns { made.pointee.columns = range(columns) }
        return made
    }

    mutating func piece(_ result: Result<Piece, Problem>) -> UnsafeMutablePointer<Wire__Piece> {
        let made = arena.new(wire__piece__init)
        switch result {
        case .success(let piece):
            made.pointee.rows = UInt64(clamping: piece.rows)
            made.pointee.row_bytes = UInt64(clamping: piece.rowBytes)
            made.pointee.bytes = blob(piece.bytes)
        case .failure(let what): made.pointee.problem = problem(what)
        }
        return made
    }

    mutating func layout(_ layout: Layout) -> UnsafeMutablePointer<Wire__Layout> {
        let made = arena.new(wire__layout__init)
        made.pointee.stages = UInt32(clamping: layout.stages)
        made.pointee.ranks = UInt32(clamping: layout.ranks)
        return made
    }

    private mutating func slice(_ slice: Slice) -> UnsafeMutablePointer<Wire__Slice> {
        let made = arena.new(wire__slice__init)
        made.pointee.stage = UInt32(clamping: slice.stage)
        made.pointee.stage_count = UInt32(clamping: slice.stageCount)
        made.pointee.rank = UInt32(clamping: slice.rank)
        made.pointee.layers = range(slice.layers)
        made.pointee.n_leaves_by_rank = slice.leavesByRank.count
        made.pointee.leaves_by_rank = arena.place(slice.leavesByRank.map { range($0) })
        made.pointee.n_vocabulary_by_rank = slice.vocabularyByRank.count
        made.pointee.vocabulary_by_rank = arena.place(slice.vocabularyByRank.map { range($0) })
        made.pointee.n_kv_weight_by_rank = slice.kvWeightByRank.count
        made.pointee.kv_weight_by_rank = arena.place(slice.kvWeightByRank.map { UInt32(clamping: $0) })
        return made
    }

    private mutating func peer(_ peer: Peer) -> UnsafeMutablePointer<Wire__Peer>? {
        let made = arena.new(wire__peer__init)
        made.pointee.stage = UInt32(clamping: peer.stage)
        made.pointee.rank = UInt32(clamping: peer.rank)
        made.pointee.worker = arena.place(text: peer.worker.name)
        made.pointee.data_endpoint = arena.place(text: peer.dataEndpoint)
        made.pointee.data_public_key = arena.place(text: peer.dataPublicKey)
        return made
    }

    mutating func assign(_ assignment: Assignment) -> UnsafeMutablePointer<Wire__Assignment> {
        let made = arena.new(wire__assignment__init)
        made.pointee.epoch = assignment.epoch
        made.pointee.layout = layout(assignment.layout)
        made.pointee.slice = slice(assignment.slice)
        made.pointee.n_peers = assignment.peers.count
        made.pointee.peers = arena.place(assignment.peers.map { peer($0) })
        made.pointee.model_description = blob(assignment.modelDescription)
        made.pointee.weight_type = wireValue(
            assignment.weightType, in: WeightType.wire, unspecified: WIRE__WEIGHT_TYPE__WEIGHT_TYPE_UNSPECIFIED)
        made.pointee.kv_type = wireValue(
            assignment.kvType, in: KVType.wire, unspecified: WIRE__KV_TYPE__KV_TYPE_UNSPECIFIED)
        made.pointee.kv_pages = UInt64(clamping: assignment.kvPages)
        made.pointee.kv_memory_pages = UInt64(clamping: assignment.kvMemoryPages)
        made.pointee.digest = arena.place(text: assignment.digest)
        made.pointee.drawable_tokens = UInt64(clamping: assignment.drawableTokens ?? 0)
        made.pointee.in_background = assignment.isInBackground ? 1 : 0
        return made
    }

    mutating func step(_ step: Step) -> UnsafeMutablePointer<Wire__Step> {
        let made = arena.new(wire__step__init)
        made.pointee.epoch = step.epoch
        made.pointee.number = step.number
        made.pointee.n_changes = step.changes.count
        made.pointee.changes = arena.place(step.changes.map { change($0) })
        made.pointee.tokens = blob(words: step.segments.flatMap(\.tokens))
        made.pointee.n_segments = step.segments.count
        made.pointee.segments = arena.place(step.segments.map { segment($0) })
        let requests = step.requests.sorted { $0.key < $1.key }
        made.pointee.n_requests = requests.count
        made.pointee.requests = arena.place(requests.map { sequenceRequest($0.key, $0.value) })
        return made
    }

    private mutating func sequenceRequest(
        _ sequence: SequenceID, _ request: String
    ) -> UnsafeMutablePointer<Wire__SequenceRequest>? {
        let made = arena.new(wire__sequence_request__init)
        made.pointee.sequence = sequence.number
        made.pointee.request = arena.place(text: request)
        return made
    }
}
