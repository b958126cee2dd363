import Core
import Glibc
import Tokenization

/// What was typed in conversations, kept in a file that only its owner can read: `~/.local/state/glm/chat-history`, a JSON string a line.
struct ChatHistory {
    private static let mostEntries = 1000
    /// Oldest first.
    private(set) var entries: [String] = []
    private let path: String?

    /// The user's history; an unreadable file is an empty one.
    init() {
        func variable(_ name: String) -> String? {
            getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
        }
        let base = variable("XDG_STATE_HOME") ?? variable("HOME").map { $0 + "/.local/state" }
        self.init(path: base.map { $0 + "/glm/chat-history" })
    }

    /// The history in a file; nil keeps none.
    init(path: String?) {
        self.path = path
        guard let path, access(path, R_OK) == 0, let bytes = try? FileBytes.read(path, remedy: "") else { return }
        for line in bytes.split(separator: UInt8(ascii: "\n")).suffix(Self.mostEntries) {
            if let text = (try? JSONValue(parsing: Array(line), source: path))?.string { entries.append(text) }
        }
    }

    /// Adds what was typed, unless it is empty or the same as the last.
    mutating func add(_ text: String) {
        guard text.contains(where: { !$0.isWhitespace }), text != entries.last else { return }
        entries.append(text)
        guard let path else { return }
        // The folder and its parent may not be there yet; that of a home always is.
        let parts = path.split(separator: "/", omittingEmptySubsequences: false).dropLast()
        for count in stride(from: max(0, parts.count - 2), through: parts.count, by: 1) where count > 1 {
            mkdir(parts.prefix(count).joined(separator: "/"), 0o700)
        }
        let isFull = entries.count > Self.mostEntries
        if isFull { entries.removeFirst(Self.mostEntries / 4) }
        let file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | (isFull ? O_TRUNC : O_APPEND), 0o600)
        guard file >= 0 else { return }
        defer { close(file) }
        let lines = (isFull ? entries : [text]).map { JSONValue.string($0).text() + "\n" }.joined()
        let bytes = Array(lines.utf8)
        _ = write(file, bytes, bytes.count)
    }
}
