import Checkpoint
import Core
import FoundationEssentials
import GLM
import Glibc
import Testing

/// Changes bytes in headers, indexes and configurations: each case either loads or is refused with a problem.
@Suite("Fuzzed checkpoints")
struct FuzzTests {
    /// A number sequence that is the same in every run.
    private struct Sequence {
        var state: UInt64
        mutating func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }
    }

    /// Opens the model as a worker would, touching the ends of every tensor; any error but a problem is a failure.
    private func load(_ path: String) -> Bool {
        do {
            let checkpoint = try Checkpoint.open(path)
            let configuration = try Configuration(checkpoint)
            let names = try TensorNames(configuration: configuration, tensors: checkpoint.tensors)
            for place in [names.embedding, names.output, names.down(configuration.layers - 1)] {
                let rows = try checkpoint.rows(of: place.tensor, place.rows, columns: nil)
                _ = rows.base.load(as: UInt8.self)
                _ = (rows.base + rows.rowStride * rows.rows - 1).load(as: UInt8.self)
            }
            return true
        } catch let problem as Problem {
            #expect(!problem.message.isEmpty && !problem.message.contains("\n"))
        } catch {
            Issue.record("\(error)")
        }
        return false
    }

    /// Changes one to three bytes among the first `header` of a file, in place, `count` times.
    private func flip(_ file: String, header: Int, model: String, count: Int, seed: UInt64) throws -> Int {
        let descriptor = open(file, O_RDWR)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: header)
        try #require(pread(descriptor, &bytes, header, 0) == header)
        var random = Sequence(state: seed)
        var loaded = 0
        for _ in 0..<count {
            var changed: [Int] = []
            for _ in 0...random.next(3) {
                let at = random.next(header)
                // A flipped bit, or a byte that means something in JSON or in a length.
                let values: [UInt8] = [
                    bytes[at] ^ 1 << UInt8(random.next(8)), 0, 0xFF, 0x80, UInt8(ascii: "9"), UInt8(ascii: "\""),
                    UInt8(ascii: "-"), UInt8(ascii: "]"), UInt8(ascii: "{"),
                ]
                var value = values[random.next(values.count)]
                changed.append(at)
                pwrite(descriptor, &value, 1, off_t(at))
            }
            if load(model) { loaded += 1 }
            for at in changed { pwrite(descriptor, &bytes[at], 1, off_t(at)) }
        }
        #expect(load(model))
        return loaded
    }

    /// Cuts a file at `count` places among its first `header` bytes, and at some beyond.
    private func cut(_ file: String, header: Int, model: String, count: Int) throws {
        let whole = try Data(contentsOf: URL(filePath: file))
        for i in 0..<count {
            let length = i % 4 == 0 ? whole.count - 1 - i : header * i / count
            #expect(truncate(file, off_t(max(0, length))) == 0)
            #expect(!load(model))
            try whole.write(to: URL(filePath: file))
        }
    }

    private func headerLength(_ file: String) throws -> Int {
        let bytes = try Data(contentsOf: URL(filePath: file))
        return 8 + Int(bytes[0]) + Int(bytes[1]) << 8 + Int(bytes[2]) << 16
    }

    @Test("a damaged safetensors header never crashes")
    func safetensors() throws {
        let folder = try TemporaryFolder()
        try RandomModel.make(folder: folder.path, layers: 1, type: .bf16)
        let file = folder.path + "/model.safetensors"
        let header = try headerLength(file)
        let loaded = try flip(file, header: header, model: folder.path, count: 1000, seed: 1)
        #expect(loaded < 350)
        _ = try flip(file, header: 16, model: folder.path, count: 300, seed: 2)
        try cut(file, header: header, model: folder.path, count: 40)
    }

    @Test(
        "a damaged GGUF header never crashes", arguments: ["gguf-chatglm-q4_0", "gguf-glm4-q4_0", "gguf-chatglm-q4_k"])
    func gguf(name: String) throws {
        let folder = try TemporaryFolder()
        try folder.write("model.gguf", Data(contentsOf: URL(filePath: Goldens.folder + name + "/model.gguf")))
        let file = folder.path + "/model.gguf"
        _ = try flip(file, header: 700, model: file, count: 500, seed: 3)
        _ = try flip(file, header: 12_000, model: file, count: 700, seed: 4)
        try cut(file, header: 9000, model: file, count: 24)
    }

    @Test("a damaged index or config.json never crashes", arguments: ["config.json", "model.safetensors.index.json"])
    func texts(name: String) throws {
        let folder = try TemporaryFolder()
        let golden = Goldens.folder + "glm-hf-bf16-sharded"
        try folder.link(to: golden, except: name)
        let contents = try Data(contentsOf: URL(filePath: golden + "/" + name))
        try folder.write(name, contents)
        let file = folder.path + "/" + name
        let size = contents.count
        _ = try flip(file, header: size, model: folder.path, count: 600, seed: 5)
    }

    @Test("hostile JSON is refused: deep nesting, keys given twice, lone surrogates, huge numbers")
    func hostileJSON() throws {
        let folder = try TemporaryFolder()
        try folder.link(to: Goldens.folder + "damaged/undamaged", except: "config.json")
        let texts = [
            String(repeating: "[", count: 1_000_000), String(repeating: "{\"a\":", count: 100_000), "", "{", "[]",
            "nul",
            "{\"model_type\":\"glm\",\"model_type\":\"glm\"}", "{\"model_type\":\"\\ud800\"}", "{\"a\":1e999999}",
            "{\"a\":\u{1}}", "{\"a\":\"\u{1}\"}", "{\"a\":tru}", "{\"a\":-}", "{\"a\":1}x", "{\"a\" 1}", "{\"a\":1,}",
            "{\"model_type\":\"glm\",\"hidden_size\":123456789012345678901234567890}",
        ]
        for text in texts {
            try folder.write("config.json", text)
            #expect(!load(folder.path), "\(text.prefix(60))")
        }
    }

    @Test("folders, pipes and missing files are refused, not waited for")
    func oddPaths() throws {
        let folder = try TemporaryFolder()
        #expect(!load(folder.path))
        #expect(!load(folder.path + "/nothing"))
        #expect(!load(folder.path + "/nothing.gguf"))
        try #require(mkfifo(folder.path + "/pipe.gguf", 0o600) == 0)
        #expect(!load(folder.path + "/pipe.gguf"))
        #expect(!load(folder.path))
        #expect(!load("/dev/zero"))
        #expect(!load(""))
    }

    @Test("a file that becomes shorter while it is open gives a problem, not a signal")
    func shrinkingFile() throws {
        let folder = try TemporaryFolder()
        try folder.fill(from: Goldens.folder + "damaged/undamaged")
        let checkpoint = try Checkpoint.open(folder.path)
        #expect(truncate(folder.path + "/model.safetensors", 4096) == 0)
        let name = "model.embed_tokens.weight"
        let problem = #expect(throws: Problem.self) { try checkpoint.rows(of: name, 0..<1, columns: nil) }
        #expect(problem?.message.contains("shorter") == true)
        #expect(throws: Problem.self) { try checkpoint.digest() }
    }
}
