import Core
import Glibc
import Tokenization

/// What was said in a conversation, and what waits to be said with the next question.
struct Talk {
    /// The messages so far, the system's first.
    private(set) var turns: [JSONValue] = []
    private var attached: [(name: String, text: String)] = []

    /// A conversation before which the assistant is told something, or nothing.
    init(system: String?) {
        if let system { turns.append(chatTurn("system", system)) }
    }

    /// Attaches a text file to the next question; returns its size in bytes.
    mutating func attach(_ path: String) throws -> Int {
        let bytes = try FileBytes.read(path, remedy: "name a text file with /file PATH")
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Problem.invalid("\(path) is not UTF-8 text; convert it first")
        }
        attached.append((String(path.split(separator: "/").last ?? "file"), text))
        return bytes.count
    }

    /// Whether files wait for a question.
    var hasAttached: Bool { !attached.isEmpty }

    /// Adds a question, the attached files before it.
    mutating func ask(_ text: String) {
        let files = attached.map { "File \($0.name):\n\n\($0.text)\($0.text.hasSuffix("\n") ? "" : "\n")\n" }
        turns.append(chatTurn("user", files.joined() + text))
        asked = attached
        attached = []
    }

    /// The files of the last question, which wait again when it is taken back.
    private var asked: [(name: String, text: String)] = []

    /// Takes the last question back: it may be asked again.
    mutating func takeBack() {
        turns.removeLast()
        attached = asked
    }

    /// Adds an answer.
    mutating func answer(_ text: String) { turns.append(chatTurn("assistant", text)) }

    /// Forgets everything but what the assistant is told before.
    mutating func clear() {
        turns = turns.filter { $0["role"]?.string == "system" }
        attached = []
    }

    /// Writes the conversation: its messages as JSON when the path says so, else Markdown.
    func save(to path: String) throws {
        let text =
            path.hasSuffix(".json")
            ? JSONValue.object([.init("messages", .array(turns))]).text() + "\n"
            : turns.map { "**\($0["role"]?.string ?? ""):**\n\n\($0["content"]?.string ?? "")\n" }.joined(
                separator: "\n")
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        let bytes = Array(text.utf8)
        guard file >= 0 else {
            throw Problem.invalid("\(path) cannot be written: \(String(cString: strerror(errno)).lowercased())")
        }
        defer { close(file) }
        guard write(file, bytes, bytes.count) == bytes.count else {
            throw Problem.failed("\(path) could not be written whole; is there room on the disk?")
        }
    }
}
