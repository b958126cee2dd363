import CWire
import Core

/// The payloads between worker and coordinator.
extension Decoder {
    func problem(_ problem: Wire__Problem) throws -> Problem {
        var made = Problem(try ours(problem.kind, in: Problem.Kind.wire, what: "problem"), try text(problem.message))
        made.retryAfter = problem.retry_after_seconds == 0 ? nil : Int(problem.retry_after_seconds)
        return made
    }

    func workerHello(_ hello: Wire__WorkerHello) throws -> WorkerHello {
        let worker = try name(hello.worker)
        guard !worker.isEmpty else { throw Problem.invalid("message: a worker without a name") }
        return WorkerHello(
            worker: WorkerID(worker), threads: try small(hello.threads), memoryBytes: try count(hello.memory_bytes),
            dataEndpoint: try name(hello.data_endpoint), dataPublicKey: try name(hello.data_public_key),
            modelDigest: try name(hello.model_digest), instructionSet: try name(hello.instruction_set),
            kvMemoryBytes: hello.kv_memory_bytes > 0 ? try count(hello.kv_memory_bytes) : nil,
            kvSpillBytes: try count(hello.kv_spill_bytes),
            processors: hello.processors > 0 ? try small(hello.processors) : nil,
            measuresLinks: hello.measures_links != 0, numaNodes: try name(hello.numa_nodes))
    }

    func token(_ token: Wire__TokenLogprob) throws -> TokenLogprob {
        guard token.token >= 0, !token.logprob.isNaN else {
            throw Problem.invalid("message: a token below 0 or without a value")
        }
        return TokenLogprob(token: token.token, logprob: token.logprob)
    }

    func tokens(
        _ pointers: UnsafeMutablePointer<UnsafeMutablePointer<Wire__TokenLogprob>?>?, count: Int
    ) throws -> [TokenLogprob] {
        var tokens: [TokenLogprob] = []
        guard let pointers else { return tokens }
        for i in 0..<count { tokens.append(try token(the(pointers[i]))) }
        return tokens
    }

    mutating func stepDone(_ done: Wire__StepDone) throws -> StepDone {
        var results: [SegmentResult] = []
        for i in 0..<done.n_results {
            let result = try the(done.results[i])
            let logits = try words(result.logits, as: Float.self)
            var scored: [ScoredToken] = []
            if let placed = result.scored { scored = try scores(placed.pointee) }
            let embedding = try words(result.hidden, as: Float.self)
            var more: [ScoredToken] = []
            if let placed = result.more { more = try scores(placed.pointee) }
            results.append(
                SegmentResult(
                    sequence: SequenceID(result.sequence), drawn: try result.drawn.map { try token($0.pointee) },
                    top: try tokens(result.top, count: result.n_top), more: more, logits: logits,
                    scored: scored, embedding: embedding))
        }
        return StepDone(
            epoch: done.epoch, number: done.number, results: results,
            computeMicroseconds: try count(done.compute_microseconds),
            waitMicroseconds: try count(done.wait_microseconds),
            inputWaitMicroseconds: try count(done.input_wait_microseconds))
    }

    func workerHeartbeat(_ beat: Wire__WorkerHeartbeat) throws -> WorkerHeartbeat {
        WorkerHeartbeat(
            epoch: beat.epoch, activity: try name(beat.activity), kvUsed: try count(beat.kv_used),
            kvSpilled: try count(beat.kv_spilled),
            stepsDone: beat.steps_done, traffic: traffic(beat.traffic),
            diskTrouble: try text(beat.disk_trouble), peakMemoryBytes: try count(beat.peak_memory_bytes))
    }

    /// None from a worker that does not say.
    func traffic(_ pointer: UnsafeMutablePointer<Wire__Traffic>?) -> Traffic {
        var traffic = Traffic()
        guard let found = pointer?.pointee else { return traffic }
        func sent(_ pointer: UnsafeMutablePointer<Wire__Sent>?) -> Traffic.Sent {
            Traffic.Sent(messages: pointer?.pointee.messages ?? 0, bytes: pointer?.pointee.bytes ?? 0)
        }
        traffic.hidden = sent(found.hidden)
        traffic.sums = sent(found.sums)
        traffic.attention = sent(found.attention)
        traffic.draws = sent(found.draws)
        traffic.tokens = found.tokens
        return traffic
    }

    func fetch(_ fetch: Wire__Fetch) throws -> Fetch {
        Fetch(tensor: try name(fetch.tensor), rows: try range(the(fetch.rows)), columns: try range(fetch.columns))
    }

    mutating func piece(_ piece: Wire__Piece) throws -> Result<Piece, Problem> {
        if let what = piece.problem { return .failure(try problem(what.pointee)) }
        let (rows, rowBytes) = (try count(piece.rows), try count(piece.row_bytes))
        let bytes = try bytes(piece.bytes)
        let expected = rows.multipliedReportingOverflow(by: rowBytes)
        guard !expected.overflow, expected.partialValue == bytes.count else {
            throw Problem.invalid("message: a piece of \(rows) rows of \(rowBytes) bytes has \(bytes.count) bytes")
        }
        return .success(Piece(rows: rows, rowBytes: rowBytes, bytes: bytes))
    }

    func layout(_ layout: Wire__Layout) throws -> Layout {
        let (stages, ranks) = (try small(layout.stages), try small(layout.ranks))
        guard stages >= 1, ranks >= 1, ranks <= Leaves.count else {
            throw Problem.invalid("message: a layout of \(stages)x\(ranks)")
        }
        return Layout(stages: stages, ranks: ranks)
    }

    /// Ranges that follow one another from 0, one a rank.
    private func runs(
        _ pointers: UnsafeMutablePointer<UnsafeMutablePointer<Wire__Range>?>?, count: Int, to end: Int?
    ) throws -> [Range<Int>] {
        var runs: [Range<Int>] = []
        guard let pointers, count <= Leaves.count else {
            throw Problem.invalid("message: a slice of \(count) ranks; 1 to \(Leaves.count) are possible")
        }
        for i in 0..<count {
            let run = try range(the(pointers[i]))
            guard run.lowerBound == runs.last?.upperBound ?? 0 else {
                throw Problem.invalid("message: the ranks' shares of a slice do not follow one another")
            }
            runs.append(run)
        }
        guard end == nil || runs.last?.upperBound == end else {
            throw Problem.invalid("message: the ranks' leaves are not \(Leaves.count) in all")
        }
        return runs
    }

    private func slice(_ slice: Wire__Slice, in layout: Layout) throws -> Slice {
        let leaves = try runs(slice.leaves_by_rank, count: slice.n_leaves_by_rank, to: Leaves.count)
        let vocabulary = try runs(slice.vocabulary_by_rank, count: slice.n_vocabulary_by_rank, to: nil)
        let (stage, stages, rank) = (try small(slice.stage), try small(slice.stage_count), try small(slice.rank))
        guard stages == layout.stages, leaves.count == layout.ranks, vocabulary.count == layout.ranks, stage < stages,
            rank < leaves.count
        else {
            throw Problem.invalid("message: a slice for stage \(stage) rank \(rank) does not fit the layout \(layout)")
        }
        guard slice.n_kv_weight_by_rank == leaves.count else {
            throw Problem.invalid("message: a slice without the ranks' shares of KV cache")
        }
        let weights = try (0..<leaves.count).map { try small(slice.kv_weight_by_rank[$0]) }
        return Slice(
            stage: stage, stageCount: stages, rank: rank, layers: try range(the(slice.layers)), leavesByRank: leaves,
            vocabularyByRank: vocabulary, kvWeightByRank: weights)
    }

    mutating func assignment(_ assignment: Wire__Assignment) throws -> Assignment {
        let layout = try layout(the(assignment.layout))
        var peers: [Peer] = []
        for i in 0..<(try count(UInt64(assignment.n_peers), most: Self.mostMembers)) {
            let peer = try the(assignment.peers[i])
            let (stage, rank) = (try small(peer.stage), try small(peer.rank))
            guard stage < layout.stages, rank < layout.ranks else {
                throw Problem.invalid("message: a peer at stage \(stage) rank \(rank) of a layout of \(layout)")
            }
            peers.append(
                Peer(
                    stage: stage, rank: rank, worker: WorkerID(try name(peer.worker)),
                    dataEndpoint: try name(peer.data_endpoint), dataPublicKey: try name(peer.data_public_key)))
        }
        return Assignment(
            epoch: assignment.epoch, layout: layout, slice: try slice(the(assignment.slice), in: layout), peers: peers,
            modelDescription: try bytes(assignment.model_description),
            weightType: try ours(assignment.weight_type, in: WeightType.wire, what: "weight type"),
            kvType: try ours(assignment.kv_type, in: KVType.wire, what: "KV type"),
            kvPages: try count(assignment.kv_pages), kvMemoryPages: try count(assignment.kv_memory_pages),
            digest: try name(assignment.digest),
            isInBackground: assignment.in_background != 0,
            drawableTokens: assignment.drawable_tokens > 0 ? try count(assignment.drawable_tokens) : nil)
    }

    mutating func step(_ step: Wire__Step) throws -> Step {
        let tokens = try tokens(step.tokens)
        var at = 0
        var segments: [Segment] = []
        for i in 0..<step.n_segments {
            let segment = try the(step.segments[i])
            let length = try count(segment.token_count)
            guard length >= 1, length <= tokens.count - at, segment.guesses < UInt64(length) else {
                throw Problem.invalid(
                    "message: a segment of \(length) tokens with \(segment.guesses) guesses where \(tokens.count - at) are left"
                )
            }
            segments.append(
                Segment(
                    sequence: SequenceID(segment.sequence), start: try count(segment.start),
                    tokens: Array(tokens[at..<at + length]), output: try output(segment),
                    attention: segment.is_sparse != 0 ? .sparse : .exact,
                    scoring: try segment.scoring.map { try scoring($0.pointee, of: length) },
                    guesses: Int(segment.guesses)))
            at += length
        }
        guard at == tokens.count else {
            throw Problem.invalid("message: \(tokens.count - at) tokens belong to no segment")
        }
        var changes: [KVChange] = []
        for i in 0..<step.n_changes { changes.append(try change(the(step.changes[i]))) }
        var requests: [SequenceID: String] = [:]
        for i in 0..<step.n_requests {
            let entry = try the(step.requests[i])
            requests[SequenceID(entry.sequence)] = try name(entry.request)
        }
        return Step(
            number: step.number, epoch: step.epoch, changes: changes, segments: segments, requests: requests)
    }
}
