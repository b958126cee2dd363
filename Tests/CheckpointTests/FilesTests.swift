import Checkpoint
import Core
import FoundationEssentials
import Testing

@Suite("Files of a checkpoint")
struct FilesTests {
    private func header(_ json: String, data: Int) -> Data {
        var bytes = Data(withUnsafeBytes(of: UInt64(json.utf8.count).littleEndian) { Array($0) })
        bytes.append(contentsOf: json.utf8)
        bytes.append(Data(repeating: 1, count: data))
        return bytes
    }

    private func problem(_ json: String, data: Int) throws -> String? {
        let folder = try TemporaryFolder()
        try folder.write("config.json", "{}")
        try folder.write("model.safetensors", header(json, data: data))
        do {
            _ = try Checkpoint.open(folder.path)
            return nil
        } catch let problem as Problem {
            return problem.message
        }
    }

    @Test("tensors may begin at any byte, be empty, and stand in any order")
    func oddTensors() throws {
        let folder = try TemporaryFolder()
        try folder.write("config.json", "{}")
        let json =
            "{\"__metadata__\":{\"format\":\"pt\"},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[1,5]},"
            + "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},\"n\":{\"dtype\":\"F32\",\"shape\":[0,3],\"data_offsets\":[5,5]},"
            + "\"s\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[5,7]}}   "
        try folder.write("model.safetensors", header(json, data: 7))
        let checkpoint = try Checkpoint.open(folder.path)
        #expect(checkpoint.tensors["n"]?.shape == [0, 3] && checkpoint.tensors["s"]?.elementCount == 1)
        let row = try checkpoint.rows(of: "b", 0..<1, columns: nil)
        #expect(row.base.loadUnaligned(as: UInt32.self) == 0x0101_0101)
        #expect(checkpoint.byteCount == 7)
    }

    @Test(
        "a safetensors table that does not cover the file exactly is refused",
        arguments: [
            ("[0,4]", "[4,8]", 9, "after the last tensor"), ("[0,4]", "[5,9]", 9, "before tensor b"),
            ("[0,4]", "[2,6]", 6, "share bytes"), ("[0,4]", "[4,7]", 8, "data_offsets"),
            ("[0,4]", "[8,4]", 8, "data_offsets"),
            ("[0,4]", "[4]", 8, "data_offsets"), ("[0,4]", "[4,9223372036854775807]", 8, "tensor b"),
            ("[0,4]", "[4,8.5]", 8, "data_offsets"),
        ])
    func cover(first: String, second: String, data: Int, expected: String) throws {
        let json =
            "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":\(first)},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":\(second)}}"
        let message = try problem(json, data: data)
        #expect(message?.contains(expected) == true, "\(message ?? "accepted")")
    }

    @Test("a tensor named twice is refused, in one file and in two")
    func twice() throws {
        let entry = "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}"
        #expect(try problem("{\(entry),\(entry)}", data: 4)?.contains("twice") == true)
        let folder = try TemporaryFolder()
        try folder.write("config.json", "{}")
        for name in ["x", "y"] { try folder.write("\(name).safetensors", header("{\(entry)}", data: 4)) }
        let index = "model.safetensors.index.json"
        try folder.write(index, "{\"weight_map\":{\"a\":\"x.safetensors\",\"b\":\"y.safetensors\"}}")
        var found = #expect(throws: Problem.self) { try Checkpoint.open(folder.path) }
        #expect(found?.message.contains("another file") == true)
        try folder.write(index, "{\"weight_map\":{\"a\":\"x.safetensors\",\"b\":\"x.safetensors\"}}")
        found = #expect(throws: Problem.self) { try Checkpoint.open(folder.path) }
        #expect(found?.message.contains("tensor b is not in x.safetensors") == true)
        try folder.write(index, "{\"weight_map\":{\"a\":\"/etc/passwd\"}}")
        found = #expect(throws: Problem.self) { try Checkpoint.open(folder.path) }
        #expect(found?.message.contains("/etc/passwd") == true)
    }

    @Test("a tensor whose name holds control characters is refused in one line")
    func controlNames() throws {
        let message = try problem("{\"a\\nb\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", data: 4)
        #expect(message?.contains("a?b") == true)
        let folder = try TemporaryFolder()
        let info = TensorInfo(name: "a\u{1B}[2J", type: .f32, shape: [0])
        try TensorFileWriter(gguf: folder.path + "/x.gguf", tensors: [info], metadata: []).finish()
        let found = #expect(throws: Problem.self) { try Checkpoint.open(folder.path) }
        #expect(found?.message.contains("a?[2J") == true)
    }

    /// Writes one part of a split GGUF model with one tensor.
    private func writePart(_ number: Int, of count: Int, in folder: TemporaryFolder, no: Int? = nil) throws {
        let path = "\(folder.path)/model-0000\(number)-of-0000\(count).gguf"
        let info = TensorInfo(name: "tensor.\(number)", type: .q8_0, shape: [3, 64])
        let writer = try TensorFileWriter(
            gguf: path, tensors: [info],
            metadata: [
                ("split.no", .u32(UInt32(no ?? number - 1))), ("split.count", .u32(UInt32(count))),
                ("split.tensors.count", .u32(UInt32(count))),
            ])
        try writer.write([UInt8](repeating: UInt8(number), count: info.byteCount ?? 0))
        try writer.finish()
    }

    @Test("a split GGUF model is opened by its first file or its folder")
    func split() throws {
        let folder = try TemporaryFolder()
        for number in 1...3 { try writePart(number, of: 3, in: folder) }
        for path in [folder.path, folder.path + "/model-00001-of-00003.gguf"] {
            let checkpoint = try Checkpoint.open(path)
            #expect(checkpoint.tensors.count == 3)
            for number in 1...3 {
                let rows = try checkpoint.rows(of: "tensor.\(number)", 2..<3, columns: 32..<64)
                #expect(rows.base.load(as: UInt8.self) == UInt8(number) && rows.columns == 32)
            }
        }
        var found = #expect(throws: Problem.self) { try Checkpoint.open(folder.path + "/model-00002-of-00003.gguf") }
        #expect(found?.message.contains("first file") == true)
        try writePart(3, of: 3, in: folder, no: 1)
        found = #expect(throws: Problem.self) { try Checkpoint.open(folder.path) }
        #expect(found?.message.contains("not part 3") == true)
        try FileManager.default.removeItem(atPath: folder.path + "/model-00003-of-00003.gguf")
        #expect(throws: Problem.self) { try Checkpoint.open(folder.path) }
    }

    @Test("two GGUF models in a folder must be told apart")
    func twoModels() throws {
        let folder = try TemporaryFolder()
        for name in ["one", "two"] {
            try TensorFileWriter(gguf: "\(folder.path)/\(name).gguf", tensors: [], metadata: []).finish()
        }
        let found = #expect(throws: Problem.self) { try Checkpoint.open(folder.path) }
        #expect(found?.message.contains("one.gguf") == true)
        #expect(try Checkpoint.open(folder.path + "/two.gguf").tensors.isEmpty)
    }

    @Test("a GGUF vocabulary of the real size is read back in full")
    func bigVocabulary() throws {
        let folder = try TemporaryFolder()
        let tokens = (0..<20_000).map { "token \($0) \u{120}" }
        let path = folder.path + "/v.gguf"
        try TensorFileWriter(
            gguf: path, tensors: [],
            metadata: [
                ("tokens", .strings(tokens)), ("types", .i32s([1, -3])), ("yes", .bool(true)), ("x", .f32(0.5)),
            ]
        ).finish()
        let config = try Checkpoint.open(path).config
        #expect(config["tokens"]?.strings == tokens)
        #expect(config["types"]?.integers == [1, -3])
        #expect(config["types"]?.strings == nil)
        #expect(config["yes"]?.bool == true && config["x"]?.number == 0.5)
    }

    @Test("sizes of stored types agree with the formats", arguments: StoredType.allCases)
    func sizes(type: StoredType) {
        #expect(type.byteCount(elements: type.blockElements) == type.blockBytes)
        #expect(type.byteCount(elements: Int.max / 256 * 256) == nil || type.blockBytes <= type.blockElements)
        if type.blockElements > 1 { #expect(type.byteCount(elements: type.blockElements + 1) == nil) }
        #expect(type.byteCount(elements: -type.blockElements) == nil)
    }
}
