import Core
import Glibc

/// Whole files as bytes.
enum FileBytes {
    /// The bytes of the file at `path`, or of standard input when the path is nil; `remedy` ends the problem's message.
    static func read(_ path: String?, remedy: String) throws -> [UInt8] {
        let name = path ?? "standard input"
        let descriptor = path.map { open($0, O_RDONLY | O_CLOEXEC) } ?? STDIN_FILENO
        guard descriptor >= 0 else { throw failure(name, remedy) }
        defer { if path != nil { close(descriptor) } }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure(name, remedy) }
            guard count > 0 else { return bytes }
            bytes += chunk[..<count]
        }
    }

    private static func failure(_ name: String, _ remedy: String) -> Problem {
        .invalid("\(name) cannot be read: \(String(cString: strerror(errno)).lowercased()); \(remedy)")
    }
}
