import Checkpoint
import Core
import FoundationEssentials
import GLM
import Glibc
import Testing
import Transport

@testable import Coordinator

/// Prompts that begin alike, and their pages in memory and on disk: the answer is always what it would be without.
@Suite("Prefixes", .serialized)
struct PrefixTests {
    /// The small model again, with a longer context.
    private static let longModel: Result<String, any Error> = Result {
        let folder = try Endpoint.makePrivateFolder() + "/model"
        try RandomModel.make(folder: folder, preset: .tiny, layers: 2, type: .f32)
        let configuration = URL(filePath: folder + "/config.json")
        let text = try String(contentsOf: configuration, encoding: .utf8)
        try Data(text.replacing("8192", with: "16384").utf8).write(to: configuration)
        return folder
    }

    private let prompt: [TokenID] = (0..<400).map { ($0 * 37 + $0 / 50 + 11) % 200 }

    private func request(
        _ prompt: [TokenID], tokens: Int = 8, reuses: Bool = true, attention: AttentionMode = .exact
    ) -> JobRequest {
        JobRequest(
            prompt: prompt,
            options: GenerationOptions(
                maxTokens: tokens, ignoresEndOfSequence: true, reusesPrefix: reuses, attention: attention),
            endsWithClient: false)
    }

    /// What one process answers.
    private func expected(
        _ prompt: [TokenID], tokens: Int = 8, attention: AttentionMode = .exact, model: String? = nil
    ) throws -> [TokenID] {
        let generator = try Generator(
            Checkpoint.open(model ?? TestCluster.model.get()), kvTokens: prompt.count + 640, threads: 1)
        var found: [TokenID] = []
        _ = try generator.generate(
            prompt, options: GenerationOptions(maxTokens: tokens, ignoresEndOfSequence: true, attention: attention),
            chunk: 512
        ) {
            found.append($0.token.token)
            return true
        }
        return found
    }

    /// A job's tokens, and how many of its prompt were found.
    private func run(_ cluster: TestCluster, _ request: JobRequest) async throws -> (tokens: [TokenID], cached: Int) {
        let (_, events) = try await cluster.coordinator.submit(request)
        var tokens: [TokenID] = []
        var cached = -1
        for await event in events {
            switch event {
            case .token(let drawn, _, _): tokens.append(drawn.token)
            case .finished(_, _, let usage, _): cached = usage.cachedTokens
            case .failed(let problem): throw problem
            case .prefilled, .scored, .embedded: break
            }
        }
        return (tokens, cached)
    }

    @Test(
        "a second question of the same text is answered from its pages, with the same tokens",
        arguments: ["1x1", "2x2", "1x4", "1x8"])
    func second(layout: String) async throws {
        let questions = [prompt, prompt + [7, 8, 9], Array(prompt[..<150]) + [1, 2, 3, 4, 5, 6, 7], prompt]
        try await TestCluster.with(layout: layout, chunk: 64) { cluster in
            let cached = [0, 400, 150, 399]
            for (question, found) in zip(questions, cached) {
                let answer = try await run(cluster, request(question))
                #expect(try answer.tokens == expected(question))
                #expect(answer.cached == found)
            }
            let all = try await run(cluster, request(prompt, reuses: false))
            #expect(try all.tokens == expected(prompt))
            #expect(all.cached == 0)
            // A conversation goes on behind its last answer.
            let longer = prompt + all.tokens + [5, 5, 5]
            let answer = try await run(cluster, request(longer))
            #expect(try answer.tokens == expected(longer))
            #expect(answer.cached >= 400 + 7 - 63)
            let pool = await cluster.coordinator.status().members[0].kv
            #expect(pool.used == pool.idle && pool.used > 0)
            #expect(pool.slotReuses.reduce(0, +) > 0 && pool.slotPages.reduce(0, +) == pool.used)
        }
    }

    @Test("when memory is short the oldest pages go, and answers stay right")
    func short() async throws {
        try await TestCluster.with(layout: "1x3", chunk: 64, kvTokens: 640) { cluster in
            for round in 0..<6 {
                let question = prompt.map { ($0 + TokenID(round % 3)) % 200 }
                let answer = try await run(cluster, request(question))
                #expect(try answer.tokens == expected(question))
            }
            let pool = await cluster.coordinator.status().members[0].kv
            #expect(pool.used <= pool.pages)
        }
    }

    @Test("after a restart of everything, pages come back from disk; damaged ones are computed again")
    func restart() async throws {
        let folder = try Endpoint.makePrivateFolder() + "/kv"
        defer { Self.remove(folder) }
        let expected = try expected(prompt)
        try await TestCluster.with(layout: "2x2", chunk: 64, kvFolder: folder) { cluster in
            let answer = try await run(cluster, request(prompt))
            #expect(answer.tokens == expected && answer.cached == 0)
            try await Self.stored(6, cluster)
        }
        try await TestCluster.with(layout: "2x2", chunk: 64, kvFolder: folder) { cluster in
            #expect(await cluster.coordinator.status().members.allSatisfy { $0.kv.stored == 6 })
            let answer = try await run(cluster, request(prompt))
            #expect(answer.tokens == expected && answer.cached == 384)
            let other = try await run(cluster, request(prompt + [9]))
            #expect(try other.tokens == self.expected(prompt + [9]))
            #expect(other.cached >= 384)
        }
        let damaged = Self.files(folder).filter { Self.damage($0) }
        #expect(!damaged.isEmpty)
        try await TestCluster.with(layout: "2x2", chunk: 64, kvFolder: folder) { cluster in
            let answer = try await run(cluster, request(prompt))
            #expect(answer.tokens == expected && answer.cached == 0)
            try await Self.stored(6, cluster)
            #expect(try await run(cluster, request(prompt)).tokens == expected)
        }
        // Another grid has other slices: nothing is found, nothing is mixed up.
        try await TestCluster.with(layout: "1x2", chunk: 64, kvFolder: folder) { cluster in
            let answer = try await run(cluster, request(prompt))
            #expect(answer.tokens == expected && answer.cached == 0)
        }
    }

    @Test("a context larger than memory runs from a file, and the status says so")
    func spills() async throws {
        let folder = try Endpoint.makePrivateFolder() + "/kv"
        defer { Self.remove(folder) }
        let expected = try expected(prompt)
        // A busy disk may hold a worker up for longer than the tests' usual heartbeats.
        try await TestCluster.with(
            layout: "1x2", chunk: 64, kvTokens: nil, kvMemory: 200_000, kvSpill: 2_000_000, kvFolder: folder,
            heartbeat: .seconds(1)
        ) { cluster in
            let answer = try await run(cluster, request(prompt))
            #expect(answer.tokens == expected)
            for _ in 0..<500 {
                if await cluster.coordinator.status().members.allSatisfy({ $0.kv.spilled > 0 }) { break }
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(await cluster.coordinator.status().members.allSatisfy { $0.kv.spilled > 0 })
            #expect(try await run(cluster, request(prompt)).tokens == expected)
        }
    }

    @Test(
        "pages of sparse attention serve sparse attention alone, also from disk, with the bounds they had",
        arguments: ["1x1", "1x4"])
    func sparse(layout: String) async throws {
        let folder = try Endpoint.makePrivateFolder() + "/kv"
        defer { Self.remove(folder) }
        // Long enough that pages are left out.
        let model = try Self.longModel.get()
        let prompt = (0..<9_700).map { (place: Int) in TokenID((place * 37 + place / 50 + 11) % 200) }
        let sparse = try expected(prompt, attention: .sparse, model: model)
        let longer = try expected(prompt + [7, 8, 9], attention: .sparse, model: model)
        let exact = try expected(prompt, model: model)
        try await TestCluster.with(
            layout: layout, chunk: 500, model: model, kvTokens: 32_768, kvFolder: folder
        ) { cluster in
            let first = try await run(cluster, request(prompt, attention: .sparse))
            #expect(first.tokens == sparse && first.cached == 0)
            let other = try await run(cluster, request(prompt))
            #expect(other.tokens == exact && other.cached == 0)
            let second = try await run(cluster, request(prompt + [7, 8, 9], attention: .sparse))
            #expect(second.tokens == longer && second.cached == 9_700)
            try await Self.stored(2 * 151, cluster)
        }
        try await TestCluster.with(
            layout: layout, chunk: 500, model: model, kvTokens: 32_768, kvFolder: folder
        ) { cluster in
            let third = try await run(cluster, request(prompt + [7, 8, 9], attention: .sparse))
            #expect(third.tokens == longer && third.cached == 9_664)
        }
    }

    @Test("a prompt that cannot fit is refused before any work, with what it needs, what there is, and what would do")
    func refused() async throws {
        try await TestCluster.with(layout: "1x2", kvTokens: nil, kvMemory: 1_000_000) { cluster in
            let long = [TokenID](repeating: 3, count: 1500)
            do {
                _ = try await cluster.coordinator.submit(request(long))
                Issue.record("accepted")
            } catch let problem as Problem {
                #expect(problem.kind == .invalid)
                #expect(problem.message.contains("needs KV cache for 1536 tokens"), "\(problem)")
                #expect(problem.message.contains("has room for"), "\(problem)")
                #expect(problem.message.contains("more such workers"), "\(problem)")
                #expect(problem.message.contains("--kv-type"), "\(problem)")
            }
            #expect(await cluster.coordinator.status().steps == 0)
        }
    }

    /// Waits until so many places are on every worker's disk.
    private static func stored(_ places: Int, _ cluster: TestCluster) async throws {
        for _ in 0..<500 {
            if await cluster.coordinator.status().members.allSatisfy({ $0.kv.stored == places }) { return }
            try await Task.sleep(for: .milliseconds(10))
        }
        let found = await cluster.coordinator.status().members.map { $0.kv.stored ?? -1 }
        throw Problem.failed("expected \(places) places on disk, found \(found)")
    }

    /// All page files below a folder.
    private static func files(_ folder: String) -> [String] {
        names(folder).flatMap { slice in
            names("\(folder)/\(slice)").filter { $0.hasSuffix(".kv") }.map { "\(folder)/\(slice)/\($0)" }
        }.sorted()
    }

    private static func names(_ folder: String) -> [String] {
        guard let stream = opendir(folder) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// Turns a bit in a file's first page.
    private static func damage(_ path: String) -> Bool {
        let file = open(path, O_RDWR)
        defer { close(file) }
        var byte: UInt8 = 0
        guard pread(file, &byte, 1, 4100) == 1 else { return false }
        byte ^= 1
        return pwrite(file, &byte, 1, 4100) == 1
    }

    private static func remove(_ folder: String) {
        for slice in names(folder) {
            for name in names("\(folder)/\(slice)") { unlink("\(folder)/\(slice)/\(name)") }
            rmdir("\(folder)/\(slice)")
        }
        unlink("\(folder)/lock")
        rmdir(folder)
    }
}
