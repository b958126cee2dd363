import Core

/// model.safetensors.index.json: which file holds which tensor.
struct ShardIndex {
    /// The index's path, for messages.
    let path: String
    /// The file of each tensor.
    let places: [String: String]
    /// The files, sorted.
    let files: [String]

    /// Reads the index of a folder. A shard is a plain file name: an index cannot reach out of its folder.
    init(folder: String, name: String) throws {
        path = folder + name
        let bytes = try MappedFile.read(path, atMost: 100_000_000)
        let index = try bytes.withUnsafeBytes { [path] in try JSONScanner.object($0, what: path) }
        guard let map = index["weight_map"]?.object, !map.isEmpty else {
            throw Problem.invalid("\(path): no weight_map; fetch it again")
        }
        var places: [String: String] = [:]
        for (tensor, value) in map {
            guard tensor.isSaneName else {
                throw Problem.invalid("\(path): \"\(tensor.printable)\" is no tensor's name")
            }
            guard let file = value.string, !file.isEmpty else {
                throw Problem.invalid("\(path): tensor \(tensor) is in \(value.summary), expected a file name")
            }
            guard !file.contains("/"), !file.contains("\\"), file.isSaneName, file.hasSuffix(".safetensors") else {
                throw Problem.invalid(
                    "\(path): tensor \(tensor) is in \"\(file.printable)\", expected the name of a .safetensors file in the same folder"
                )
            }
            places[tensor] = file
        }
        self.places = places
        files = Set(places.values).sorted()
    }
}

/// The name of one file of a split GGUF model: NAME-00001-of-00003.gguf.
struct GGUFSplit {
    /// The name before the number.
    let stem: String
    /// The file's number, from 1.
    let number: Int
    /// Files in all.
    let count: Int

    /// Takes a file name apart, or is nil when it is no such name.
    init?(name: String) {
        guard name.hasSuffix(".gguf") else { return nil }
        let parts = name.dropLast(5).split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count >= 4, parts[parts.count - 2] == "of", parts[parts.count - 1].count == 5,
            parts[parts.count - 3].count == 5, let count = Int(parts[parts.count - 1]),
            let number = Int(parts[parts.count - 3]), number >= 1, count >= number
        else { return nil }
        stem = parts.dropLast(3).joined(separator: "-")
        self.number = number
        self.count = count
    }

    /// The name of file `number`.
    func name(_ number: Int) -> String { "\(stem)-\(Self.padded(number))-of-\(Self.padded(count)).gguf" }

    private static func padded(_ number: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
    }
}
