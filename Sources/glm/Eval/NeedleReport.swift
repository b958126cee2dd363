/// What an evaluation found: one cell a question.
struct NeedleReport: Codable {
    /// One question.
    struct Cell: Codable {
        /// The length asked for, in tokens.
        var length: Int
        /// The length that the gateway counted.
        var promptTokens: Int
        /// Those of them that were found in the cache.
        var cachedTokens: Int
        /// Where the fact stood, 0 to 1.
        var depth: Double
        /// Its key.
        var key: String
        /// Its value.
        var expected: String
        /// What came back.
        var answer: String
        /// Whether that is the value.
        var found: Bool
        /// How long the answer took.
        var seconds: Double

        enum CodingKeys: String, CodingKey {
            case length, depth, key, expected, answer, found, seconds
            case promptTokens = "prompt_tokens"
            case cachedTokens = "cached_tokens"
        }
    }

    /// What a worker took.
    struct Worker: Codable {
        /// Its name.
        var worker: String
        /// Bytes of its KV pool.
        var kvPoolBytes: Int
        /// Bytes of it that are in use at the end.
        var kvUsedBytes: Int
        /// The most memory that it held.
        var peakMemoryBytes: Int
        /// Bytes that it sent to other workers.
        var bytesSent: Int
        /// The share of its last steps' time that it computed.
        var busy: Double

        enum CodingKeys: String, CodingKey {
            case worker, busy
            case kvPoolBytes = "kv_pool_bytes"
            case kvUsedBytes = "kv_used_bytes"
            case peakMemoryBytes = "peak_memory_bytes"
            case bytesSent = "bytes_sent"
        }
    }

    /// The model's name.
    var model: String
    /// The grid that answered.
    var layout: String
    /// Its workers.
    var workers: [Worker]
    /// Which keys it attended to.
    var attention: String
    /// Right answers.
    var found: Int
    /// Questions.
    var total: Int
    /// From the first question to the last answer.
    var seconds: Double
    /// All questions, by length, then depth.
    var cells: [Cell]

    /// The lengths asked for, ascending.
    var lengths: [Int] { Set(cells.map(\.length)).sorted() }
    /// The depths asked for, ascending.
    var depths: [Double] { Set(cells.map(\.depth)).sorted() }

    /// The cell of one question.
    func cell(depth: Double, length: Int) -> Cell? {
        cells.first { $0.depth == depth && $0.length == length }
    }

    /// The table for a terminal: depth down, length across.
    var table: String {
        let rows = depths.map { depth in
            [percent(depth)]
                + lengths.map { length in
                    cell(depth: depth, length: length).map { $0.found ? "found" : "MISSED" } ?? "-"
                }
        }
        var text = "facts found, by depth in the text (down) and length in tokens (across)\n\n"
        text += Terminal.table(["depth"] + lengths.map(grouped), rows, right: Set(0...lengths.count))
        for cell in cells where !cell.found {
            text +=
                "\nmissed: \(cell.key)=\(cell.expected) at \(percent(cell.depth)) of \(grouped(cell.length)) tokens, "
            text += "answered \"\(cell.answer)\""
        }
        let most = workers.map(\.peakMemoryBytes).max() ?? 0
        let sent = workers.reduce(0) { $0 + $1.bytesSent }
        text +=
            "\n\(found) of \(total) found in \(Terminal.time(seconds)); model \(model), layout \(layout), \(attention) attention"
        return text + "; at most \(Terminal.bytes(most)) a worker, \(Terminal.bytes(sent)) between workers"
    }

    /// The same as a heat map.
    var svg: String {
        let (left, top, side, high) = (90, 70, 96, 44)
        let width = left + lengths.count * side + 20
        let height = top + depths.count * high + 50
        var out = """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(width)" height="\(height)" viewBox="0 0 \(width) \(height)" font-family="sans-serif" font-size="13">
            <rect width="100%" height="100%" fill="#ffffff"/>
            <text x="\(left)" y="24" font-size="15" font-weight="bold">Facts found: \(found) of \(total)</text>
            <text x="\(left)" y="44" fill="#555555">length in tokens (across), depth of the fact (down)</text>

            """
        for (column, length) in lengths.enumerated() {
            let x = left + column * side + side / 2
            out += "<text x=\"\(x)\" y=\"\(top - 6)\" text-anchor=\"middle\">\(grouped(length))</text>\n"
        }
        for (row, depth) in depths.enumerated() {
            let y = top + row * high
            out += "<text x=\"\(left - 10)\" y=\"\(y + high / 2 + 5)\" text-anchor=\"end\">\(percent(depth))</text>\n"
            for (column, length) in lengths.enumerated() {
                guard let cell = cell(depth: depth, length: length) else { continue }
                let x = left + column * side
                let fill = cell.found ? "#2e9e5b" : "#d1495b"
                out +=
                    "<rect x=\"\(x + 1)\" y=\"\(y + 1)\" width=\"\(side - 2)\" height=\"\(high - 2)\" fill=\"\(fill)\">"
                out += "<title>\(cell.key)=\(cell.expected), answered \(escaped(cell.answer))</title></rect>\n"
                out += "<text x=\"\(x + side / 2)\" y=\"\(y + high / 2 + 5)\" text-anchor=\"middle\" fill=\"#ffffff\">"
                out += "\(Terminal.fixed(cell.seconds, places: 1)) s</text>\n"
            }
        }
        out += "<text x=\"\(left)\" y=\"\(height - 16)\" fill=\"#555555\">\(escaped(model))</text>\n</svg>\n"
        return out
    }

    /// 8192 as 8,192.
    private func grouped(_ number: Int) -> String {
        var digits = Array(String(number))
        var at = digits.count - 3
        while at > 0 {
            digits.insert(",", at: at)
            at -= 3
        }
        return String(digits)
    }

    private func percent(_ depth: Double) -> String { "\(Int((depth * 100).rounded()))%" }

    private func escaped(_ text: String) -> String {
        var out = ""
        for character in text {
            switch character {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            default: out.append(character)
            }
        }
        return out
    }
}
