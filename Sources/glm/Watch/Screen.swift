import Core
import Glibc

/// The whole terminal, for a page that is drawn over and over; `close` gives it back as it was.
final class Screen: Sendable {
    private let mode: RawMode
    /// Whether styles may be used: not where NO_COLOR says otherwise.
    let hasStyle = getenv("NO_COLOR") == nil

    /// Takes the terminal.
    init() throws {
        mode = try RawMode(keepsSignals: true)
        Terminal.write("\u{1B}[?1049h\u{1B}[?25l")
    }

    /// Gives the terminal back.
    func close() {
        Terminal.write("\u{1B}[?25h\u{1B}[?1049l")
        mode.end()
    }

    /// Columns and rows.
    var size: (width: Int, height: Int) { Terminal.size }

    /// Draws a page, in one write so that it does not flicker.
    func show(_ lines: [String]) {
        Terminal.write("\u{1B}[H" + lines.map { $0 + "\u{1B}[K" }.joined(separator: "\r\n") + "\u{1B}[J")
    }

    /// Whether q was typed.
    var wantsToLeave: Bool {
        var input = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
        guard poll(&input, 1, 0) == 1 else { return false }
        var byte: UInt8 = 0
        return read(STDIN_FILENO, &byte, 1) == 1 && (byte == UInt8(ascii: "q") || byte == 4)
    }
}

/// A terminal that hands over every key at once and shows none of them, until `end`.
final class RawMode: Sendable {
    private let before: termios

    /// Changes standard input's terminal; with `keepsSignals` Ctrl-C is still a signal.
    init(keepsSignals: Bool) throws {
        var mode = termios()
        guard tcgetattr(STDIN_FILENO, &mode) == 0 else {
            throw Problem.invalid("standard input is no terminal")
        }
        before = mode
        mode.c_lflag &= ~tcflag_t(ICANON | ECHO | IEXTEN | (keepsSignals ? 0 : ISIG))
        mode.c_iflag &= ~tcflag_t(ICRNL | IXON)
        tcsetattr(STDIN_FILENO, TCSADRAIN, &mode)
    }

    /// The terminal as it was.
    func end() {
        var mode = before
        tcsetattr(STDIN_FILENO, TCSADRAIN, &mode)
    }
}
