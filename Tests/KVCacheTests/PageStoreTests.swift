import Core
import Glibc
import Synchronization
import Testing
import Threads

@testable import KVCache

@Suite("Page store")
struct PageStoreTests {
    /// A folder, a pool and a store on it, with what the store says.
    private final class Bench {
        let folder: String
        let pool: PagePool
        private(set) var store: PageStore
        private let heard = Mailbox<PageStore.Event>()
        private let limit: Int

        init(limit: Int = 1 << 30, pages: Int = 64) throws {
            var template = Array("/tmp/glm-kv-XXXXXX".utf8CString)
            guard mkdtemp(&template) != nil else { throw Problem.failed("no folder") }
            folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
            pool = try PagePool(layers: 2, share: .whole(kvHeads: 2), halfBytes: 1024, pages: pages)
            self.limit = limit
            let heard = heard
            store = try PageStore(folder: folder, limit: limit, pageBytes: pool.pageBytes) { heard.put($0) }
        }

        func next() throws -> PageStore.Event {
            guard let event = heard.take(timeout: .seconds(20)) else { throw Problem.failed("the store says nothing") }
            return event
        }

        func reopen() throws {
            store.close()
            let heard = heard
            store = try PageStore(folder: folder, limit: limit, pageBytes: pool.pageBytes) { heard.put($0) }
        }

        /// A sequence of so many pages whose bytes depend on its number.
        func fill(_ sequence: UInt64, pages: Int) throws {
            try pool.extend(SequenceID(sequence), start: 0, count: pages * 64)
            for (index, byte) in bytes(sequence).enumerated() {
                byte.pointee = UInt8(truncatingIfNeeded: index &* 31 &+ Int(sequence) &* 7 &+ index >> 9)
            }
        }

        /// Every 97th byte of a sequence's pages.
        func bytes(_ sequence: UInt64) -> [UnsafeMutablePointer<UInt8>] {
            let id = SequenceID(sequence)
            let count = pool.pageCount(of: id)
            var all: [UnsafeMutablePointer<UInt8>] = []
            guard count > 0, let none = UnsafeMutableRawPointer(bitPattern: 8) else { return [] }
            for layer in 0..<2 {
                for head in 0..<2 {
                    var keys = [UnsafeMutableRawPointer](repeating: none, count: count)
                    var values = keys
                    pool.pages(of: id, layer: layer, kvHead: head, keys: &keys, values: &values)
                    for page in keys + values {
                        for at in stride(from: 0, to: 1024, by: 97) {
                            all.append((page + at).assumingMemoryBound(to: UInt8.self))
                        }
                    }
                }
            }
            return all
        }

        func values(_ sequence: UInt64) -> [UInt8] { bytes(sequence).map(\.pointee) }

        func write(_ sequence: UInt64, keys: [PageKey]) throws {
            let lease = try #require(pool.lease([PageRun(SequenceID(sequence), 0..<keys.count)]))
            store.write(lease, keys: keys)
        }

        /// Reads pages into a new sequence; how many came back.
        func read(_ sequence: UInt64, keys: [PageKey]) throws -> Int {
            let id = SequenceID(sequence)
            try pool.open(id, prefix: [], copy: nil)
            store.read(id, into: try pool.makeLeased(id, first: 0, end: keys.count), keys: keys)
            while true {
                if case .restored(id, let pages) = try next() { return pages }
            }
        }

        var files: [String] {
            var names: [String] = []
            guard let stream = opendir(folder) else { return [] }
            defer { closedir(stream) }
            while let entry = readdir(stream) {
                let name = withUnsafeBytes(of: &entry.pointee.d_name) {
                    String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
                }
                if name.hasSuffix(".kv") { names.append("\(folder)/\(name)") }
            }
            return names.sorted()
        }

        deinit {
            store.close()
            for name in files { unlink(name) }
            unlink("\(folder)/lock")
            rmdir(folder)
        }
    }

    private func keys(_ sequence: UInt64, _ count: Int) -> [PageKey] {
        (0..<count).map { PageKey(high: sequence, low: UInt64($0)) }
    }

    @Test("pages come back as they were written, also after the store was opened anew, and part of a file too")
    func roundTrip() throws {
        let bench = try Bench()
        try bench.fill(1, pages: 10)
        let written = bench.values(1)
        try bench.write(1, keys: keys(1, 10))
        guard case .stored(let keys, []) = try bench.next() else { throw Problem.failed("not stored") }
        #expect(keys == self.keys(1, 10))
        try bench.reopen()
        #expect(bench.store.keys == keys)
        bench.pool.release(SequenceID(1))
        #expect(try bench.read(2, keys: keys) == 10)
        #expect(bench.values(2) == written)
        #expect(try bench.read(3, keys: Array(keys[..<4])) == 4)
        #expect(bench.values(3).prefix(11) == written.prefix(11))
        try bench.pool.check()
    }

    @Test("what is there already is not written again, and what is behind it goes to a file of its own")
    func behind() throws {
        let bench = try Bench()
        try bench.fill(1, pages: 6)
        try bench.write(1, keys: keys(1, 4))
        _ = try bench.next()
        try bench.write(1, keys: keys(1, 6))
        guard case .stored(let new, []) = try bench.next() else { throw Problem.failed("not stored") }
        #expect(new == Array(keys(1, 6)[4...]) && bench.files.count == 2)
        #expect(try bench.read(2, keys: keys(1, 6)) == 6)
        #expect(bench.values(2) == bench.values(1))
    }

    @Test("a damaged file is found out wherever it is damaged, removed, and its pages are told to be gone")
    func damaged() throws {
        for offset in [3, 20, 70, 5000, 40_000] {
            let bench = try Bench()
            try bench.fill(1, pages: 8)
            try bench.write(1, keys: keys(1, 8))
            _ = try bench.next()
            let path = try #require(bench.files.first)
            let file = open(path, O_RDWR)
            var byte: UInt8 = 0
            #expect(pread(file, &byte, 1, offset) == 1)
            byte ^= 4
            #expect(pwrite(file, &byte, 1, offset) == 1)
            close(file)
            if offset < 4096 {
                // The header is read when the store is opened.
                try bench.reopen()
                #expect(bench.store.keys.isEmpty && bench.files.isEmpty, "offset \(offset)")
            } else {
                #expect(try bench.read(2, keys: keys(1, 8)) == 0, "offset \(offset)")
                #expect(bench.files.isEmpty)
            }
            try bench.pool.check()
        }
    }

    @Test("a file that was cut short, or that is gone, costs its pages and nothing else")
    func cutShort() throws {
        let bench = try Bench()
        try bench.fill(1, pages: 8)
        try bench.write(1, keys: keys(1, 4))
        _ = try bench.next()
        try bench.write(1, keys: keys(1, 8))
        _ = try bench.next()
        let last = try #require(bench.files.last)
        truncate(last, 6000)
        #expect(try bench.read(2, keys: keys(1, 8)) == 4)
        #expect(bench.files.count == 1)
        unlink(try #require(bench.files.first))
        #expect(try bench.read(3, keys: keys(1, 4)) == 0)
    }

    @Test("the folder keeps to its limit: what was used longest ago goes, and is told to be gone")
    func limit() throws {
        let bench = try Bench(limit: 3 * 70_000, pages: 64)
        for sequence: UInt64 in 1...3 {
            try bench.fill(sequence, pages: 8)
            try bench.write(sequence, keys: keys(sequence, 8))
            _ = try bench.next()
        }
        _ = try bench.read(9, keys: keys(1, 8))
        bench.pool.release(SequenceID(9))
        bench.pool.release(SequenceID(3))
        try bench.fill(4, pages: 8)
        try bench.write(4, keys: keys(4, 8))
        guard case .stored(_, let gone) = try bench.next() else { throw Problem.failed("not stored") }
        #expect(gone == keys(2, 8), "the first was read since")
        try bench.reopen()
        #expect(Set(bench.store.keys) == Set(keys(1, 8) + keys(3, 8) + keys(4, 8)))
    }

    @Test(
        "folders of other slices keep to half of the limit together, the newest first; one that is in use is left alone"
    )
    func others() throws {
        let bench = try Bench()
        let root = bench.folder + "/all"
        defer { Self.remove(root) }
        var workers: [PageStore] = []
        for (index, name) in ["old", "used", "new", "own"].enumerated() {
            let store = try PageStore(folder: "\(root)/\(name)", limit: 1 << 20, pageBytes: 4096) { _ in }
            if name == "used" { workers.append(store) } else { store.close() }
            let path = "\(root)/\(name)/0\(index)\(PageFile.suffix)"
            let file = open(path, O_RDWR | O_CREAT, 0o600)
            ftruncate(file, 300_000)
            var times = [timespec(tv_sec: index + 1, tv_nsec: 0), timespec(tv_sec: index + 1, tv_nsec: 0)]
            futimens(file, &times)
            close(file)
        }
        #expect(try OtherShelves.beside("\(root)/own", limit: 1_000_000) { $0 } == 700_000)
        #expect(
            access("\(root)/old", F_OK) != 0, "two of 300,000 are more than half of the limit, and this was used first")
        #expect(access("\(root)/new/02\(PageFile.suffix)", F_OK) == 0)
        #expect(access("\(root)/used/01\(PageFile.suffix)", F_OK) == 0)
        #expect(access("\(root)/own/03\(PageFile.suffix)", F_OK) == 0)
        for worker in workers { worker.close() }
    }

    @Test("workers of one host that open their folders at once, and close them, all get their own")
    func together() throws {
        let bench = try Bench()
        let root = bench.folder + "/all"
        defer { Self.remove(root) }
        let refused = Mutex<[String]>([])
        let workers = (0..<4).map { number in
            Thread(name: "worker \(number)") {
                let folder = "\(root)/slice-\(number)"
                for _ in 0..<200 {
                    do {
                        let store = try OtherShelves.beside(folder, limit: 1 << 20) { left in
                            try PageStore(folder: folder, limit: left, pageBytes: 4096) { _ in }
                        }
                        store.close()
                    } catch {
                        refused.withLock { $0.append("\(error)") }
                    }
                }
            }
        }
        for worker in workers { worker.join() }
        let (count, first) = refused.withLock { ($0.count, $0.first) }
        #expect(count == 0, "of 800: \(first ?? "")")
    }

    @Test("a folder is free when its store is closed, though a process that is being started has a copy of the file")
    func copied() throws {
        let bench = try Bench()
        // What a fork has until its program runs is what `dup` makes.
        var lock = stat()
        #expect(stat("\(bench.folder)/lock", &lock) == 0)
        let copies = PageShelf.names(in: "/proc/self/fd").compactMap { Int32($0) }.filter { descriptor in
            var file = stat()
            return fstat(descriptor, &file) == 0 && file.st_dev == lock.st_dev && file.st_ino == lock.st_ino
        }.map { dup($0) }
        defer { for copy in copies { close(copy) } }
        #expect(copies.count == 1)
        try bench.reopen()
    }

    /// Removes a folder of stores.
    private static func remove(_ root: String) {
        for name in PageShelf.names(in: root) where !name.hasPrefix(".") && name != "lock" {
            for file in PageShelf.names(in: "\(root)/\(name)") { unlink("\(root)/\(name)/\(file)") }
            rmdir("\(root)/\(name)")
        }
        unlink("\(root)/lock")
        rmdir(root)
    }

    @Test("a folder that vanishes is made again, and a store that is in use is not opened twice")
    func vanished() throws {
        let bench = try Bench()
        #expect(throws: Problem.self) {
            try PageStore(folder: bench.folder, limit: 1 << 20, pageBytes: bench.pool.pageBytes) { _ in }
        }
        unlink("\(bench.folder)/lock")
        rmdir(bench.folder)
        try bench.fill(1, pages: 2)
        try bench.write(1, keys: keys(1, 2))
        guard case .stored(let new, _) = try bench.next() else { throw Problem.failed("not stored") }
        #expect(new == keys(1, 2) && bench.files.count == 1)
    }

    @Test(
        "a full disk is said once, answers go on, and writing begins again when there is room",
        .enabled(if: getuid() == 0))
    func full() throws {
        let bench = try Bench()
        // A file of that name that is a folder cannot be written, as on a full disk.
        let name = "\(bench.folder)/00000000000000010000000000000001.kv.part"
        mkdir(name, 0o700)
        try bench.fill(1, pages: 3)
        try bench.write(1, keys: keys(1, 2))
        guard case .trouble(let words) = try bench.next() else { throw Problem.failed("nothing said") }
        #expect(words.contains("not kept on disk"))
        rmdir(name)
        try bench.write(1, keys: keys(1, 2))
        guard case .stored(let new, _) = try bench.next() else { throw Problem.failed("not stored") }
        #expect(new.count == 2)
    }
}
