import Core
import Glibc

/// Reads what a person types, with editing, several lines and a history.
///
/// Enter sends; Alt-Enter, Ctrl-J or a backslash before Enter begins another line; what is pasted keeps its lines.
struct LineEditor {
    private var history: ChatHistory
    private let prompt = "> "
    private let continuation = "  "

    init(history: ChatHistory) { self.history = history }

    /// The next text, or nil when the person is done.
    mutating func read() throws -> String? {
        let mode = try RawMode(keepsSignals: false)
        // Bracketed paste: the terminal marks what is pasted.
        Terminal.write("\u{1B}[?2004h")
        defer {
            Terminal.write("\u{1B}[?2004l")
            mode.end()
        }
        let keys = KeyReader()
        var buffer = LineBuffer(history: history.entries)
        var drawing = Drawing()
        drawing.draw(buffer, prompt, continuation)
        while true {
            switch buffer.take(keys.next()) {
            case .editing: drawing.draw(buffer, prompt, continuation)
            case .clearScreen:
                Terminal.write("\u{1B}[H\u{1B}[2J")
                drawing = Drawing()
                drawing.draw(buffer, prompt, continuation)
            case .dropped:
                drawing.leave()
                drawing = Drawing()
                drawing.draw(buffer, prompt, continuation)
            case .done(let text):
                drawing.leave()
                history.add(text)
                return text
            case .ended:
                drawing.leave()
                return nil
            }
        }
    }

    /// What is on the screen of a buffer.
    private struct Drawing {
        private var rows = 1
        private var cursorRow = 0

        /// Draws the buffer in the place of what was drawn before.
        mutating func draw(_ buffer: LineBuffer, _ prompt: String, _ continuation: String) {
            let width = max(8, Terminal.size.width)
            var out = cursorRow > 0 ? "\u{1B}[\(cursorRow)A" : ""
            out += "\r\u{1B}[J" + prompt
            var (row, column) = (0, prompt.count)
            var place = (row: 0, column: column)
            for (index, character) in buffer.characters.enumerated() {
                if index == buffer.cursor { place = (row, column) }
                if character == "\n" {
                    out += "\r\n" + continuation
                    (row, column) = (row + 1, continuation.count)
                    continue
                }
                if column + character.columns > width {
                    out += "\r\n"
                    (row, column) = (row + 1, 0)
                }
                out.append(character)
                column += character.columns
            }
            if buffer.cursor == buffer.characters.count { place = (row, column) }
            // A terminal stays in the last column until more comes: the cursor belongs to the next row.
            if place.column == width {
                place = (place.row + 1, 0)
                if place.row > row {
                    out += "\r\n"
                    row += 1
                }
            }
            if row > place.row { out += "\u{1B}[\(row - place.row)A" }
            out += "\r" + (place.column > 0 ? "\u{1B}[\(place.column)C" : "")
            Terminal.write(out)
            (rows, cursorRow) = (row + 1, place.row)
        }

        /// Goes on below.
        func leave() {
            let down = rows - 1 - cursorRow
            Terminal.write((down > 0 ? "\u{1B}[\(down)B" : "") + "\r\n")
        }
    }
}
