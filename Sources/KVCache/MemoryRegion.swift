import Core
import Glibc

/// A run of zeroed, page-aligned memory of its own, returned to the system when the last owner lets go.
///
/// Untouched pages cost nothing, so a pool may be as large as its bound says. The memory itself is unsynchronised:
/// whoever shares a region says who writes where.
public final class MemoryRegion: @unchecked Sendable {
    /// The first byte.
    public let base: UnsafeMutableRawPointer
    /// Bytes.
    public let byteCount: Int

    /// Reserves `byteCount` bytes, or throws `failed` when the address space will not give them.
    public init(byteCount: Int) throws {
        let size = max(byteCount, 1)
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        guard let found = mmap(nil, size, PROT_READ | PROT_WRITE, flags, -1, 0), found != MAP_FAILED else {
            throw Problem.failed("cannot reserve \(size) bytes of memory: \(String(cString: strerror(errno)))")
        }
        // Large pages where allowed: weights and KV are walked from end to end.
        if size >= 4 << 20 { _ = madvise(found, size, MADV_HUGEPAGE) }
        base = found
        self.byteCount = size
    }

    deinit { munmap(base, byteCount) }
}
