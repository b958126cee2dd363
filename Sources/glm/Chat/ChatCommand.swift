import Core

/// What a line of a conversation asks for that begins with a slash.
enum ChatCommand: Equatable {
    case help, clear, quit
    /// Attaches a text file to the next question.
    case file(String)
    /// Writes the conversation to a file.
    case save(String)
    /// Says what the assistant is told before.
    case system(String)

    /// What `/help` shows.
    static let page = """
        /file PATH    attach a text file to the next question
        /save PATH    write the conversation: Markdown, or the messages when PATH ends with .json
        /system TEXT  tell the assistant something beforehand; begins anew
        /clear        begin anew
        /quit         leave, as Ctrl-D does
        Enter sends; Alt-Enter, Ctrl-J or \\ before Enter begins another line; a line that begins with // is sent with one slash.

        """

    /// The command in a line; nil when it is something to say.
    init?(_ line: String) throws {
        guard line.hasPrefix("/"), !line.hasPrefix("//") else { return nil }
        let words = line.dropFirst().split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
        let rest = words.count > 1 ? words[1].trimmed : ""
        func needs(_ what: String) throws -> String {
            guard !rest.isEmpty else { throw Problem.invalid("/\(words[0]) needs \(what)") }
            return rest
        }
        switch words.first {
        case "help", "?": self = .help
        case "clear": self = .clear
        case "quit", "exit": self = .quit
        case "file": self = .file(try needs("a file's path"))
        case "save": self = .save(try needs("a file's path"))
        case "system": self = .system(try needs("a text"))
        default:
            throw Problem.invalid("/\(words.first ?? "") is no command; see /help, or begin with // to say it")
        }
    }
}

extension Substring {
    fileprivate var trimmed: String {
        var text = self
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
