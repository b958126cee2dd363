import Core
import FoundationEssentials

extension Tokenizer {
    /// A tokenizer from the files of a model's folder.
    ///
    /// `tokenizer.model` (a line for each token: base64, rank) goes before `tokenizer.json`. Special tokens come from
    /// `tokenizer_config.json` or `tokenizer.json`; where neither says, GLM's 14 follow the ranks.
    public init(folder: String) throws {
        let files = ModelFolder(path: folder)
        let config = try files.json("config.json")
        let settings = try files.json("tokenizer_config.json")
        let generation = try files.json("generation_config.json")
        var builder = VocabularyBuilder()
        var pattern = Pattern.glm
        var rule: ((Vocabulary) throws -> MergeRule) = { _ in .ranks }

        if let ranks = try files.bytes("tokenizer.model") {
            try RankFile.read(ranks, to: &builder, source: files.name("tokenizer.model"))
            var added = try AddedToken.inSettings(settings, source: files.name("tokenizer_config.json"))
            if added.isEmpty, let hub = try files.json("tokenizer.json") {
                added = try AddedToken.inTokenizer(hub, source: files.name("tokenizer.json"))
            }
            if added.isEmpty {
                let first = builder.count
                added = Self.glmSpecials.enumerated().map {
                    AddedToken(id: first + $0.offset, text: $0.element, source: files.name("tokenizer.model"))
                }
            }
            for token in added {
                guard !builder.has(token.id) else {
                    throw Problem.invalid(
                        "\(token.source) gives '\(token.text)' the id \(token.id), which is a rank in "
                            + "\(files.name("tokenizer.model")); the files don't belong together")
                }
                try token.add(to: &builder)
            }
        } else if let hub = try files.json("tokenizer.json") {
            let source = files.name("tokenizer.json")
            let file = try HubTokenizer(hub, source: source)
            pattern = file.pattern
            try file.readVocabulary(to: &builder)
            let added =
                try AddedToken.inTokenizer(hub, source: source)
                + AddedToken.inSettings(settings, source: files.name("tokenizer_config.json"))
            for token in added { try token.add(to: &builder) }
            rule = file.rule
        } else {
            throw Problem.notFound(
                files.exists
                    ? "\(folder) has neither tokenizer.model nor tokenizer.json; copy the tokenizer's files there"
                    : "there is no folder \(folder); check the path")
        }

        let vocabulary = try builder.finish(source: folder)
        var ends = Self.tokenIDs(config?["eos_token_id"]) + Self.tokenIDs(generation?["eos_token_id"])
        if let name = settings?["eos_token"]?.string ?? settings?["eos_token"]?["content"]?.string {
            ends += (0..<TokenID(vocabulary.count)).lazy.filter {
                vocabulary.kind(of: $0) == .special && vocabulary[$0].elementsEqual(name.utf8)
            }.map(Int.init)
        }
        self.init(
            vocabulary: vocabulary, pattern: pattern, rule: try rule(vocabulary), ends: ends,
            template: try Self.template(config, settings, source: files.name("config.json")))
    }

    private static func tokenIDs(_ json: JSONValue?) -> [Int] {
        if let id = json?.integer { return [id] }
        return json?.elements?.compactMap(\.integer) ?? []
    }

    private static func template(
        _ config: JSONValue?, _ settings: JSONValue?, source: String
    ) throws -> ChatTemplate {
        if let name = config?["chat_template"]?.string {
            guard let template = ChatTemplate(rawValue: name) else {
                throw Problem.invalid("\(source): chat_template '\(name.prefix(80))' is unknown; 'plain' is one")
            }
            return template
        }
        switch config?["model_type"]?.string {
        case "glm4": return .glm40414
        case "chatglm", "glm": return .glm4Chat
        default: return settings?["chat_template"]?.string?.contains("<|im_start|>") == true ? .chatml : .glm4Chat
        }
    }
}

/// The files of a folder, read whole, with names for problems.
struct ModelFolder {
    let path: String

    /// Whether there is such a folder.
    var exists: Bool {
        var isFolder = false
        return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder
    }

    /// A file's path.
    func name(_ file: String) -> String { path.hasSuffix("/") ? path + file : path + "/" + file }

    /// A file's bytes, or nil when there is no such file.
    func bytes(_ file: String) throws -> [UInt8]? {
        guard FileManager.default.fileExists(atPath: name(file)) else { return nil }
        guard let contents = FileManager.default.contents(atPath: name(file)) else {
            throw Problem.invalid("\(name(file)) can't be read; check that it is a file and its permissions")
        }
        return [UInt8](contents)
    }

    /// A file as JSON, or nil when there is no such file.
    func json(_ file: String) throws -> JSONValue? {
        guard let bytes = try bytes(file) else { return nil }
        let json = try JSONValue(parsing: bytes, source: name(file))
        guard case .object = json else { throw Problem.invalid("\(name(file)): expected a JSON object") }
        return json
    }
}
