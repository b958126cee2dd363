import CLinux
import Core
import Glibc

/// A run of page-aligned memory, zeroed and its own or a file's, returned to the system when the last owner lets go.
///
/// Untouched pages cost nothing, so a pool may be as large as its bound says. The memory itself is unsynchronised:
/// whoever shares a region says who writes where.
public final class MemoryRegion: @unchecked Sendable {
    /// The first byte.
    public let base: UnsafeMutableRawPointer
    /// Bytes.
    public let byteCount: Int
    /// Bytes from `base` on that are given back at the end.
    private let mapped: Int

    /// Reserves `byteCount` bytes, or throws `failed` when the address space will not give them.
    public init(byteCount: Int) throws {
        let size = max(byteCount, 1)
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        let isLarge = size >= 2 * Self.largePage
        // A last large page that is hardly used is left to small ones.
        let whole = (size + Self.largePage - 1) / Self.largePage * Self.largePage
        let length = isLarge && whole - size <= size / 32 ? whole : size
        let room = isLarge ? length + Self.largePage : length
        guard let found = mmap(nil, room, PROT_READ | PROT_WRITE, flags, -1, 0), found != MAP_FAILED else {
            throw Problem.failed("cannot reserve \(size) bytes of memory: \(String(cString: strerror(errno)))")
        }
        self.byteCount = size
        mapped = length
        guard isLarge else {
            base = found
            return
        }
        // Large pages where allowed: weights and KV are walked from end to end. They begin at multiples of their size.
        base = found.alignedUp(toMultipleOf: Self.largePage)
        if base > found { munmap(found, base - found) }
        let end = (base + length).alignedUp(toMultipleOf: Int(sysconf(Int32(_SC_PAGESIZE))))
        if end < found + room { munmap(end, found + room - end) }
        _ = madvise(base, length, MADV_HUGEPAGE)
    }

    /// Bytes of a large page of the processors that this runs on.
    public static let largePage = 2 << 20

    /// Maps `byteCount` bytes of a file, from `offset` on, for reading alone, so that processes which do the same share the memory; nil where
    /// the system has small pages for them (it looks at the first few), or can not map them.
    ///
    /// - Parameter offset: A multiple of `largePage`.
    public init?(reading file: Int32, offset: Int, byteCount: Int) {
        let room = byteCount + Self.largePage
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        guard let found = mmap(nil, room, PROT_NONE, flags, -1, 0), found != MAP_FAILED else { return nil }
        base = found.alignedUp(toMultipleOf: Self.largePage)
        self.byteCount = byteCount
        mapped = byteCount
        if base > found { munmap(found, base - found) }
        let end = (base + byteCount).alignedUp(toMultipleOf: Int(sysconf(Int32(_SC_PAGESIZE))))
        if end < found + room { munmap(end, found + room - end) }
        let looked = min(byteCount, 4 * Self.largePage)
        // From here on `deinit` gives the room back.
        guard mmap(base, byteCount, PROT_READ, MAP_SHARED | MAP_FIXED, file, off_t(offset)) != MAP_FAILED,
            madvise(base, byteCount, MADV_HUGEPAGE) == 0, madvise(base, looked, MADV_POPULATE_READ) == 0,
            clinux_in_large_pages(base, looked) >= looked / 2
        else { return nil }
    }

    /// Reserves `byteCount` bytes of memory and `spillBytes` behind them that are a file's in `folder`: the system keeps in
    /// memory what it has room for.
    ///
    /// The file has no name and is as large as it will be from the beginning, so that a full disk is an error here and not a
    /// crash later.
    public convenience init(byteCount: Int, spillBytes: Int, folder: String?) throws {
        try self.init(byteCount: byteCount + spillBytes)
        guard spillBytes > 0 else { return }
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let start = (byteCount + page - 1) / page * page
        guard start == byteCount, let folder else {
            throw Problem.failed("a spill file needs a folder and whole pages of memory before it")
        }
        try PageShelf.make(folder)
        var template = Array("\(folder)/spill-XXXXXX".utf8CString)
        let file = mkstemp(&template)
        guard file >= 0 else { throw PageFile.failure("making a file in \(folder)") }
        defer { close(file) }
        unlink(template)
        let code = posix_fallocate(file, 0, spillBytes)
        guard code == 0 else {
            throw Problem.failed(
                "the disk has no room for \(spillBytes) bytes of KV pages in \(folder): \(String(cString: strerror(code))); use a smaller --kv-spill or another --cache"
            )
        }
        let flags = MAP_SHARED | MAP_FIXED
        guard mmap(base + byteCount, spillBytes, PROT_READ | PROT_WRITE, flags, file, 0) != MAP_FAILED else {
            throw PageFile.failure("mapping a file in \(folder)")
        }
    }

    deinit { munmap(base, mapped) }
}
