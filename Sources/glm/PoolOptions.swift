import ArgumentParser
import Core

/// What a worker may take for KV pages, in memory and on disk; the same for `glm worker` and `glm up`.
struct PoolOptions: ParsableArguments {
    @Option(
        name: .customLong("kv-memory"),
        help: "Memory of a worker's KV pool, like 8G; what its weights leave unless given.")
    var kvMemory: String?

    @Option(
        name: .customLong("kv-disk"),
        help:
            "Disk for KV pages of a worker, like 50G, so that prompts are found again after a restart; none unless given."
    )
    var kvDisk: String?

    @Option(
        name: .customLong("kv-spill"),
        help: "Disk for what a worker's KV pool has no memory for, like 50G: contexts larger than memory, slower.")
    var kvSpill: String?

    /// Bytes of the file behind the pool.
    func spill(_ settings: Settings) throws -> Int {
        try (kvSpill ?? settings.string("kv-spill")).map { try byteCount($0, flag: "--kv-spill") } ?? 0
    }

    /// Bytes of the pool, or nil.
    func memory(_ settings: Settings) throws -> Int? {
        try (kvMemory ?? settings.string("kv-memory")).map { try byteCount($0, flag: "--kv-memory") }
    }

    /// Bytes on disk, or nil.
    func disk(_ settings: Settings) throws -> Int? {
        try (kvDisk ?? settings.string("kv-disk")).map { try byteCount($0, flag: "--kv-disk") }
    }

    /// The flags that hand the same on to a child.
    func flags(_ settings: Settings) throws -> [String] {
        var flags: [String] = []
        if let bytes = try memory(settings) { flags += ["--kv-memory", "\(bytes)"] }
        if let bytes = try disk(settings) { flags += ["--kv-disk", "\(bytes)"] }
        if case let bytes = try spill(settings), bytes > 0 { flags += ["--kv-spill", "\(bytes)"] }
        return flags
    }
}

/// A number of bytes: `1000000`, `256M`, `48G`, `1.5T`.
func byteCount(_ text: String, flag: String) throws -> Int {
    var digits = Substring(text)
    if digits.last == "B" || digits.last == "b" { digits.removeLast() }
    if digits.last == "i" { digits.removeLast() }
    var scale = 1.0
    if let unit = digits.last, let power = ["K": 1, "M": 2, "G": 3, "T": 4][unit.uppercased()] {
        for _ in 0..<power { scale *= 1024 }
        digits.removeLast()
    }
    guard let number = Double(digits), number > 0, number.isFinite, number * scale < 1e18 else {
        throw Problem.invalid("\(flag) '\(text)' is no number of bytes; write for example 512M or 48G")
    }
    return Int(number * scale)
}
