import FoundationEssentials

/// A folder that goes away with its last user.
final class TemporaryFolder {
    /// Its path.
    let path: String

    /// A new, empty folder.
    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/glm-checkpoint-\(UInt64.random(in: 0...UInt64.max))"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Copies the files of `folder` here.
    func fill(from folder: String) throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: folder) {
            try write(name, Data(contentsOf: URL(filePath: folder + "/" + name)))
        }
    }

    /// Writes a file.
    func write(_ name: String, _ contents: Data) throws { try contents.write(to: URL(filePath: path + "/" + name)) }

    /// Writes a file.
    func write(_ name: String, _ text: String) throws { try write(name, Data(text.utf8)) }
}
