import FoundationEssentials

/// One Swift file of the house.
struct SourceFile {
    /// The folder under `Sources`.
    var room: String
    /// The path under the room.
    var name: String
    /// The lines.
    var lines: [Substring]

    /// The modules imported, whatever stands before the word `import`.
    var imports: [String] {
        lines.compactMap { line in
            let words = line.split(separator: " ")
            guard let at = words.firstIndex(of: "import"), words.count > at + 1,
                words[..<at].allSatisfy({
                    $0.first == "@" || ["public", "package", "internal", "private"].contains($0)
                })
            else { return nil }
            let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "func", "let", "var", "typealias"]
            let module = kinds.contains(words[at + 1]) && words.count > at + 2 ? words[at + 2] : words[at + 1]
            return module.split(separator: ".").first.map(String.init)
        }
    }

    /// The lines without what follows `//`: close enough, and a string with a slash pair hides no more than its rest.
    var code: [(number: Int, text: Substring)] {
        lines.enumerated().map { index, line in
            let end = line.firstRange(of: "//")?.lowerBound ?? line.endIndex
            return (index + 1, line[..<end])
        }
    }
}

/// The source tree, found from this file's own place under `Tests/HouseTests`.
enum House {
    /// The top of the package.
    static let top: String = {
        let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        return parts.dropLast(3).joined(separator: "/")
    }()

    /// The folders of `Sources`.
    static func folders() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "\(top)/Sources").filter { !$0.hasPrefix(".") }.sorted()
    }

    /// Every Swift file of `room`, in order of name.
    static func files(of room: String) throws -> [SourceFile] {
        let folder = "\(top)/Sources/\(room)"
        return try FileManager.default.subpathsOfDirectory(atPath: folder)
            .filter { $0.hasSuffix(".swift") }.sorted()
            .map { SourceFile(room: room, name: $0, lines: try lines(of: "\(folder)/\($0)")) }
    }

    /// The lines of a text file.
    static func lines(of path: String) throws -> [Substring] {
        try String(contentsOf: URL(filePath: path), encoding: .utf8)
            .split(separator: "\n", omittingEmptySubsequences: false)
    }
}
