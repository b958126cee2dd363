/// The version of the control protocol that stands in every message.
public struct ProtocolVersion: Hashable, Sendable, CustomStringConvertible {
    /// Changes when old and new can not talk: another major is refused.
    public var major: UInt32
    /// Changes with every addition: another minor is served.
    public var minor: UInt32

    /// Version `major`.`minor`.
    public init(major: UInt32, minor: UInt32) {
        self.major = major
        self.minor = minor
    }

    /// What this program speaks; `proto/README.md` says when it changes.
    public static let current = ProtocolVersion(major: 2, minor: 4)

    /// `major.minor`.
    public var description: String { "\(major).\(minor)" }
}
