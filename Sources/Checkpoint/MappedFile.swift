import Core
import Glibc

/// A file mapped for reading.
///
/// The descriptor stays open so that the size can be looked at again: a file that was cut short since would end the
/// process at the first touch of a missing page.
final class MappedFile: @unchecked Sendable {  // never written after init
    /// The path, for messages.
    let path: String
    /// The bytes.
    let bytes: UnsafeRawBufferPointer
    private let descriptor: Int32

    /// Maps the file at `path`. An empty one has no bytes and is no error here.
    init(_ path: String) throws {
        // A pipe would block in open, hence O_NONBLOCK; regular files do not heed it.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            let code = errno
            let reason = String(cString: strerror(code))
            throw code == ENOENT
                ? Problem.notFound("\(path): there is no such file or folder")
                : Problem.invalid("\(path): cannot open: \(reason)")
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw Problem.invalid("\(path): not a regular file")
        }
        let size = Int(status.st_size)
        if size > 0 {
            guard let base = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED else {
                let reason = String(cString: strerror(errno))
                close(descriptor)
                throw Problem.failed("\(path): cannot map \(size) bytes: \(reason)")
            }
            bytes = UnsafeRawBufferPointer(start: base, count: size)
        } else {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
        }
        self.path = path
        self.descriptor = descriptor
    }

    deinit {
        if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
        close(descriptor)
    }

    /// Says so when the file has become shorter than its map.
    func checkSize() throws {
        var status = stat()
        guard fstat(descriptor, &status) == 0, Int(status.st_size) >= bytes.count else {
            throw Problem.failed("\(path): the file became shorter while in use; put the whole file back")
        }
    }

    /// The file's last path component.
    var name: String { path.split(separator: "/").last.map(String.init) ?? path }

    /// All bytes of a small file.
    static func read(_ path: String, atMost limit: Int) throws -> [UInt8] {
        let file = try MappedFile(path)
        guard file.bytes.count <= limit else {
            throw Problem.invalid("\(path): \(file.bytes.count) bytes, expected at most \(limit)")
        }
        return Array(file.bytes)
    }

    /// The path without links and dots, or nil when nothing is there.
    static func realPath(_ path: String) -> String? {
        guard let real = realpath(path, nil) else { return nil }
        defer { free(real) }
        return String(cString: real)
    }

    /// The names in a folder, sorted, or nil when `path` is no folder.
    static func list(_ path: String) -> [String]? {
        guard let folder = opendir(path) else { return nil }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: tuple.pointee)) {
                    names.append(String(cString: $0))
                }
            }
        }
        return names.filter { $0 != "." && $0 != ".." }.sorted()
    }
}
