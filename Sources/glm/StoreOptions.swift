import ArgumentParser
import Core

/// What outlives a coordinator, and how much of it: coordinator and up.
struct StoreOptions: ParsableArguments {
    @Option(help: "A file for jobs, API keys, files and batches, which survive a restart then; in memory unless given.")
    var store: String?

    @Option(help: "How long the answers of jobs are kept, like 12h or 7d; 7d unless given.")
    var retention: String?

    @Option(help: "How many jobs may wait; 1000 unless given.")
    var queue: Int?

    /// The file, or nil.
    func path(_ settings: Settings) -> String? { store ?? settings.string("store") }

    /// How long answers are kept.
    func retention(_ settings: Settings) throws -> Duration {
        let text = retention ?? settings.string("retention") ?? "7d"
        let units: [Character: Int] = ["m": 60, "h": 3600, "d": 86_400]
        guard let unit = text.last.flatMap({ units[$0] }), let count = Int(text.dropLast()),
            (1...100_000).contains(count)
        else { throw Problem.invalid("--retention \(text): expected a time like 30m, 12h or 7d") }
        return .seconds(count * unit)
    }

    /// Jobs that may wait.
    func longestQueue(_ settings: Settings) throws -> Int {
        let count = try queue ?? settings.int("queue") ?? 1000
        guard (1...1_000_000).contains(count) else { throw Problem.invalid("--queue \(count): use 1 to 1000000") }
        return count
    }

    /// The same as flags.
    func flags(_ settings: Settings) throws -> [String] {
        _ = try retention(settings)
        let kept = retention ?? settings.string("retention") ?? "7d"
        let store = path(settings).map { ["--store", $0] } ?? []
        return store + ["--retention", kept, "--queue", "\(try longestQueue(settings))"]
    }
}
