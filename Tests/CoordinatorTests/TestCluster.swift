import Checkpoint
import Core
import GLM
import Glibc
import Synchronization
import Threads
import Tokenization
import Transport
import Worker

@testable import Coordinator

/// A cluster within the test's process: a coordinator and workers with sockets of their own, over ipc.
struct TestCluster: Sendable {
    /// A tiny model of four layers, written once.
    static let model: Result<String, any Error> = Result {
        let folder = try Endpoint.makePrivateFolder() + "/model"
        try RandomModel.make(folder: folder, preset: .tiny, layers: 4, type: .f32)
        return folder
    }

    let folder: String
    let coordinator: Coordinator
    let endpoint: String
    private let running: Task<Void, Never>

    /// Starts a coordinator.
    init(
        layout: String, model: String? = nil, tokenizer: Tokenizer? = nil, chunk: Int = 512, kvTokens: Int? = 4096,
        scalesItself: Bool = false, heartbeat: Duration = .milliseconds(300), store: String? = nil,
        longestQueue: Int = 1000, record: @escaping @Sendable (String, [(String, String)]) -> Void = { _, _ in }
    ) throws {
        folder = try Endpoint.makePrivateFolder()
        endpoint = "ipc://\(folder)/control"
        let coordinator = try Coordinator(
            CoordinatorSettings(
                model: try model ?? Self.model.get(), tokenizer: tokenizer, endpoints: [endpoint],
                layout: try Layout(layout), kvTokens: kvTokens, scalesItself: scalesItself, chunk: chunk,
                heartbeat: heartbeat, store: store, longestQueue: longestQueue, record: record))
        self.coordinator = coordinator
        running = Task { await coordinator.run() }
    }

    /// Starts a worker; its thread ends with it.
    @discardableResult
    func worker(
        _ name: String, model: String? = nil, memory: Int = 1 << 30, cache: String? = nil,
        kvMemory: Int? = nil, kvSpill: Int = 0, kvFolder: String? = nil,
        record: @escaping @Sendable (String, [(String, String)]) -> Void = { _, _ in },
        log: @escaping @Sendable (String) -> Void = { _ in }
    ) throws -> TestWorker {
        try TestWorker(
            WorkerSettings(
                coordinator: endpoint, name: WorkerID(name), threads: 1, memory: memory, model: model,
                dataEndpoint: "ipc://*", cache: cache, kvMemory: kvMemory, kvSpill: kvSpill,
                kvDisk: kvFolder == nil ? nil : 1 << 30, kvFolder: kvFolder, record: record, log: log))
    }

    /// Waits until jobs run, or until the cluster says that they will not.
    func ready() async throws {
        for _ in 0..<1000 {
            if try await coordinator.isReady() { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        throw Problem.unavailable("not ready: \(await coordinator.status().state)")
    }

    /// Ends coordinator and workers.
    func stop() async {
        await coordinator.stop()
        await running.value
        unlink("\(folder)/control")
        rmdir(folder)
    }

    /// Starts a cluster whose workers have the model, runs `body` on it, ends it.
    static func with<Result>(
        layout text: String, memory: [Int] = [], chunk: Int = 512, model: String? = nil, tokenizer: Tokenizer? = nil,
        kvTokens: Int? = 4096,
        kvMemory: Int? = nil, kvSpill: Int = 0, kvFolder: String? = nil, heartbeat: Duration = .milliseconds(300),
        record: @escaping @Sendable (String, [(String, String)]) -> Void = { _, _ in },
        _ body: (TestCluster) async throws -> Result
    ) async throws -> Result {
        let cluster = try TestCluster(
            layout: text, model: model, tokenizer: tokenizer, chunk: chunk, kvTokens: kvTokens, heartbeat: heartbeat,
            record: record)
        let path = try model ?? Self.model.get()
        let workers = try (0..<(try Layout(text).workers)).map { index in
            try cluster.worker(
                "w\(index)", model: path, memory: memory.indices.contains(index) ? memory[index] : 1 << 30,
                kvMemory: kvMemory, kvSpill: kvSpill, kvFolder: kvFolder, record: record)
        }
        do {
            try await cluster.ready()
            let result = try await body(cluster)
            await cluster.stop()
            for worker in workers { worker.join() }
            return result
        } catch {
            await cluster.stop()
            for worker in workers { worker.stop() }
            throw error
        }
    }
}

extension TestCluster {
    /// A job that draws so many tokens.
    static func request(_ prompt: [TokenID], tokens: Int) -> JobRequest {
        JobRequest(
            prompt: prompt, options: GenerationOptions(maxTokens: tokens, ignoresEndOfSequence: true),
            endsWithClient: false)
    }

    /// What it must draw: the tokens of one process.
    static func expected(_ prompt: [TokenID], tokens: Int) throws -> [TokenID] {
        let generator = try Generator(Checkpoint.open(model.get()), kvTokens: 4096, threads: 1)
        var found: [TokenID] = []
        _ = try generator.generate(prompt, options: request(prompt, tokens: tokens).options, chunk: 512) {
            found.append($0.token.token)
            return true
        }
        return found
    }
}

/// A worker on a thread of the test's process.
final class TestWorker: Sendable {
    private let worker: Worker
    private let thread: Thread
    private let end: Outcome

    init(_ settings: WorkerSettings) throws {
        let worker = try Worker(settings)
        let outcome = Outcome()
        self.worker = worker
        end = outcome
        thread = Thread(name: "worker") {
            do {
                try worker.run()
            } catch {
                outcome.problem.withLock { $0 = error as? Problem ?? .failed("\(error)") }
            }
            outcome.isOver.store(true, ordering: .releasing)
        }
    }

    private final class Outcome: Sendable {
        let problem = Mutex<Problem?>(nil)
        let isOver = Atomic(false)
    }

    /// Whether its `run` has returned.
    var isOver: Bool { end.isOver.load(ordering: .acquiring) }
    /// What its `run` threw.
    var problem: Problem? { end.problem.withLock { $0 } }

    func stop() {
        worker.stop()
        thread.join()
    }

    func join() { thread.join() }
}
