import Core

/// A host and port to listen at, written `HOST:PORT` or `[IPv6]:PORT`.
public struct ListenAddress: Hashable, Sendable, CustomStringConvertible {
    /// The host: a name or an address, without brackets.
    public var host: String
    /// The port; 0 takes a free one.
    public var port: Int

    /// Reads `HOST:PORT`.
    public init(_ text: String) throws {
        let wanted = "expected HOST:PORT, for example 127.0.0.1:8080"
        guard let colon = text.lastIndex(of: ":") else { throw Problem.invalid("'\(text)' is no address; \(wanted)") }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            throw Problem.invalid("'\(text)' is no address; write IPv6 addresses in brackets, for example [::1]:8080")
        }
        guard !host.isEmpty, let port = Int(text[text.index(after: colon)...]), (0...65535).contains(port) else {
            throw Problem.invalid("'\(text)' is no address; \(wanted)")
        }
        self.host = String(host)
        self.port = port
    }

    /// Whether only this machine can reach it.
    public var isLoopback: Bool {
        if host == "localhost" || host == "::1" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4 && parts.allSatisfy { UInt8($0) != nil } && parts.first == "127"
    }

    /// `HOST:PORT`, with brackets around an IPv6 address.
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
