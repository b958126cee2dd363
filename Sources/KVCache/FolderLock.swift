import Core
import Glibc

/// A folder that one store at a time uses; the system lets go of it when the process ends, however it ends.
final class FolderLock: Sendable {
    private let descriptor: Int32

    /// Locks a folder that exists; where another one has it, waits for its turn or throws.
    init(_ folder: String, waits: Bool = false) throws {
        descriptor = open("\(folder)/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw PageFile.failure("opening \(folder)/lock") }
        // What is thrown from here on ends the object: `deinit` closes the file, and nobody else may.
        while flock(descriptor, waits ? LOCK_EX : LOCK_EX | LOCK_NB) != 0 {
            if errno == EINTR { continue }
            guard errno == EWOULDBLOCK else { throw PageFile.failure("locking \(folder)/lock") }
            throw Problem.unavailable("the folder \(folder) is in use by another worker; name another with --kv-store")
        }
    }

    deinit {
        // To close it is not enough: a process that is being started holds a copy until its program runs.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }
}
