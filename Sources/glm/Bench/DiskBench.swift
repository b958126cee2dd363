import ArgumentParser
import Core
import FoundationEssentials
import Glibc
import KVCache
import Threads

/// `glm bench disk`: how fast KV pages come back from a disk, beside how fast the disk reads a file from end to end.
struct DiskBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disk", abstract: "Measure a disk: plain reading, and KV pages read back.")

    @Option(help: "A folder on the disk; what is made in it is removed.")
    var folder = "."

    @Option(help: "Bytes to read, like 2G.")
    var size = "1G"

    @Option(help: "Bytes of a page: 64 tokens of one KV head in all layers of a worker.")
    var page = "128K"

    @Option(help: "Times each is measured, in turn; the median counts.")
    var repeats = 3

    @Flag(help: "Print one JSON object.")
    var json = false

    private struct Report: Encodable {
        var bytes: Int
        var readMbps: Double
        var restoreMbps: Double
        var writeMbps: Double
        var share: Double
    }

    func run() async throws {
        let pageBytes = try byteCount(page, flag: "--page") / 256 * 256
        let pages = try byteCount(size, flag: "--size") / max(pageBytes, 1)
        guard pageBytes >= 4096, pages >= Slots.count, repeats > 0 else {
            throw Problem.invalid(
                "--size must hold \(Slots.count) pages of --page bytes, 4 KiB or more, --repeats 1 or more")
        }
        let scratch = "\(folder)/glm-bench-\(getpid())"
        defer { Self.remove(scratch) }
        let heard = Mailbox<PageStore.Event>()
        let store = try PageStore(folder: scratch, limit: .max, pageBytes: pageBytes) { heard.put($0) }
        defer { store.close() }
        let pool = try PagePool(layers: 1, share: .whole(kvHeads: 1), halfBytes: pageBytes / 2, pages: pages)
        let keys = (0..<pages).map { PageKey(high: 7, low: UInt64($0)) }
        let written = try write(pool, store, keys, heard)
        var plain: [Double] = []
        var restored: [Double] = []
        for round in 0..<repeats {
            try Self.forget(scratch)
            plain.append(try Self.read(scratch))
            try Self.forget(scratch)
            pool.releaseAll()
            let sequence = SequenceID(UInt64(round + 2))
            try pool.open(sequence, prefix: [], copy: nil)
            let lease = try pool.makeLeased(sequence, first: 0, end: pages)
            let start = ContinuousClock.now
            store.read(sequence, into: lease, keys: keys)
            while let event = heard.take() {
                guard case .restored(_, let found) = event else { continue }
                guard found == pages else { throw Problem.failed("\(found) of \(pages) pages came back") }
                break
            }
            restored.append(Double(pages * pageBytes) / (start.duration(to: .now) / .seconds(1)))
        }
        report(pages * pageBytes, plain: Self.median(plain), restored: Self.median(restored), written: written)
    }

    private func report(_ bytes: Int, plain: Double, restored: Double, written: Double) {
        if json {
            let report = Report(
                bytes: bytes, readMbps: plain / 1e6, restoreMbps: restored / 1e6, writeMbps: written / 1e6,
                share: restored / plain)
            let encoder = JSONEncoder()
            encoder.keyEncodingStrategy = .convertToSnakeCase
            encoder.outputFormatting = [.sortedKeys]
            if let data = try? encoder.encode(report) { Terminal.write(String(decoding: data, as: UTF8.self) + "\n") }
        } else {
            func rate(_ value: Double) -> String { "\(Terminal.fixed(value / 1e6, places: 0)) MB/s" }
            Terminal.write("\(Terminal.bytes(bytes)), read cold\n")
            Terminal.write("files from end to end: \(rate(plain))\n")
            Terminal.write(
                "KV pages restored: \(rate(restored)), \(Terminal.fixed(restored / plain * 100, places: 0))% of that\n")
            Terminal.write("KV pages written: \(rate(written))\n")
        }
    }

    /// Fills the pool with bytes that repeat nothing and writes it all; bytes a second.
    private func write(
        _ pool: PagePool, _ store: PageStore, _ keys: [PageKey], _ heard: Mailbox<PageStore.Event>
    ) throws -> Double {
        let id = SequenceID(1)
        try pool.extend(id, start: 0, count: keys.count * Slots.pageTokens)
        pool.fill(id) { seed, words in
            var x = UInt64(seed) &* 0x9e37_79b9_7f4a_7c15 | 1
            for index in words.indices {
                x ^= x << 13
                x ^= x >> 7
                x ^= x << 17
                words[index] = x
            }
        }
        let start = ContinuousClock.now
        var left = keys.count
        for first in stride(from: 0, to: keys.count, by: Slots.count) {
            let places = first..<min(first + Slots.count, keys.count)
            guard let lease = pool.lease([PageRun(id, places)]) else { throw Problem.failed("pages are missing") }
            store.write(lease, keys: Array(keys[places]))
        }
        while left > 0, let event = heard.take() {
            switch event {
            case .stored(let keys, _): left -= keys.count
            case .trouble(let words): throw Problem.failed(words)
            case .restored: break
            }
        }
        return Double(keys.count * pool.pageBytes) / (start.duration(to: .now) / .seconds(1))
    }

    private static func files(_ folder: String) -> [String] {
        guard let stream = opendir(folder) else { return [] }
        defer { closedir(stream) }
        var files: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { files.append("\(folder)/\(name)") }
        }
        return files.sorted()
    }

    private static func remove(_ folder: String) {
        for file in files(folder) { unlink(file) }
        rmdir(folder)
    }

    /// Writes the files to the disk and drops them from the system's memory.
    private static func forget(_ folder: String) throws {
        for path in files(folder) {
            let file = open(path, O_RDONLY | O_CLOEXEC)
            guard file >= 0 else { continue }
            defer { close(file) }
            guard fsync(file) == 0, posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) == 0 else {
                throw Problem.failed("\(path) cannot be dropped from memory: \(String(cString: strerror(errno)))")
            }
        }
    }

    /// Reads all files from end to end; bytes a second.
    private static func read(_ folder: String) throws -> Double {
        var buffer = [UInt8](repeating: 0, count: 4 << 20)
        var bytes = 0
        let start = ContinuousClock.now
        for path in files(folder) {
            let file = open(path, O_RDONLY | O_CLOEXEC)
            guard file >= 0 else { continue }
            defer { close(file) }
            posix_fadvise(file, 0, 0, POSIX_FADV_SEQUENTIAL)
            while case let count = Glibc.read(file, &buffer, buffer.count), count > 0 { bytes += count }
        }
        return Double(bytes) / (start.duration(to: .now) / .seconds(1))
    }

    private static func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
}
