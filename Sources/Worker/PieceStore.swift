import Core
import Glibc

/// Parts of tensors on this worker's disk: a file each, under the model's digest.
///
/// A file appears under its name only when it is whole, and is used only when it has the right size: a worker that was
/// killed while it wrote leaves nothing behind that another could mistake for weights.
struct PieceStore: Sendable {
    private let folder: String

    /// The store of one model in `cache`.
    init(cache: String, digest: String) throws {
        let name = digest.filter { $0.isHexDigit }
        guard !name.isEmpty else { throw Problem.failed("the model has no digest to keep its weights under") }
        folder = "\(cache)/\(name)"
        try Self.makeFolders(folder)
    }

    /// The file of rows and columns of a tensor.
    func path(_ tensor: String, _ rows: Range<Int>, _ columns: Range<Int>) -> String {
        let name = String(tensor.map { $0.isLetter || $0.isNumber || $0 == "." || $0 == "_" || $0 == "-" ? $0 : "_" })
        return
            "\(folder)/\(name.prefix(150)).\(rows.lowerBound)-\(rows.upperBound).\(columns.lowerBound)-\(columns.upperBound)"
    }

    /// The bytes at `path` when it holds exactly `byteCount`.
    func find(_ path: String, byteCount: Int) -> PieceMemory? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, Int(status.st_size) == byteCount,
            let base = mmap(nil, byteCount, PROT_READ, MAP_PRIVATE, descriptor, 0), base != MAP_FAILED
        else { return nil }
        return PieceMemory(mapped: base, byteCount: byteCount)
    }

    /// Writes a file part by part and gives it its name at the end.
    func write(_ path: String, parts: (_ write: ([UInt8]) throws -> Void) throws -> Void) throws {
        var template = Array("\(path).XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        guard descriptor >= 0 else { throw Self.failure("writing \(path)") }
        let temporary = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        do {
            try parts { bytes in
                try bytes.withUnsafeBytes { buffer in
                    var rest = buffer
                    while let base = rest.baseAddress, !rest.isEmpty {
                        let count = Glibc.write(descriptor, base, rest.count)
                        guard count > 0 || errno == EINTR else { throw Self.failure("writing \(temporary)") }
                        rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(max(count, 0)))
                    }
                }
            }
            guard fsync(descriptor) == 0, rename(temporary, path) == 0 else { throw Self.failure("writing \(path)") }
            close(descriptor)
        } catch {
            close(descriptor)
            unlink(temporary)
            throw error
        }
    }

    /// Makes a folder and those above it.
    static func makeFolders(_ path: String) throws {
        var made = path.hasPrefix("/") ? "" : "."
        for part in path.split(separator: "/") {
            made += "/\(part)"
            if mkdir(made, 0o700) != 0, errno != EEXIST { throw failure("making the cache folder \(made)") }
        }
    }

    private static func failure(_ what: String) -> Problem {
        .failed("\(what): \(String(cString: strerror(errno))); name another folder with --cache")
    }
}

/// Bytes of a part of a tensor, mapped or held.
final class PieceMemory {
    let base: UnsafeMutableRawPointer
    private let byteCount: Int
    private let isMapped: Bool

    init(mapped base: UnsafeMutableRawPointer, byteCount: Int) {
        self.base = base
        self.byteCount = byteCount
        isMapped = true
    }

    /// Memory to fill.
    init(byteCount: Int) {
        base = .allocate(byteCount: max(byteCount, 1), alignment: 64)
        self.byteCount = byteCount
        isMapped = false
    }

    deinit {
        if isMapped { munmap(base, byteCount) } else { base.deallocate() }
    }
}
