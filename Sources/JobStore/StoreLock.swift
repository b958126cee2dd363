import Core
import Glibc

/// A file that one process at a time has locked; the system lets go of it when the process ends, however it ends.
final class StoreLock: Sendable {
    private let descriptor: Int32

    init(path: String) throws {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw Problem.invalid(
                "store \(path): cannot be opened (\(Database.words(errno))); the folder must exist and be writable")
        }
        // What is thrown from here on ends the object: `deinit` closes the file, and nobody else may.
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw Problem.invalid(
                "store \(path.dropLast(".lock".count)): another coordinator uses it; end that one, or give this one a file of its own"
            )
        }
    }

    /// Lets go of it.
    func release() { flock(descriptor, LOCK_UN) }

    deinit { close(descriptor) }
}
