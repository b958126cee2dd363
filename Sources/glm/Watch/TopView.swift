import Core
import Tokenization

/// What `glm top` shows: a pure function of two looks at the cluster, as lines.
struct TopView {
    /// The width of a line, in characters.
    var width: Int
    /// The most lines.
    var height: Int
    /// Whether headings may be bold.
    var hasStyle: Bool
    /// Rates of the last looks, oldest first, for the curves.
    var history: [Rates] = []

    /// The most looks that are remembered.
    static let mostHistory = 120

    /// Remembers the rates of one more look.
    mutating func add(_ rates: Rates) {
        history.append(rates)
        if history.count > Self.mostHistory { history.removeFirst() }
    }

    /// The page for a status and the jobs, newest first.
    func page(_ status: JSONValue, jobs: [JSONValue]) -> [String] {
        var lines = head(status)
        lines += ["", heading("workers")] + workers(status)
        let open = jobs.filter { Self.isOpen($0) }
        let shown = open + jobs.filter { !Self.isOpen($0) }
        let room = height - lines.count - 3
        if room > 0, !shown.isEmpty {
            lines += ["", heading("jobs, those that run first")]
            lines += table(
                ["JOB", "STATUS", "PROMPT", "ANSWER", "ELAPSED", "TEXT"], shown.prefix(room).map(job), right: [2, 3, 4])
        }
        return lines.prefix(height).map { clipped($0) }
    }

    // MARK: Parts

    private func head(_ status: JSONValue) -> [String] {
        func number(_ key: String) -> Int { status[key]?.integer ?? 0 }
        let totals = status["totals"]
        let model = status["model"]?.string ?? ""
        let next = status["next_layout"]?.string.map { ", loading \($0)" } ?? ""
        var lines = [
            heading(
                "\(model.isEmpty ? "no model" : model): \(status["state"]?.string ?? "?"), \(status["layout"]?.string ?? "no layout yet")\(next)"
            )
        ]
        let now = history.last
        let looked = totals?["looked_up_tokens"]?.double ?? 0
        let hits = looked > 0 ? 100 * (totals?["cached_tokens"]?.double ?? 0) / looked : 0
        lines.append(
            "jobs \(number("running_jobs")) running, \(number("queued_jobs")) waiting, \(totals?["accepted"]?.integer ?? 0) in all   "
                + "steps \(Terminal.fixed(now?.steps ?? 0, places: 1))/s   prompts found in cache \(Terminal.fixed(hits, places: 0))%"
        )
        lines.append(curve("answers", history.map(\.generatedTokens)))
        lines.append(curve("prompts", history.map(\.promptTokens)))
        return lines
    }

    /// `answers    24.1 tokens/s ▁▂▅█`: the last value, and the last looks as bars from 0 to the most of them.
    private func curve(_ name: String, _ values: [Double]) -> String {
        let steps = Array("▁▂▃▄▅▆▇█")
        let label = "\(name) \(padded(Terminal.fixed(values.last ?? 0, places: 1), 9)) tokens/s  "
        let shown = values.suffix(max(0, min(60, width - label.count)))
        let most = max(shown.max() ?? 0, 1e-9)
        return label + String(shown.map { steps[min(steps.count - 1, Int($0 / most * Double(steps.count - 1) + 0.5))] })
    }

    private func workers(_ status: JSONValue) -> [String] {
        let members = (status["members"]?.elements ?? []).sorted {
            ($0["stage"]?.integer ?? .max, $0["rank"]?.integer ?? .max, $0["worker"]?.string ?? "") < (
                $1["stage"]?.integer ?? .max, $1["rank"]?.integer ?? .max, $1["worker"]?.string ?? ""
            )
        }
        guard !members.isEmpty else { return ["none; start workers with `glm worker`"] }
        let header = ["WORKER", "STAGE", "RANK", "STATE", "BUSY", "MEMORY", "KV CACHE", "SENT/S", "ACTIVITY"]
        return table(header, members.map(worker), right: [1, 2, 7])
    }

    private func worker(_ member: JSONValue) -> [String] {
        func bytes(_ key: String, of value: JSONValue?) -> Double { value?[key]?.double ?? 0 }
        let offered = bytes("memory_bytes", of: member)
        let pool = member["kv"]
        let (capacity, used) = (bytes("capacity_bytes", of: pool), bytes("used_bytes", of: pool))
        let held = bytes("weight_bytes", of: member) + capacity
        let name = member["worker"]?.string ?? "?"
        let busy = member["busy"]?.double ?? 0
        return [
            name, member["stage"]?.integer.map { "\($0)" } ?? "-", member["rank"]?.integer.map { "\($0)" } ?? "-",
            member["state"]?.string ?? "?", "\(bar(busy)) \(padded("\(Int((busy * 100).rounded()))", 3))%",
            "\(bar(offered > 0 ? held / offered : 0)) \(size(held))/\(size(offered))",
            "\(bar(capacity > 0 ? used / capacity : 0)) \(size(used))/\(size(capacity))",
            size(history.last?.sent[name] ?? 0), member["activity"]?.string ?? "",
        ]
    }

    private static func isOpen(_ job: JSONValue) -> Bool {
        ["queued", "prefill", "decode"].contains(job["status"]?.string ?? "")
    }

    private func job(_ job: JSONValue) -> [String] {
        let (read, all) = (job["prefilled_tokens"]?.integer ?? 0, job["prompt_tokens"]?.integer ?? 0)
        let text = job["error"]?["message"]?.string ?? job["text"]?.string ?? ""
        let left = job["prefill_seconds_left"]?.double ?? 0
        let isReading = job["status"]?.string == "prefill"
        let milliseconds = ["queued_ms", "prefill_ms", "decode_ms"].reduce(0.0) {
            $0 + (job["timings"]?[$1]?.double ?? 0)
        }
        let progress = isReading && left > 0 ? "\(read)/\(all), \(Terminal.time(left)) left" : "\(read)/\(all)"
        return [
            job["id"]?.string ?? "?", job["status"]?.string ?? "?", progress,
            "\(job["completion_tokens"]?.integer ?? 0)",
            milliseconds > 0 ? "\(Terminal.fixed(milliseconds / 1000, places: 1)) s" : "-",
            text.split(whereSeparator: \.isNewline).joined(separator: " "),
        ]
    }

    // MARK: Drawing

    private func heading(_ text: String) -> String { hasStyle ? "\u{1B}[1m\(clipped(text))\u{1B}[0m" : text }

    private func table(_ header: [String], _ rows: [[String]], right: Set<Int>) -> [String] {
        Terminal.table(header, rows, right: right).split(separator: "\n").map(String.init)
    }

    private func bar(_ share: Double) -> String {
        let filled = Int((min(max(share, 0), 1) * 8).rounded())
        return String(repeating: "█", count: filled) + String(repeating: "░", count: 8 - filled)
    }

    private func size(_ bytes: Double) -> String { Terminal.bytes(Int(bytes)) }

    private func padded(_ text: String, _ count: Int) -> String {
        String(repeating: " ", count: max(0, count - text.count)) + text
    }

    /// A line that fits; styles take no room, and lines that have one were cut before.
    private func clipped(_ line: String) -> String {
        line.hasPrefix("\u{1B}") || line.count <= width ? line : line.prefix(max(0, width - 1)) + "…"
    }
}
