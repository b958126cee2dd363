import Core

/// `glm status --wire`: what each worker has sent to others, a token and a layer.
enum TrafficPage {
    /// A line a worker, for its life until now; docs/wire.md says what is to be expected.
    static func page(_ status: JSONValue) -> String {
        let members = (status["members"]?.elements ?? []).filter { $0["stage"]?.integer != nil }
        guard !members.isEmpty else { return "no worker has sent anything: \(status["state"]?.string ?? "?")\n" }
        let header = [
            "WORKER", "STAGE", "RANK", "TOKENS", "SENT", "MESSAGES", "HIDDEN/TOKEN", "SUMS/TOKEN/LAYER",
            "ATTENTION/TOKEN/LAYER", "DRAWS/TOKEN",
        ]
        let page = Terminal.table(header, members.map(row), right: Set(1...9))
        return page + "\nbytes (messages); hidden states go to the next stage, the rest to the stage's other ranks\n"
    }

    private static func row(_ member: JSONValue) -> [String] {
        let tokens = member["tokens"]?.integer ?? 0
        let ends = member["layers"]?.elements?.compactMap(\.integer) ?? []
        let layers = ends.count == 2 ? ends[1] - ends[0] : 0
        func mean(_ kind: String, layers: Int = 1) -> String {
            guard tokens > 0, layers > 0 else { return "-" }
            let sent = member["sent"]?[kind]
            func each(_ key: String) -> Double { Double(sent?[key]?.integer ?? 0) / Double(tokens * layers) }
            guard each("messages") > 0 else { return "-" }
            return "\(Terminal.bytes(Int(each("bytes").rounded()))) (\(Terminal.fixed(each("messages"), places: 2)))"
        }
        return [
            member["worker"]?.string ?? "?", "\(member["stage"]?.integer ?? 0)", "\(member["rank"]?.integer ?? 0)",
            "\(tokens)", Terminal.bytes(member["bytes_sent"]?.integer ?? 0),
            "\(member["messages_sent"]?.integer ?? 0)", mean("hidden"), mean("sums", layers: layers),
            mean("attention", layers: layers), mean("draws"),
        ]
    }
}
