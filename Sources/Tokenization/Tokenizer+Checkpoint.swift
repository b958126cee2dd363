public import Checkpoint
import FoundationEssentials

extension Tokenizer {
    /// The tokenizer of a folder with tokenizer files, of a folder with one GGUF model, or of a GGUF file.
    public init(path: String) throws {
        let names = try? FileManager.default.contentsOfDirectory(atPath: path)
        let isModel =
            names.map { $0.contains { $0.hasSuffix(".gguf") } } ?? FileManager.default.fileExists(atPath: path)
        if isModel, names?.contains("tokenizer.model") != true, names?.contains("tokenizer.json") != true {
            try self.init(gguf: try Checkpoint.open(path).config)
        } else {
            try self.init(folder: path)
        }
    }

    /// The tokenizer of a model, or nil when it comes without one.
    public init?(_ checkpoint: Checkpoint) throws {
        switch checkpoint.format {
        case .gguf:
            guard checkpoint.config["tokenizer.ggml.tokens"] != nil else { return nil }
            try self.init(gguf: checkpoint.config)
        case .safetensors:
            let names = (try? FileManager.default.contentsOfDirectory(atPath: checkpoint.folder)) ?? []
            guard names.contains("tokenizer.model") || names.contains("tokenizer.json") else { return nil }
            try self.init(folder: checkpoint.folder)
        }
    }
}
