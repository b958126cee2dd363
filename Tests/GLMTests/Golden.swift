import Core
import Foundation

/// A folder under Tests/Golden: a tiny checkpoint with the outputs of a reference implementation.
struct Golden {
    static let root = URL(filePath: #filePath).appending(path: "../../Golden").standardized

    /// The names of all folders that hold a checkpoint with expected logits.
    static let models =
        ["glm-hf-f32", "glm-hf-bf16-sharded", "chatglm-original-1", "chatglm-original-2", "glm4-0414"]
        + ["f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "q4_k", "q5_k", "q6_k"].map { "gguf-chatglm-\($0)" } + [
            "gguf-glm4-f16", "gguf-glm4-q4_0",
        ]

    struct Case {
        var tokens: [TokenID]
        var rows: [Int]
        var logits: [[Float]]
    }

    struct Expectation: Decodable {
        struct Tolerance: Decodable {
            var absolute: Float
            var relative: Float
        }
        struct Greedy: Decodable {
            var prompt: [TokenID]
            var tokens: [TokenID]
            var certain: Int
            var finish: String
        }

        var tolerance: Tolerance
        var greedy: [Greedy]
    }

    let folder: URL
    /// What `Checkpoint.open` takes.
    var model: String {
        let file = folder.appending(path: "model.gguf")
        return FileManager.default.fileExists(atPath: file.path) ? file.path : folder.path
    }

    init(_ name: String) { folder = Self.root.appending(path: name) }

    func expectation() throws -> Expectation {
        try JSONDecoder().decode(
            Expectation.self, from: Data(contentsOf: folder.appending(path: "expected.json")))
    }

    /// tokens_i, rows_i and logits_i of expected.safetensors.
    func cases() throws -> [Case] {
        let data = try Data(contentsOf: folder.appending(path: "expected.safetensors"))
        let length = Int(data.prefix(8).withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) })
        let header = try JSONSerialization.jsonObject(with: data[8..<8 + length]) as? [String: Any] ?? [:]
        func part(_ name: String) -> (shape: [Int], bytes: Data)? {
            guard let entry = header[name] as? [String: Any], let shape = entry["shape"] as? [Int],
                let offsets = entry["data_offsets"] as? [Int]
            else { return nil }
            return (shape, data[(8 + length + offsets[0])..<(8 + length + offsets[1])])
        }
        func numbers<T>(_ bytes: Data, as type: T.Type) -> [T] {
            bytes.withUnsafeBytes { raw in
                stride(from: 0, to: raw.count, by: MemoryLayout<T>.size).map {
                    raw.loadUnaligned(fromByteOffset: $0, as: T.self)
                }
            }
        }
        var cases: [Case] = []
        while let tokens = part("tokens_\(cases.count)"), let rows = part("rows_\(cases.count)"),
            let logits = part("logits_\(cases.count)")
        {
            let width = logits.shape[1]
            let values = numbers(logits.bytes, as: Float.self)
            cases.append(
                Case(
                    tokens: numbers(tokens.bytes, as: Int32.self),
                    rows: numbers(rows.bytes, as: Int32.self).map(Int.init),
                    logits: (0..<logits.shape[0]).map { Array(values[$0 * width..<($0 + 1) * width]) }))
        }
        return cases
    }
}
