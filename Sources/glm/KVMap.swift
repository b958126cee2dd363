import Core
import Tokenization

/// `glm status --kv`: where the KV pages are.
enum KVMap {
    /// A pool in a table: used of all, `1.2 GB/4.0 GB`.
    static func inUse(_ pool: JSONValue?) -> String {
        func bytes(_ key: String) -> String { Terminal.bytes(pool?[key]?.integer ?? 0) }
        let spilled = pool?["spilled_bytes"]?.integer ?? 0
        let slow = spilled > 0 ? ", \(Terminal.bytes(spilled)) slow on disk" : ""
        return "\(bytes("used_bytes"))/\(bytes("capacity_bytes"))\(slow)"
    }

    /// Every worker's pool: a line of figures, then its slots as two rows of 64 signs.
    static func page(_ status: JSONValue) -> String {
        let members = (status["members"]?.elements ?? []).filter { $0["stage"]?.integer != nil }
        guard !members.isEmpty else { return "no worker holds KV pages: \(status["state"]?.string ?? "?")\n" }
        let sorted = members.sorted {
            ($0["stage"]?.integer ?? 0, $0["rank"]?.integer ?? 0) < (
                $1["stage"]?.integer ?? 0, $1["rank"]?.integer ?? 0
            )
        }
        let rows = sorted.map { member in
            let pool = member["kv"]
            func bytes(_ key: String) -> String { Terminal.bytes(pool?[key]?.integer ?? 0) }
            return [
                member["worker"]?.string ?? "?", "\(member["stage"]?.integer ?? 0)", "\(member["rank"]?.integer ?? 0)",
                bytes("capacity_bytes"), bytes("used_bytes"), bytes("idle_bytes"), bytes("spilled_bytes"),
                pool?["places_on_disk"]?.integer.map { "\($0 * Slots.pageTokens) tokens" } ?? "-",
                pool?["disk_trouble"]?.string ?? "",
            ]
        }
        let header = ["WORKER", "STAGE", "RANK", "POOL", "IN USE", "KEPT", "SPILLED", "ON DISK", ""]
        var page = Terminal.table(header, rows, right: [1, 2, 3, 4, 5, 6, 7])
        page += "\nslots 0 to 63, a sign each: pages in use and, below, how often they were used again\n"
        page += "(. none, then ten steps 0 to 9 up to the most of any slot)\n"
        let most = most("slot_pages", sorted)
        let mostReuses = self.most("slot_reuses", sorted)
        for member in sorted {
            page += "\n\(member["worker"]?.string ?? "?")\n"
            page += "  pages   \(signs("slot_pages", member, most: most))  most \(most)\n"
            page += "  reused  \(signs("slot_reuses", member, most: mostReuses))  most \(mostReuses)\n"
        }
        return page
    }

    private static func counts(_ key: String, _ member: JSONValue) -> [Int] {
        (member["kv"]?[key]?.elements ?? []).map { $0.integer ?? 0 }
    }

    private static func most(_ key: String, _ members: [JSONValue]) -> Int {
        members.flatMap { counts(key, $0) }.max() ?? 0
    }

    private static func signs(_ key: String, _ member: JSONValue, most: Int) -> String {
        counts(key, member).map { $0 == 0 ? "." : "\(min(9, $0 * 10 / max(most, 1)))" }.joined()
    }
}
