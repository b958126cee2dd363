import Glibc

/// What the commands know about the terminal: whether there is one, tables, and one line that is drawn over.
enum Terminal {
    /// Whether standard output goes to a person.
    static var showsOutput: Bool { isatty(STDOUT_FILENO) == 1 }
    /// Whether standard error goes to a person.
    static var showsErrors: Bool { isatty(STDERR_FILENO) == 1 }
    /// Whether standard input comes from a person.
    static var asksInput: Bool { isatty(STDIN_FILENO) == 1 }

    /// Columns and rows of the terminal; 80 by 24 where there is none.
    static var size: (width: Int, height: Int) {
        var size = winsize()
        guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return (80, 24)
        }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Writes text to standard output at once.
    static func write(_ text: String) { write(text, to: STDOUT_FILENO) }

    /// Writes a line to standard error.
    static func note(_ line: String) { write(line + "\n", to: STDERR_FILENO) }

    /// Draws over the current line of standard error.
    static func draw(_ line: String) { write("\r\u{1B}[2K" + line, to: STDERR_FILENO) }

    /// Rows with their columns aligned, two spaces between them; those in `right` are numbers and end together.
    static func table(_ header: [String], _ rows: [[String]], right: Set<Int> = []) -> String {
        let all = [header] + rows
        let widths = header.indices.map { column in
            all.map { $0.indices.contains(column) ? $0[column].count : 0 }.max() ?? 0
        }
        let lines = all.map { row in
            let cells = zip(row.indices, row).map { column, cell in
                let padding = String(
                    repeating: " ", count: widths.indices.contains(column) ? widths[column] - cell.count : 0)
                return right.contains(column) ? padding + cell : cell + padding
            }
            var line = cells.joined(separator: "  ")
            while line.last == " " { line.removeLast() }
            return line
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// A number of bytes for people: `1.5 GiB`.
    static func bytes(_ count: Int) -> String {
        let units = ["B", "KiB", "MiB", "GiB", "TiB"]
        var value = Double(count)
        var unit = 0
        while value >= 1024, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        return unit == 0 ? "\(count) B" : "\(fixed(value, places: value < 10 ? 1 : 0)) \(units[unit])"
    }

    /// A time for people: `8 s`, `3 min 20 s`, `2 h 5 min`.
    static func time(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds < 1e9 else { return "?" }
        let whole = Int(seconds.rounded())
        if whole < 60 { return "\(whole) s" }
        if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
        return "\(whole / 3600) h \(whole % 3600 / 60) min"
    }

    /// A number with so many digits after the point.
    static func fixed(_ value: Double, places: Int) -> String {
        guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
        var scale = 1.0
        for _ in 0..<places { scale *= 10 }
        let units = Int((abs(value) * scale).rounded())
        let sign = value < 0 && units > 0 ? "-" : ""
        guard places > 0 else { return "\(sign)\(units)" }
        let digits = String(units % Int(scale))
        return "\(sign)\(units / Int(scale)).\(String(repeating: "0", count: places - digits.count))\(digits)"
    }

    private static func write(_ text: String, to descriptor: Int32) {
        var text = text
        text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while let start = rest.baseAddress, !rest.isEmpty {
                let written = Glibc.write(descriptor, start, rest.count)
                // A reader that is gone (a closed pipe) ends the output, nothing else.
                guard written > 0 || errno == EINTR else { return }
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(max(written, 0)))
            }
        }
    }
}

/// One line on standard error that shows how far long work is: drawn over on a terminal, now and then a line elsewhere.
struct ProgressLine {
    private let label: String
    private let unit: String
    private let start = ContinuousClock.now
    private var first: Int?
    private var lastShown = ContinuousClock.now
    private var isDrawn = false

    /// A line that starts with `label` and counts in `unit`.
    init(_ label: String, unit: String) {
        self.label = label
        self.unit = unit
    }

    /// Shows that `done` of `total` units are done; who knows the rate and the time left better says so.
    mutating func show(_ done: Int, of total: Int, rate known: Double? = nil, secondsLeft: Double? = nil) {
        let now = ContinuousClock.now
        let base = first ?? done
        first = base
        // Where nobody watches, only work that is really long is worth a line.
        let interval: Duration = Terminal.showsErrors ? .milliseconds(100) : .seconds(10)
        guard now - lastShown >= interval else { return }
        lastShown = now
        let seconds = Double((now - start).components.seconds) + Double((now - start).components.attoseconds) * 1e-18
        let rate = known ?? (seconds > 0 ? Double(done - base) / seconds : 0)
        var line = "\(label) \(done)/\(total) \(unit)"
        if rate > 0 {
            line +=
                ", \(Terminal.fixed(rate, places: 0)) \(unit)/s, \(Terminal.time(secondsLeft ?? Double(total - done) / rate)) left"
        }
        if Terminal.showsErrors {
            Terminal.draw(line)
            isDrawn = true
        } else {
            Terminal.note(line)
        }
    }

    /// Takes the line away.
    mutating func clear() {
        guard isDrawn else { return }
        Terminal.draw("")
        isDrawn = false
    }
}
