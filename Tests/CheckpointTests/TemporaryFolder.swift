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

    /// Links to the files of `folder`, but for one that the test writes itself.
    func link(to folder: String, except own: String) throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: folder) where name != own {
            try FileManager.default.createSymbolicLink(
                atPath: path + "/" + name, withDestinationPath: folder + "/" + name)
        }
    }

    /// Writes a file.
    func write(_ name: String, _ contents: Data) throws { try contents.write(to: URL(filePath: path + "/" + name)) }

    /// Writes a file.
    func write(_ name: String, _ text: String) throws { try write(name, Data(text.utf8)) }
}
