/// What is being typed: some lines, a cursor, and what was typed before. A plain value, told one key after another.
struct LineBuffer {
    /// What a key led to.
    enum Outcome: Equatable {
        /// Typing goes on.
        case editing
        /// The text is complete.
        case done(String)
        /// Ctrl-C on some text: it is dropped.
        case dropped
        /// Ctrl-D, or Ctrl-C, on an empty line.
        case ended
        /// The screen is to be cleared.
        case clearScreen
    }

    /// The text.
    private(set) var characters: [Character] = []
    /// Before which character the cursor stands.
    private(set) var cursor = 0
    private let history: [String]
    /// The entry of the history that is shown; its count while the text is new.
    private var shown: Int
    private var draft: [Character] = []

    /// An empty line; `history` is what was typed before, oldest first.
    init(history: [String] = []) {
        self.history = history
        shown = history.count
    }

    var text: String { String(characters) }

    /// Takes a key.
    mutating func take(_ key: Key) -> Outcome {
        switch key {
        case .text(let text), .paste(let text): insert(text)
        case .tab: insert("    ")
        case .newline: insert("\n")
        case .enter:
            // A backslash at the end of a line goes on with the next one, as in a shell.
            guard characters.last == "\\", cursor == characters.count else { return .done(text) }
            characters.removeLast()
            cursor -= 1
            insert("\n")
        case .backspace: remove(from: max(0, cursor - 1))
        case .delete: if cursor < characters.count { characters.remove(at: cursor) }
        case .left: cursor = max(0, cursor - 1)
        case .right: cursor = min(characters.count, cursor + 1)
        case .wordLeft: cursor = wordStart
        case .wordRight: cursor = wordEnd
        case .home: cursor = lineStart
        case .end: cursor = lineEnd
        case .up: if lineStart > 0 { move(up: true) } else { show(shown - 1) }
        case .down: if lineEnd < characters.count { move(up: false) } else { show(shown + 1) }
        case .killToEnd: characters.removeSubrange(cursor..<lineEnd)
        case .killToStart: remove(from: lineStart)
        case .killWord: remove(from: wordStart)
        case .clearScreen: return .clearScreen
        case .interrupt:
            guard !characters.isEmpty else { return .ended }
            characters = []
            cursor = 0
            return .dropped
        case .endOfInput:
            guard characters.isEmpty else { return .editing }
            return .ended
        }
        return .editing
    }

    private mutating func insert(_ text: String) {
        characters.insert(contentsOf: text, at: cursor)
        cursor += text.count
    }

    private mutating func remove(from start: Int) {
        characters.removeSubrange(start..<cursor)
        cursor = start
    }

    private var lineStart: Int { (characters[..<cursor].lastIndex(of: "\n") ?? -1) + 1 }
    private var lineEnd: Int { characters[cursor...].firstIndex(of: "\n") ?? characters.count }

    private var wordStart: Int {
        var at = cursor
        while at > 0, !characters[at - 1].isWord { at -= 1 }
        while at > 0, characters[at - 1].isWord { at -= 1 }
        return at
    }

    private var wordEnd: Int {
        var at = cursor
        while at < characters.count, !characters[at].isWord { at += 1 }
        while at < characters.count, characters[at].isWord { at += 1 }
        return at
    }

    /// To the same column of the line above or below.
    private mutating func move(up: Bool) {
        let column = cursor - lineStart
        cursor = up ? lineStart - 1 : lineEnd + 1
        cursor = min(lineStart + column, lineEnd)
    }

    /// Shows an entry of the history; behind the last is what was typed.
    private mutating func show(_ entry: Int) {
        guard (0...history.count).contains(entry), entry != shown else { return }
        if shown == history.count { draft = characters }
        shown = entry
        characters = entry == history.count ? draft : Array(history[entry])
        cursor = characters.count
    }
}

extension Character {
    fileprivate var isWord: Bool { isLetter || isNumber || self == "_" }

    /// Columns that it takes on a terminal: two for the scripts of East Asia and for pictures (Unicode's East Asian Width), none for marks.
    var columns: Int {
        guard let first = unicodeScalars.first else { return 0 }
        if unicodeScalars.contains(where: { $0.value == 0xFE0F }) { return 2 }
        switch first.value {
        case 0..<32, 127..<160, 0x200B...0x200F, 0xFE00...0xFE0F: return 0
        case 0x300...0x36F: return 0
        case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0x33FF, 0x3400...0x4DBF, 0x4E00...0x9FFF, 0xA000...0xA4CF,
            0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE4F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1F64F,
            0x1F680...0x1F6FF, 0x1F900...0x1F9FF, 0x20000...0x3FFFD:
            return 2
        default: return 1
        }
    }
}
