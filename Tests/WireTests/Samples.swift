import Core
import Wire

/// At least one message of every kind, with every optional part there in one and absent in another.
enum Samples {
    static let problem = Problem(.unavailable, "the model is loading: 43% done; try again")
    static let sampling = SamplingOptions(
        temperature: 0.7, topP: 0.9, topK: 40, seed: .max, logprobs: 3, minP: 0.05, repetitionPenalty: 1.1,
        presencePenalty: -2, frequencyPenalty: 0.5, logitBias: [3: -100, 0: 1.5])
    static let scored = [
        ScoredToken(top[0], top: [top[1]]), ScoredToken(top[1], top: [top[0]]),
    ]
    static let top = [TokenLogprob(token: 5, logprob: -0.25), TokenLogprob(token: 0, logprob: -.infinity)]
    static let timings = Timings(queued: .microseconds(17), prefill: .seconds(3), decode: .milliseconds(250))

    static let slice = Slice(
        stage: 1, stageCount: 2, rank: 2, layers: 20..<40, leavesByRank: [0..<3, 3..<6, 6..<8],
        vocabularyByRank: [0..<50_000, 50_000..<100_000, 100_000..<151_552], kvWeightByRank: [16, 8, 1])

    static let keys = [PageKey(high: .max, low: 1), PageKey(high: 2, low: .max)]

    static let traffic = {
        var traffic = Traffic()
        traffic.hidden = .init(messages: 1, bytes: .max)
        traffic.sums = .init(messages: 2, bytes: 20)
        traffic.attention = .init(messages: 3, bytes: 30)
        traffic.draws = .init(messages: .max, bytes: 40)
        traffic.tokens = 5
        return traffic
    }()

    static let speed = LinkSpeed(
        way: .socket, roundTripNanoseconds: 1, rowRoundTripNanoseconds: 1 << 40, bytesPerSecond: 3_000_000_000)

    static let fromWorkers: [Message] = [
        .workerHello(
            WorkerHello(
                worker: WorkerID("ada"), threads: 8, memoryBytes: 64 << 30, dataEndpoint: "tcp://10.0.0.7:4711",
                dataPublicKey: "key", modelDigest: "abc", instructionSet: "x86-64-v3", kvMemoryBytes: 1 << 33,
                kvSpillBytes: 5, processors: 16, measuresLinks: true)),
        .workerHello(WorkerHello(worker: WorkerID("b"), threads: 1, memoryBytes: 0, dataEndpoint: "ipc:///tmp/x")),
        .ready(Ready(epoch: 7, weightBytes: 1 << 33, kvPages: 1_048_576, kvPageBytes: 1 << 20)),
        .ready(Ready(epoch: 7, weightBytes: 0, kvPages: 0, kvPageBytes: 0, stored: keys)),
        .ready(Ready(epoch: 7, weightBytes: 0, kvPages: 0, kvPageBytes: 0, stored: [])),
        .restored(epoch: 7, SequenceID(4), pages: 3),
        .stored(epoch: 7, keys: keys, gone: []),
        .stored(epoch: 7, keys: [], gone: keys),
        .probed(epoch: 7, number: .max, speed),
        .loading(epoch: 7, fraction: 0.43),
        .failed(epoch: 7, problem),
        .stepDone(StepDone(epoch: 7, number: 1, results: [])),
        .stepDone(
            StepDone(
                epoch: 7, number: 99,
                results: [
                    SegmentResult(sequence: SequenceID(1), drawn: top[0], top: top),
                    SegmentResult(sequence: SequenceID(2), drawn: nil, logits: [1.5, -2, .infinity]),
                    SegmentResult(sequence: SequenceID(.max), drawn: nil, logits: [0]),
                    SegmentResult(sequence: SequenceID(3), drawn: top[0], more: scored, scored: scored),
                    SegmentResult(sequence: SequenceID(4), drawn: nil, scored: [ScoredToken(top[0])]),
                    SegmentResult(sequence: SequenceID(5), drawn: nil, embedding: [1, -0.5]),
                ], computeMicroseconds: 1234, waitMicroseconds: 56, inputWaitMicroseconds: 7)),
        .workerHeartbeat(
            WorkerHeartbeat(
                epoch: 7, activity: "step 17: 512 tokens", kvUsed: 9, kvSpilled: 4, stepsDone: 17, traffic: traffic,
                diskTrouble: "full", peakMemoryBytes: 1 << 30)),
        .fetch(request: 3, Fetch(tensor: "model.layers.0.mlp.up.weight", rows: 0..<128, columns: 64..<96)),
        .fetch(request: 4, Fetch(tensor: "model.norm.weight", rows: 0..<1)),
        .goodbye,
    ]

    static let toWorkers: [Message] = [
        .welcome(Welcome(heartbeatInterval: .milliseconds(500), model: "glm-4-9b-chat")),
        .refused(problem),
        .assign(
            Assignment(
                epoch: 7, layout: Layout(stages: 2, ranks: 3), slice: slice,
                peers: [
                    Peer(
                        stage: 0, rank: 0, worker: WorkerID("ada"), dataEndpoint: "tcp://10.0.0.7:1", dataPublicKey: "k"
                    ),
                    Peer(stage: 1, rank: 2, worker: WorkerID("b"), dataEndpoint: "ipc:///tmp/x"),
                ], modelDescription: Array("{}".utf8), weightType: .q4, kvType: .q8, kvPages: 4096, kvMemoryPages: 99,
                digest: "abc",
                isInBackground: true, drawableTokens: 151_343)),
        .assign(
            Assignment(
                epoch: 8, layout: .single, slice: .whole(layers: 2, vocabulary: 64), peers: [], modelDescription: [],
                kvPages: 0, digest: "")),
        .activate(epoch: 7),
        .step(
            Step(
                number: 5, epoch: 7,
                changes: [
                    .open(
                        SequenceID(1), prefix: [PageRun(SequenceID(3), 0..<4), PageRun(SequenceID(4), 4..<5)],
                        copy: PageCopy(SequenceID(4), page: 5, tokens: 63)),
                    .open(SequenceID(2), prefix: [], copy: nil), .close(SequenceID(3)),
                    .drop(PageRun(SequenceID(3), 2..<4)),
                    .store([PageRun(SequenceID(3), 0..<2)], first: 0, keys: keys),
                    .restore(SequenceID(2), first: 64, keys: keys), .cut(SequenceID(2), pages: 1),
                ],
                segments: [
                    Segment(sequence: SequenceID(1), start: 0, tokens: [1, 2, 3], output: .none),
                    Segment(
                        sequence: SequenceID(2), start: 99, tokens: [4],
                        output: .sample(
                            Drawing(
                                sampling, promptTokens: 90, heldBack: [5, 6], heldUntil: 110,
                                past: Past(prompt: [1, 4], generated: [9, 9, 9]))), attention: .sparse),
                    Segment(
                        sequence: SequenceID(6), start: 3, tokens: [4, 5], output: .sample(Drawing(past: Past())),
                        scoring: Segment.Scoring(targets: [5], alternatives: 4)),
                    Segment(sequence: SequenceID(9), start: 3, tokens: [4], output: .sample(masked)),
                    Segment(
                        sequence: SequenceID(9), start: 3, tokens: [4, 5, 5], output: .sample(Drawing()), guesses: 2),
                    Segment(sequence: SequenceID(7), start: 0, tokens: [4], output: .embed(.mean, goesOn: true)),
                    Segment(sequence: SequenceID(8), start: 0, tokens: [4], output: .embed(.last, goesOn: false)),
                    Segment(sequence: SequenceID(5), start: 7, tokens: [5, 6], output: .logits),
                ], requests: [SequenceID(1): "req-1", SequenceID(2): "r"])),
        .step(Step(number: 6, epoch: 7, segments: [])),
        .probe(Probe(epoch: 7, number: .max, stage: 1, rank: 2, begins: true)),
        .probe(Probe(epoch: 7, number: 1, stage: 0, rank: 0, begins: false)),
        .piece(request: 3, .success(Piece(rows: 2, rowBytes: 3, bytes: [1, 2, 3, 4, 5, 6]))),
        .piece(request: 3, .success(Piece(rows: 0, rowBytes: 3, bytes: []))),
        .piece(request: 4, .failure(.notFound("no such tensor"))),
        .heartbeat,
        .shutdown,
    ]

    static let job = JobID("job-17")
    static let progress = PrefillProgress(tokens: 9, total: 10, cached: 4, tokensPerSecond: 2.5, secondsLeft: 0.5)
    static let jobStates: [JobState] = [
        JobState(
            id: job, phase: .queued, prefill: PrefillProgress(total: 10), accepted: 1_700_000_000.25, owner: "k7",
            priority: -7, queuePosition: 3, secondsToStart: 12.5),
        JobState(
            id: JobID("job-18"), phase: .failed, prefill: progress, tokens: [1, 2],
            text: "caf\u{e9}\0",
            finish: .error, problem: problem, accepted: 0, timings: timings, attention: .sparse),
    ]

    static let record = Record(
        Record.Name("file", "file-1"), owner: "", created: 1_700_000_000.25, text: "{\"caf\u{e9}\":0}",
        data: [0, 1, 255])

    static let fromGateways: [Message] = [
        .gatewayHello(name: "gw"),
        .model(request: 1),
        .submit(
            request: 2,
            JobRequest(
                prompt: [1, 2, 151_551],
                options: GenerationOptions(
                    sampling: sampling, maxTokens: 100, stop: ["\n\n", "\0", "停"], ignoresEndOfSequence: true,
                    reusesPrefix: false, attention: .sparse, stopTokenIDs: [7, 9], minTokens: 12, promptLogprobs: 0,
                    embedding: .last, grammar: grammar, speculates: false, priority: 100),
                endsWithClient: true, owner: "k7", tag: "batch_1/17", requestID: "req-1")),
        .submit(request: 3, JobRequest(prompt: [], options: GenerationOptions(), endsWithClient: false)),
        .events(request: 4, job), .cancel(request: 5, job), .jobs(request: 6), .job(request: 7, job),
        .status(request: .max), .scale(request: 8, Layout(stages: 2, ranks: 3)), .scale(request: 9, nil),
        .drain(request: 10, WorkerID("ada")), .keys(request: 11), .keep(request: 12, record),
        .record(request: 13, record.name, withData: true), .records(request: 14, Record.Name("file", "file-")),
        .forget(request: 15, record.name), .steps(request: 16), .links(request: 17),
    ]

    /// Every notation.
    private static let grammar = AnswerGrammar(
        AnswerGrammar.Notation.allCases.map { .init(lead: "ein\n\0", notation: $0, rule: "{\"é\":1}") },
        sequel: .init(link: .turn, alternatives: [.init(notation: .regex, rule: "é+", continues: true)]))

    /// A mask of either form.
    private static let masked: Drawing = {
        var drawing = Drawing()
        var few = TokenMask(count: 151_552)
        for token: TokenID in [0, 63, 64, 151_551] { few.permit(token) }
        var many = TokenMask(count: 70)
        for token: TokenID in 0..<69 { many.permit(token) }
        drawing.masks = [few, many, TokenMask(count: 70)]
        drawing.maskedFrom = 4
        return drawing
    }()

    static let toGateways: [Message] = [
        .modelIs(
            request: 1,
            ModelCard(name: "m", contextLength: 131_072, vocabularySize: 151_552, tokenizer: [1, 2, 3], digest: "d")),
        .accepted(request: 2, job, isKept: true), .accepted(request: 3, job, isKept: false),
        .problem(request: 2, problem), .problem(request: 2, .busy("100 jobs wait already", retryAfter: 7)),
        .keysAre(
            request: 11,
            [
                APIKey(
                    id: "k7", name: "ci", hash: [UInt8](0..<32), scope: .admin,
                    limits: APIKey.Limits(requestsPerMinute: 60, tokensPerMinute: nil, jobs: 4), created: 1.5,
                    expires: 2.5, isRevoked: true, use: APIKey.Use(jobs: 1, promptTokens: 2, completionTokens: 3)),
                APIKey(id: "k8", name: "", hash: [UInt8](0..<32), scope: .watch, created: 0),
            ]), .keysAre(request: 11, []),
        .recordsAre(request: 13, [record, Record(Record.Name("batch", "b"), owner: "k7", created: 0, text: "{}")]),
        .recordsAre(request: 14, []),
        .event(request: 2, job, number: 0, .prefilled(progress)),
        .event(request: 2, job, number: 1, .token(top[0], text: "a\0b 你", top: top)),
        .event(
            request: 2, job, number: 2,
            .finished(.length, text: "", Usage(promptTokens: 1, completionTokens: 2, cachedTokens: 3), timings)),
        .event(request: 2, job, number: 3, .failed(problem)),
        .event(request: 2, job, number: 4, .scored(first: 1, scored)),
        .event(request: 2, job, number: 5, .embedded([0.25, -1])),
        .eventsEnd(request: 2, job), .done(request: 5), .jobList(request: 6, jobStates), .jobList(request: 6, []),
        .jobIs(request: 7, jobStates[1]),
        .statusIs(
            request: 8,
            ClusterStatus(
                model: "m", digest: "d", layout: Layout(stages: 2, ranks: 2), nextLayout: Layout(stages: 4, ranks: 2),
                epoch: 7, state: "ready",
                members: [
                    ClusterStatus.Member(
                        worker: WorkerID("ada"), state: "ready", stage: 0, rank: 1, layers: 0..<20, leaves: 4..<8,
                        memory: 1 << 30, weightBytes: 5,
                        kv: KVUse(
                            pages: 6, used: 5, idle: 4, spilled: 2, pageBytes: 3, stored: 2, slotPages: [1, 0],
                            slotReuses: [0, 9],
                            trouble: "full"), busy: 0.5, peakMemory: 7, traffic: traffic,
                        threads: 8, numaNodes: "0,2", activity: "idle"),
                    ClusterStatus.Member(
                        worker: WorkerID("b"), state: "spare", stage: nil, rank: nil, layers: nil, leaves: nil,
                        memory: 0, weightBytes: 0, threads: 1, activity: ""),
                ], queuedJobs: 1, runningJobs: 2, steps: 3,
                totals: ClusterTotals(
                    promptTokens: 9, cachedTokens: 4, lookedUpTokens: 8, generatedTokens: 7, accepted: 6,
                    ended: [.stop: 1, .length: 2, .cancelled: 3, .error: 4]))),
        .stepsAre(
            request: 10,
            [
                StepRecord(
                    epoch: 7, number: 3, sent: .seconds(2), done: .milliseconds(2100), promptTokens: 512, decodes: 2,
                    parts: [
                        StepRecord.Part(
                            worker: WorkerID("ada"), stage: 1, rank: 2, end: .milliseconds(2099),
                            inputWait: .microseconds(1), rankWait: .microseconds(2), compute: .microseconds(3))
                    ]),
                StepRecord(epoch: 7, number: 4, sent: .seconds(3), promptTokens: 0, decodes: 0),
            ]), .stepsAre(request: 11, []),
        .linksAre(
            request: 17,
            [
                LinkRate(from: WorkerID("ada"), to: WorkerID("b"), speed: speed),
                LinkRate(
                    from: WorkerID("b"), to: WorkerID("ada"),
                    speed: LinkSpeed(
                        way: .ring, roundTripNanoseconds: 0, rowRoundTripNanoseconds: 0, bytesPerSecond: 0)),
            ]), .linksAre(request: 18, []),
        .statusIs(
            request: 9,
            ClusterStatus(
                model: "", digest: "", layout: nil, epoch: 0, state: "waiting for workers", members: [], queuedJobs: 0,
                runningJobs: 0, steps: 0)),
    ]

    static let all = fromWorkers + toWorkers + fromGateways + toGateways
}
