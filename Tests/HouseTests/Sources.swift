import FoundationEssentials
import Glibc

/// One Swift file of the house.
struct SourceFile {
    /// The folder under `Sources`.
    var room: String
    /// The path under the room.
    var name: String
    /// The lines.
    var lines: [Substring]

    /// The whole text.
    var text: String { lines.joined(separator: "\n") }

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

    /// The numbers of the lines that hold `word` before any comment. A string with a slash pair hides its rest: close enough.
    func linesOfCode(holding word: String) -> [Int] {
        lines.indices.filter { index in
            guard let place = lines[index].place(of: word) else { return false }
            return place < lines[index].place(of: "//") ?? .max
        }.map { $0 + 1 }
    }
}

extension Substring {
    /// The byte at which `word` begins. Strings search by characters, which takes seconds over the whole house.
    func place(of word: String) -> Int? {
        String(self).withCString { line in
            word.withCString { wanted in strstr(line, wanted).map { UnsafePointer($0) - line } }
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
