import CXXHash
import Core
import Glibc

/// A file of consecutive pages of one chain, as one worker holds them.
///
/// Little-endian: 8 bytes of magic, the header's XXH3 (of what follows it, up to the payload), the number of places and the bytes of
/// a page; then for each place its key (16), how many pages of the pool are its (8) and the XXH3 of their bytes (8). The payload begins
/// at the next multiple of 4,096, the pages in the places' order, one after the other.
struct PageFile: Sendable {
    /// One place of a sequence.
    struct Entry: Sendable {
        var key: PageKey
        var pages: Int
        var checksum: UInt64
        /// Where its bytes begin in the file.
        var offset = 0
    }

    static let suffix = ".kv"
    private static let magic: UInt64 = 0x3130_5645_474C_4D47
    private static let fixedBytes = 32
    private static let entryBytes = 32
    private static let alignment = 4096
    /// More places than one file is ever given.
    private static let mostEntries = 1 << 16

    let path: String
    let entries: [Entry]
    let pageBytes: Int
    let byteCount: Int

    private init(path: String, entries: [Entry], pageBytes: Int) {
        self.path = path
        self.pageBytes = pageBytes
        var at = Self.payloadStart(entries.count)
        self.entries = entries.map { entry in
            var entry = entry
            entry.offset = at
            at += entry.pages * pageBytes
            return entry
        }
        byteCount = at
    }

    private static func payloadStart(_ entries: Int) -> Int {
        (fixedBytes + entries * entryBytes + alignment - 1) / alignment * alignment
    }

    /// Writes a file; it has its name only when it is whole.
    static func write(_ path: String, lease: PagePool.Lease, places: [Int], keys: [PageKey]) throws -> PageFile {
        var firsts: [Int] = [0]
        for count in lease.counts { firsts.append((firsts.last ?? 0) + count) }
        var parts: [iovec] = []
        let entries = zip(places, keys).map { place, key in
            let state = XXH3_createState()
            defer { XXH3_freeState(state) }
            XXH3_64bits_reset(state)
            for offset in lease.offsets[firsts[place]..<firsts[place + 1]] {
                let base = lease.memory.base + offset
                XXH3_64bits_update(state, base, lease.pageBytes)
                parts.append(iovec(iov_base: base, iov_len: lease.pageBytes))
            }
            return Entry(key: key, pages: lease.counts[place], checksum: XXH3_64bits_digest(state))
        }
        let file = PageFile(path: path, entries: entries, pageBytes: lease.pageBytes)
        var header = file.header
        let temporary = path + ".part"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("making \(temporary)") }
        do {
            try header.withUnsafeMutableBytes { bytes in
                try writeAll(descriptor, [iovec(iov_base: bytes.baseAddress, iov_len: bytes.count)], temporary)
            }
            try writeAll(descriptor, parts, temporary)
        } catch {
            close(descriptor)
            unlink(temporary)
            throw error
        }
        guard close(descriptor) == 0 else {
            let problem = failure("writing \(temporary)")
            unlink(temporary)
            throw problem
        }
        guard rename(temporary, path) == 0 else {
            unlink(temporary)
            throw failure("naming \(path)")
        }
        return file
    }

    private static func writeAll(_ descriptor: Int32, _ parts: [iovec], _ path: String) throws {
        var rest = parts[...]
        while let first = rest.first {
            let batch = Array(rest.prefix(512))
            let count = writev(descriptor, batch, Int32(batch.count))
            guard count > 0 || (count < 0 && errno == EINTR) else {
                if first.iov_len == 0 {
                    rest.removeFirst()
                    continue
                }
                throw failure("writing \(path)")
            }
            var left = max(count, 0)
            while let part = rest.first, left >= part.iov_len {
                left -= part.iov_len
                rest.removeFirst()
            }
            if left > 0, let base = rest.first?.iov_base {
                rest[rest.startIndex] = iovec(
                    iov_base: base + left, iov_len: rest[rest.startIndex].iov_len - left)
            }
        }
    }

    private var header: [UInt8] {
        var bytes: [UInt8] = []
        func put(_ value: UInt64) {
            for shift in stride(from: 0, to: 64, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
        }
        put(UInt64(entries.count))
        put(UInt64(pageBytes))
        for entry in entries {
            put(entry.key.high)
            put(entry.key.low)
            put(UInt64(entry.pages))
            put(entry.checksum)
        }
        bytes += [UInt8](repeating: 0, count: Self.payloadStart(entries.count) - 16 - bytes.count)
        let body = bytes
        bytes = []
        put(Self.magic)
        put(XXH3_64bits(body, body.count))
        return bytes + body
    }

    /// Reads the header of a file; throws when it is no whole file of pages of `pageBytes`.
    init(opening path: String, pageBytes: Int) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.failure("opening \(path)") }
        defer { close(descriptor) }
        func read(_ count: Int, at offset: Int) throws -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: count)
            guard pread(descriptor, &bytes, count, offset) == count else { throw Self.damaged(path) }
            return bytes
        }
        func number(_ bytes: [UInt8], _ at: Int) -> UInt64 {
            (0..<8).reduce(0) { $0 | UInt64(bytes[at + $1]) << UInt64(8 * $1) }
        }
        let fixed = try read(Self.fixedBytes, at: 0)
        let count = Int(clamping: number(fixed, 16))
        guard number(fixed, 0) == Self.magic, count > 0, count <= Self.mostEntries,
            number(fixed, 24) == UInt64(pageBytes)
        else { throw Self.damaged(path) }
        let body = try read(Self.payloadStart(count) - 16, at: 16)
        guard XXH3_64bits(body, body.count) == number(fixed, 8) else { throw Self.damaged(path) }
        let entries = (0..<count).map { index in
            let at = 16 + index * Self.entryBytes
            return Entry(
                key: PageKey(high: number(body, at), low: number(body, at + 8)),
                pages: Int(clamping: number(body, at + 16)), checksum: number(body, at + 24))
        }
        self.init(path: path, entries: entries, pageBytes: pageBytes)
        var status = stat()
        guard fstat(descriptor, &status) == 0, Int(status.st_size) == byteCount else { throw Self.damaged(path) }
    }

    /// Reads some places' pages into a lease's memory, from place `first` of the lease on; throws when they are not as they were written.
    func read(_ places: Range<Int>, into lease: PagePool.Lease, first: Int) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.failure("opening \(path)") }
        defer { close(descriptor) }
        var page = lease.counts[..<first].reduce(0, +)
        for (index, place) in places.enumerated() {
            let entry = entries[place]
            guard entry.pages == lease.counts[first + index] else { throw Self.damaged(path) }
            var parts = lease.offsets[page..<page + entry.pages].map {
                iovec(iov_base: lease.memory.base + $0, iov_len: pageBytes)
            }[...]
            var offset = entry.offset
            while !parts.isEmpty {
                let batch = Array(parts.prefix(512))
                let wanted = batch.count * pageBytes
                let count = preadv(descriptor, batch, Int32(batch.count), offset)
                if count < 0, errno == EINTR { continue }
                // A short read of a regular file means that its end is missing.
                guard count == wanted else { throw Self.damaged(path) }
                offset += wanted
                parts.removeFirst(batch.count)
            }
            let state = XXH3_createState()
            defer { XXH3_freeState(state) }
            XXH3_64bits_reset(state)
            for start in lease.offsets[page..<page + entry.pages] {
                XXH3_64bits_update(state, lease.memory.base + start, pageBytes)
            }
            guard XXH3_64bits_digest(state) == entry.checksum else { throw Self.damaged(path) }
            page += entry.pages
        }
    }

    /// Tells the system that the file is read soon, and that it was used.
    func announce() {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_WILLNEED)
        futimens(descriptor, nil)
        close(descriptor)
    }

    static func failure(_ what: String) -> Problem { .failed("\(what): \(String(cString: strerror(errno)))") }

    private static func damaged(_ path: String) -> Problem {
        .failed("\(path) is damaged; its pages are computed again")
    }
}
