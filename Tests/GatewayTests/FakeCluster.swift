import Core

@testable import Tokenization

/// A cluster of one process that says back what the user said last, a byte a token.
///
/// It keeps the protocol's contract: events are replayed, jobs outlive their readers, `cancel` ends a job at once. What
/// the user says steers it: `hang` waits for ever after the prompt, `fail` breaks after two tokens, `slow` takes its time,
/// and `say X` answers X without a newline before it, where ¶ is the token `<|assistant|>`.
actor FakeCluster: ClusterService {
    private struct Job {
        var state: JobState
        var events: [JobEvent] = []
        var listeners: [JobListener] = []
        var isOver: Bool { state.finish != nil || state.problem != nil }
    }

    private(set) var wishes: [String] = []
    /// The API keys there are.
    var apiKeys: [APIKey] = []
    /// What gateways keep here.
    private(set) var kept: [Record.Name: Record] = [:]
    private var table: [String: Job] = [:]
    private var order: [JobID] = []
    private var tags: [String: JobID] = [:]
    private let card: ModelCard?
    private let tokenizer: Tokenizer

    /// The requests that were accepted.
    private(set) var requests: [JobRequest] = []
    /// The jobs that somebody cancelled.
    private(set) var cancelled: [JobID] = []

    /// A cluster with the model "echo", or one that is still loading.
    init(isLoading: Bool = false, contextLength: Int = 4096, template: ChatTemplate = .glm4Chat) throws {
        tokenizer = try Self.tokenizer(template)
        card =
            isLoading
            ? nil
            : ModelCard(
                name: "echo", contextLength: contextLength, vocabularySize: tokenizer.vocabularySize,
                tokenizer: tokenizer.serialized(), digest: "0123456789abcdef")
    }

    /// Token b is byte b; GLM's special tokens follow.
    static func tokenizer(_ template: ChatTemplate) throws -> Tokenizer {
        let bytes = (0...255).map { (kind: TokenKind.normal, bytes: [UInt8($0)][...]) }
        let specials = Tokenizer.glmSpecials.map { (kind: TokenKind.special, bytes: Array($0.utf8)[...]) }
        return Tokenizer(
            vocabulary: try Vocabulary(bytes + specials, source: "the tests' vocabulary"), pattern: .glm, rule: .ranks,
            ends: [], template: template)
    }

    func model() throws -> ModelCard {
        guard let card else { throw Problem.unavailable("the model is being loaded: 43%; try again soon") }
        return card
    }

    func submit(_ request: JobRequest, listener: @escaping JobListener) throws -> JobID {
        let card = try model()
        if let maxTokens = request.options.maxTokens, request.prompt.count + maxTokens > card.contextLength {
            throw Problem.invalid("the prompt and max_tokens do not fit the context")
        }
        if !request.tag.isEmpty, let known = tags[request.tag] {
            try events(of: known, listener: listener)
            return known
        }
        let id = JobID("job-\(order.count + 1)")
        if !request.tag.isEmpty { tags[request.tag] = id }
        requests.append(request)
        order.insert(id, at: 0)
        table[id.name] = Job(
            state: JobState(
                id: id, phase: .queued, prefill: PrefillProgress(total: request.prompt.count),
                accepted: 1_700_000_000, attention: request.options.attention, owner: request.owner,
                priority: request.options.priority))
        try events(of: id, listener: listener)
        Task { await answer(id, request) }
        return id
    }

    func events(of job: JobID, listener: @escaping JobListener) throws {
        guard var entry = table[job.name] else { throw Problem.notFound("there is no \(job)") }
        for event in entry.events { listener(event) }
        if entry.isOver { listener(nil) } else { entry.listeners.append(listener) }
        table[job.name] = entry
    }

    func cancel(_ job: JobID) throws {
        guard let entry = table[job.name] else { throw Problem.notFound("there is no \(job)") }
        guard !entry.isOver else { return }
        cancelled.append(job)
        say(job, .finished(.cancelled, text: "", Usage(promptTokens: 0, completionTokens: 0), Timings()))
    }

    func jobs() -> [JobState] { order.compactMap { table[$0.name]?.state } }

    func job(_ id: JobID) throws -> JobState {
        guard let entry = table[id.name] else { throw Problem.notFound("there is no \(id)") }
        return entry.state
    }

    func status() -> ClusterStatus {
        ClusterStatus(
            model: "echo", digest: "0123456789abcdef", layout: card == nil ? nil : Layout(stages: 1, ranks: 1),
            epoch: 3,
            state: card == nil ? "loading" : "ready",
            members: [
                ClusterStatus.Member(
                    worker: WorkerID("ada"), state: "ready", stage: 0, rank: 0, layers: 0..<4, leaves: 0..<8,
                    memory: 1 << 30, weightBytes: 1 << 20, kv: KVUse(pages: 64, used: 1, pageBytes: 4096), threads: 2,
                    activity: "idle")
            ], queuedJobs: 0, runningJobs: table.values.count { !$0.isOver }, steps: 17,
            totals: ClusterTotals(
                promptTokens: 40, cachedTokens: 10, lookedUpTokens: 40, generatedTokens: 9, accepted: order.count,
                ended: [.stop: 3]))
    }

    func steps() -> [StepRecord] {
        let part = StepRecord.Part(
            worker: WorkerID("ada"), stage: 1, rank: 0, end: .milliseconds(1012), inputWait: .milliseconds(2),
            rankWait: .milliseconds(1), compute: .milliseconds(7))
        return [
            StepRecord(
                epoch: 3, number: 16, sent: .seconds(1), done: .milliseconds(1013), promptTokens: 512, decodes: 1,
                parts: [part]),
            StepRecord(epoch: 3, number: 17, sent: .milliseconds(1014), promptTokens: 0, decodes: 1),
        ]
    }

    func measureLinks() throws -> [LinkRate] {
        _ = try model()
        return [
            LinkRate(
                from: WorkerID("ada"), to: WorkerID("bob"),
                speed: LinkSpeed(
                    way: .ring, roundTripNanoseconds: 2500, rowRoundTripNanoseconds: 12_250,
                    bytesPerSecond: 4_000_000_000))
        ]
    }

    func scale(to layout: Layout?) throws {
        guard layout != Layout(stages: 9, ranks: 1) else { throw Problem.invalid("the model has 4 layers") }
        wishes.append(layout?.description ?? "auto")
    }

    func drain(_ worker: WorkerID) throws {
        guard worker.name == "ada" else { throw Problem.notFound("there is no worker \(worker)") }
        wishes.append("without \(worker)")
    }

    func keys() -> [APIKey] { apiKeys }
    func set(_ keys: [APIKey]) { apiKeys = keys }
    func keep(_ record: Record) { kept[record.name] = record }
    func forget(_ name: Record.Name) { kept[name] = nil }

    func record(_ name: Record.Name, withData: Bool) -> Record? {
        guard var found = kept[name] else { return nil }
        if !withData { found.data = [] }
        return found
    }

    func records(_ kind: String, prefix: String) -> [Record] {
        kept.values.filter { $0.name.kind == kind && $0.name.id.hasPrefix(prefix) }.sorted {
            ($0.created, $0.name.id) < ($1.created, $1.name.id)
        }
    }

    // MARK: Answering

    private func answer(_ id: JobID, _ request: JobRequest) async {
        let said = words(request.prompt)
        say(id, .prefilled(PrefillProgress(tokens: request.prompt.count, total: request.prompt.count)))
        guard said != "hang" else { return }
        if request.options.embedding != nil { return embed(id, request) }
        score(id, request)
        var scanner = StopScanner(request.options.stop)
        var detokenizer = Detokenizer(tokenizer)
        let tokens = answer(to: said) + [tokenizer.specials["<|user|>"] ?? 0]
        var usage = Usage(promptTokens: request.prompt.count, completionTokens: 0, cachedTokens: 2)
        let timings = Timings(queued: .milliseconds(1), prefill: .milliseconds(20), decode: .milliseconds(50))
        for (index, token) in tokens.enumerated() where request.options.maxTokens != 0 {
            if said == "slow" { try? await Task.sleep(for: .milliseconds(30)) }
            if said == "fail", index == 2 { return say(id, .failed(.failed("worker ada is lost; send it again"))) }
            usage.completionTokens += 1
            let isEnd = tokenizer.stopTokens.contains(token)
            let (text, hasStopped) = scanner.next(isEnd ? "" : detokenizer.next(token))
            let top = (0..<(request.options.sampling.logprobs ?? 0)).map { rank in
                TokenLogprob(token: rank == 0 ? token : TokenID(64 + rank), logprob: -Float(rank) - 0.5)
            }
            say(id, .token(TokenLogprob(token: token, logprob: -0.5), text: text, top: top))
            if isEnd || hasStopped {
                return say(id, .finished(.stop, text: scanner.finish(), usage, timings))
            }
            if usage.completionTokens == request.options.maxTokens { break }
        }
        say(id, .finished(.length, text: scanner.next(detokenizer.finish()).emit + scanner.finish(), usage, timings))
    }

    /// What the user said last, or all text when there are no roles.
    private func words(_ prompt: [TokenID]) -> String {
        guard let role = prompt.lastIndex(where: { $0 == tokenizer.specials["<|user|>"] }) else {
            return tokenizer.decode(prompt)
        }
        return tokenizer.decode(Array(prompt[(role + 2)...].prefix { $0 < 256 }))
    }

    /// The tokens of an answer, the end apart.
    private func answer(to said: String) -> [TokenID] {
        guard said.hasPrefix("say ") else { return Array(("\n" + said).utf8).map { TokenID($0) } }
        return said.dropFirst(4).flatMap { character in
            character == "¶" ? [tokenizer.specials["<|assistant|>"] ?? 0] : character.utf8.map { TokenID($0) }
        }
    }

    /// The vector (3, 4), or for the last token's (0, 2).
    private func embed(_ id: JobID, _ request: JobRequest) {
        say(id, .embedded(request.options.embedding == .mean ? [3, 4] : [0, 2]))
        say(id, .finished(.stop, text: "", Usage(promptTokens: request.prompt.count, completionTokens: 0), Timings()))
    }

    /// Every token of the prompt is as likely as the next; two events tell it where there are enough.
    private func score(_ id: JobID, _ request: JobRequest) {
        guard let alternatives = request.options.promptLogprobs else { return }
        let scored = request.prompt.dropFirst().map { token in
            ScoredToken(
                TokenLogprob(token: token, logprob: -1),
                top: (0..<alternatives).map { TokenLogprob(token: TokenID(64 + $0), logprob: -Float($0) - 0.25) })
        }
        for first in stride(from: 0, to: scored.count, by: 2) {
            say(id, .scored(first: 1 + first, Array(scored[first...].prefix(2))))
        }
    }

    private func say(_ id: JobID, _ event: JobEvent) {
        guard var entry = table[id.name], !entry.isOver else { return }
        entry.events.append(event)
        switch event {
        case .prefilled(let progress):
            entry.state.phase = .prefill
            entry.state.prefill = progress
        case .token(let drawn, let text, _):
            entry.state.phase = .decode
            entry.state.tokens.append(drawn.token)
            entry.state.text += text
        case .finished(let reason, let text, _, let timings):
            entry.state.phase = reason == .cancelled ? .cancelled : .finished
            entry.state.finish = reason
            entry.state.text += text
            entry.state.timings = timings
        case .failed(let problem):
            entry.state.phase = .failed
            entry.state.problem = problem
        case .scored, .embedded: break
        }
        for listener in entry.listeners {
            listener(event)
            if entry.isOver { listener(nil) }
        }
        table[id.name] = entry
    }
}
