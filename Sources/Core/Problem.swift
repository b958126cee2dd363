/// What went wrong, in words for the person who can mend it.
///
/// The message says what happened, what was expected and found, and what to do next: one line, no stack.
/// It is the one error type that crosses rooms; `kind` decides the exit code, the HTTP status and whether to retry.
public struct Problem: Error, Hashable, Sendable, CustomStringConvertible {
    /// Who can mend it.
    public enum Kind: String, Sendable, CaseIterable {
        /// The caller asked for something wrong: a bad flag, a damaged file, a prompt too long.
        case invalid
        /// The thing named does not exist.
        case notFound = "not_found"
        /// The caller may not do this: a wrong key, another model, another protocol.
        case refused
        /// Not now: loading, no workers. Trying again later is sensible.
        case unavailable
        /// Too much at once: the queue is full, or a key's limit is used up. `retryAfter` says when to try again.
        case busy
        /// The caller, or somebody for the caller, cancelled it.
        case cancelled
        /// Something of ours broke: a lost worker, a failed disk.
        case failed
    }

    /// Who can mend it.
    public var kind: Kind
    /// One line: what happened; what to do.
    public var message: String
    /// Seconds after which trying again is sensible, where that is known.
    public var retryAfter: Int?

    /// A problem of `kind`, in words.
    public init(_ kind: Kind, _ message: String) {
        self.kind = kind
        self.message = message
    }

    /// The caller asked for something wrong.
    public static func invalid(_ message: String) -> Problem { Problem(.invalid, message) }
    /// The thing named does not exist.
    public static func notFound(_ message: String) -> Problem { Problem(.notFound, message) }
    /// The caller may not do this.
    public static func refused(_ message: String) -> Problem { Problem(.refused, message) }
    /// Not now.
    public static func unavailable(_ message: String) -> Problem { Problem(.unavailable, message) }
    /// Too much at once; it may be tried again after so many seconds.
    public static func busy(_ message: String, retryAfter: Int) -> Problem {
        var problem = Problem(.busy, message)
        problem.retryAfter = max(1, retryAfter)
        return problem
    }
    /// Something of ours broke.
    public static func failed(_ message: String) -> Problem { Problem(.failed, message) }

    /// The message.
    public var description: String { message }
}
