import Core
import Glibc

/// What is in a store's folder: which file has which page, and which was used longest ago. The store's thread owns it.
struct PageShelf: Sendable {
    private let folder: String
    private let limit: Int
    private let pageBytes: Int
    private var files: [String: PageFile] = [:]
    private var places: [PageKey: (path: String, place: Int)] = [:]
    /// Paths, the one used longest ago first.
    private var order: [String] = []
    private var byteCount = 0
    private let lock: FolderLock
    private var isInTrouble = false

    /// Looks at a folder; files that are damaged, unfinished or of another kind are removed.
    init(folder: String, limit: Int, pageBytes: Int) throws {
        self.folder = folder
        self.limit = limit
        self.pageBytes = pageBytes
        try Self.make(folder)
        lock = try FolderLock(folder)
        var found: [(path: String, used: (Int, Int), file: PageFile)] = []
        for name in Self.names(in: folder) {
            let path = "\(folder)/\(name)"
            if name.hasSuffix(".part") { unlink(path) }
            guard name.hasSuffix(PageFile.suffix) else { continue }
            var status = stat()
            guard stat(path, &status) == 0, let file = try? PageFile(opening: path, pageBytes: pageBytes) else {
                unlink(path)
                continue
            }
            found.append((path, (status.st_mtim.tv_sec, status.st_mtim.tv_nsec), file))
        }
        for entry in found.sorted(by: { $0.used < $1.used }) { add(entry.file) }
        _ = evict(for: 0)
    }

    /// The keys of all pages.
    var keys: [PageKey] { places.keys.sorted() }

    private mutating func add(_ file: PageFile) {
        files[file.path] = file
        order.append(file.path)
        byteCount += file.byteCount
        for (place, entry) in file.entries.enumerated() where places[entry.key] == nil {
            places[entry.key] = (file.path, place)
        }
    }

    /// Forgets a file and removes it; returns the keys that are gone with it.
    private mutating func remove(_ path: String) -> [PageKey] {
        guard let file = files.removeValue(forKey: path) else { return [] }
        unlink(path)
        order.removeAll { $0 == path }
        byteCount -= file.byteCount
        let gone = file.entries.map(\.key).filter { places[$0]?.path == path }
        for key in gone { places[key] = nil }
        return gone
    }

    /// Removes what was used longest ago until `more` bytes fit.
    private mutating func evict(for more: Int) -> [PageKey] {
        var gone: [PageKey] = []
        while byteCount + more > limit, let oldest = order.first { gone += remove(oldest) }
        return gone
    }

    /// Writes those pages that are not there yet.
    mutating func write(
        _ lease: PagePool.Lease, keys: [PageKey], _ hear: (PageStore.Event) -> Void
    ) {
        defer { lease.end() }
        let wanted = keys.indices.filter { places[keys[$0]] == nil }
        let bytes = wanted.reduce(0) { $0 + lease.counts[$1] * pageBytes } + 4096
        guard let last = wanted.last, bytes <= limit else { return }
        var gone = evict(for: bytes)
        let path = "\(folder)/\(Self.name(keys[last]))\(PageFile.suffix)"
        let new = wanted.map { keys[$0] }
        for attempt in 0..<2 {
            do {
                add(try PageFile.write(path, lease: lease, places: wanted, keys: new))
                isInTrouble = false
                return hear(.stored(new, gone: gone))
            } catch {
                // The folder may have been removed, or the disk be full: both can be mended once.
                try? Self.make(folder)
                if attempt == 0, let oldest = order.first, order.count > 1 { gone += remove(oldest) }
                if attempt == 1, !isInTrouble {
                    isInTrouble = true
                    hear(.trouble("pages are not kept on disk for now: \(error)"))
                }
            }
        }
        if !gone.isEmpty { hear(.stored([], gone: gone)) }
    }

    /// Reads pages in order as far as they are whole.
    mutating func read(
        _ sequence: SequenceID, _ lease: PagePool.Lease, _ keys: [PageKey], _ hear: (PageStore.Event) -> Void
    ) {
        defer { lease.end() }
        // Runs of one file each.
        var runs: [(path: String, places: Range<Int>, first: Int)] = []
        for (index, key) in keys.enumerated() {
            guard let (path, place) = places[key] else { break }
            if let last = runs.last, last.path == path, last.places.upperBound == place {
                runs[runs.count - 1].places = last.places.lowerBound..<place + 1
            } else {
                runs.append((path, place..<place + 1, index))
            }
        }
        var good = 0
        for (number, run) in runs.enumerated() {
            // The system reads ahead while this file's pages are checked.
            for next in runs[number..<min(number + 3, runs.count)] where next.first >= good || number == 0 {
                files[next.path]?.announce()
            }
            guard let file = files[run.path] else { break }
            do {
                try file.read(run.places, into: lease, first: run.first)
                order.removeAll { $0 == run.path }
                order.append(run.path)
            } catch {
                hear(.trouble("\(error)"))
                hear(.stored([], gone: remove(run.path)))
                break
            }
            good = run.first + run.places.count
        }
        hear(.restored(sequence, pages: good))
    }

    private static func name(_ key: PageKey) -> String {
        func hex(_ value: UInt64) -> String {
            let digits = String(value, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }
        return hex(key.high) + hex(key.low)
    }

    /// What lies in a folder.
    static func names(in folder: String) -> [String] {
        guard let stream = opendir(folder) else { return [] }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            names.append(
                withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
        }
        return names
    }

    /// Makes a folder and those above it.
    static func make(_ path: String) throws {
        var made = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/") {
            made += "/\(part)"
            if mkdir(made, 0o700) != 0, errno != EEXIST { throw PageFile.failure("making the folder \(made)") }
        }
    }
}
