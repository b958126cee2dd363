import Core
import Glibc
import KVCache
import Threads

/// Packed matrices as files, one each: what one start packs, the next one reads.
///
/// A file is named by all that its bytes follow from (model, tensor, rows, columns, type, version) and is written behind, so the folder may be
/// deleted at any time. Its head, little-endian: magic, bytes of the matrix, XXH3 of the sums that follow, XXH3 of each 8 MiB; the panels
/// begin at 2 MiB, where a large page may, with a hole before them. A file that is damaged or of another version is packed anew.
public struct PackedCache: Sendable {
    /// Below so many bytes of weights, packing takes less time than looking for files.
    public static let leastBytes = 64 << 20

    private let folder: String
    private let digest: String

    private static let magic: UInt64 = 0x324b_4341_504d_4c47  // GLMPACK2
    private static let pieceBytes = 8 << 20
    /// Where the panels begin in a file.
    private static let start = MemoryRegion.largePage
    private static let suffix = ".pack"

    /// The cache of one model's matrices in `folder`; nil when nothing can be written there.
    public init?(folder: String, digest: String) {
        guard !digest.isEmpty else { return nil }
        if mkdir(folder, 0o755) != 0, errno != EEXIST { return nil }
        guard access(folder, W_OK | X_OK) == 0 else { return nil }
        self.folder = folder
        self.digest = digest
    }

    /// The file of a matrix, by all that its bytes follow from.
    func path(tensor: String, rows: Range<Int>, columns: Range<Int>?, type: WeightType) -> String {
        let columns = columns.map { "\($0)" } ?? "all"
        let key = PageHash.slice(digest: digest, layout: "packed \(tensor) \(rows) \(columns) \(type.name)")
        func hex(_ value: UInt64) -> String {
            let digits = String(value, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }
        return "\(folder)/\(hex(key.high))\(hex(key.low))\(Self.suffix)"
    }

    private static func pieces(_ byteCount: Int) -> Int { (byteCount + pieceBytes - 1) / pieceBytes }

    /// XXH3 of each piece of a matrix, once `load` has brought it; the team shares the work.
    private static func sums(
        _ bytes: UnsafeRawBufferPointer, team: Team?, load: (Range<Int>) -> Void = { _ in }
    ) -> [UInt64] {
        var sums = [UInt64](repeating: 0, count: pieces(bytes.count))
        sums.withUnsafeMutableBufferPointer { sums in
            let out = Sums(sums)
            func add(_ pieces: Range<Int>) {
                for piece in pieces {
                    let own = piece * pieceBytes..<min((piece + 1) * pieceBytes, bytes.count)
                    load(own)
                    out.set(piece, Checksum.xxh3(UnsafeRawBufferPointer(rebasing: bytes[own])))
                }
            }
            let count = sums.count
            if let team { team.run { add(team.share(of: count, rank: $0)) } } else { add(0..<count) }
        }
        return sums
    }

    /// Numbers that several threads fill in, each its own.
    private struct Sums: @unchecked Sendable {
        private let numbers: UnsafeMutableBufferPointer<UInt64>
        init(_ numbers: UnsafeMutableBufferPointer<UInt64>) { self.numbers = numbers }
        func set(_ index: Int, _ value: UInt64) { numbers[index] = value }
    }

    private static func head(byteCount: Int, sums: [UInt64]) -> [UInt8] {
        let body = sums.flatMap { bytes(of: $0) }
        let sum = body.withUnsafeBytes { Checksum.xxh3($0) }
        return [magic, UInt64(byteCount), sum].flatMap { bytes(of: $0) } + body
    }

    private static func bytes(of number: UInt64) -> [UInt8] { withUnsafeBytes(of: number.littleEndian) { Array($0) } }

    /// The matrix at `path`, when it is whole.
    ///
    /// It is mapped where the system has large pages for files, and workers of one host then share it. Where it has not, it is read: from small
    /// pages a token's walk over all weights is a tenth slower. So it is on hosts with several NUMA nodes, since a file's pages are on one.
    func find(_ path: String, byteCount: Int, team: Team) -> MemoryRegion? {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var status = stat()
        var head = [UInt8](repeating: 0, count: 24 + 8 * Self.pieces(byteCount))
        guard fstat(file, &status) == 0, Int(status.st_size) == Self.start + byteCount,
            pread(file, &head, head.count, 0) == head.count,
            let (region, sums) = Self.mapped(file, byteCount, team) ?? Self.read(file, byteCount, team),
            head == Self.head(byteCount: byteCount, sums: sums)
        else { return nil }
        // The time of use, by which the folder is kept small.
        _ = futimens(file, nil)
        return region
    }

    /// The panels of an open file, mapped, and their sums; nil where they would have small pages, or memory of several nodes.
    static func mapped(_ file: Int32, _ byteCount: Int, _ team: Team) -> (region: MemoryRegion, sums: [UInt64])? {
        guard byteCount >= pieceBytes, NumaNode.usable.count <= 1,
            let region = MemoryRegion(reading: file, offset: start, byteCount: byteCount)
        else { return nil }
        let sums = sums(UnsafeRawBufferPointer(start: region.base, count: byteCount), team: team)
        // Who may do so keeps it in memory as if it were its own; for others the system takes back what was used longest ago.
        _ = mlock(region.base, byteCount)
        return (region, sums)
    }

    /// The panels of an open file in memory of their own, and their sums.
    static func read(_ file: Int32, _ byteCount: Int, _ team: Team) -> (region: MemoryRegion, sums: [UInt64])? {
        guard let region = try? MemoryRegion(byteCount: byteCount) else { return nil }
        // What cannot be read stays zero, and has another sum.
        let sums = sums(UnsafeRawBufferPointer(start: region.base, count: byteCount), team: team) { piece in
            var at = piece.lowerBound
            while at < piece.upperBound {
                let count = pread(file, region.base + at, piece.upperBound - at, off_t(start + at))
                guard count > 0 || (count < 0 && errno == EINTR) else { return }
                at += max(count, 0)
            }
        }
        return (region, sums)
    }

    /// Writes a matrix; it appears under its name only when it is whole.
    func write(_ path: String, _ bytes: UnsafeRawBufferPointer) throws {
        var template = Array("\(path).XXXXXX".utf8CString)
        let file = mkstemp(&template)
        guard file >= 0 else { throw Self.failure("making a file in \(folder)") }
        defer { close(file) }
        let head = Self.head(byteCount: bytes.count, sums: Self.sums(bytes, team: nil))
        do {
            try head.withUnsafeBytes { try Self.put(file, $0) }
            guard lseek(file, off_t(Self.start), SEEK_SET) == off_t(Self.start) else {
                throw Self.failure("writing packed weights")
            }
            try Self.put(file, bytes)
            guard fchmod(file, 0o644) == 0, rename(template, path) == 0 else { throw Self.failure("naming \(path)") }
        } catch {
            unlink(template)
            throw error
        }
    }

    private static func put(_ file: Int32, _ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes
        while let base = rest.baseAddress, !rest.isEmpty {
            let count = Glibc.write(file, base, min(rest.count, 1 << 30))
            guard count > 0 || errno == EINTR else { throw failure("writing packed weights") }
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(max(count, 0)))
        }
    }

    private static func failure(_ what: String) -> Problem { .failed("\(what): \(String(cString: strerror(errno)))") }

    /// Removes what was used longest ago, and what a killed worker left half written, until `more` bytes fit under `limit`.
    func makeRoom(for more: Int, limit: Int) {
        guard let stream = opendir(folder) else { return }
        defer { closedir(stream) }
        var files: [(path: String, used: (Int, Int), bytes: Int)] = []
        let now = time(nil)
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            let path = "\(folder)/\(name)"
            var status = stat()
            guard name.contains(Self.suffix), stat(path, &status) == 0 else { continue }
            if !name.hasSuffix(Self.suffix), now - status.st_mtim.tv_sec > 3600 { unlink(path) }
            guard name.hasSuffix(Self.suffix) else { continue }
            // The hole behind a head takes no room.
            let bytes = min(Int(status.st_size), Int(status.st_blocks) * 512)
            files.append((path, (status.st_mtim.tv_sec, status.st_mtim.tv_nsec), bytes))
        }
        var total = files.reduce(more) { $0 + $1.bytes }
        for file in files.sorted(by: { $0.used < $1.used }) where total > limit {
            unlink(file.path)
            total -= file.bytes
        }
    }
}
