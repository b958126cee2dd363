import Glibc

/// The folders of other slices and models beside a store's own: what earlier layouts left behind.
public enum OtherShelves {
    /// Makes room beside the folders of other slices, so that all together keep to `limit` bytes, and opens a store in `folder` with what is
    /// left of them.
    ///
    /// They may keep half, as a cluster may go back to a layout it had; those that were used longest ago are removed. A folder that another
    /// worker uses has a limit of its own and does not count. Workers that share the folder above do this one after the other: to look
    /// whether a folder is in use is to lock it, and who came to use it meanwhile would be refused.
    public static func beside<Store>(_ folder: String, limit: Int, open: (_ left: Int) throws -> Store) throws -> Store
    {
        guard let cut = folder.lastIndex(of: "/") else { return try open(limit) }
        let (root, own) = (String(folder[..<cut]), folder[folder.index(after: cut)...])
        try PageShelf.make(root)
        let turn = try FolderLock(root, waits: true)
        return try withExtendedLifetime(turn) {
            var others: [(path: String, used: Int, bytes: Int)] = []
            for name in PageShelf.names(in: root) where !name.hasPrefix(".") && name != own {
                let path = "\(root)/\(name)"
                // A worker that uses it holds the lock.
                guard access("\(path)/lock", F_OK) == 0, let lock = try? FolderLock(path) else { continue }
                others.append(withExtendedLifetime(lock) { usage(path) })
            }
            var left = limit
            for other in others.sorted(by: { $0.used > $1.used }) {
                if limit - left + other.bytes <= limit / 2 { left -= other.bytes } else { remove(other.path) }
            }
            return try open(left)
        }
    }

    /// When one of its files was last used, and what they take.
    private static func usage(_ path: String) -> (path: String, used: Int, bytes: Int) {
        var (used, bytes) = (0, 0)
        for name in PageShelf.names(in: path) where name.hasSuffix(PageFile.suffix) {
            var status = stat()
            guard stat("\(path)/\(name)", &status) == 0 else { continue }
            used = max(used, status.st_mtim.tv_sec)
            bytes += Int(status.st_size)
        }
        return (path, used, bytes)
    }

    /// Removes a store's files, and its folder when nothing else is in it.
    private static func remove(_ path: String) {
        guard let lock = try? FolderLock(path) else { return }
        withExtendedLifetime(lock) {
            for name in PageShelf.names(in: path) where name.hasSuffix(PageFile.suffix) || name.hasSuffix(".part") {
                unlink("\(path)/\(name)")
            }
            unlink("\(path)/lock")
            rmdir(path)
        }
    }
}
