import Core
import Glibc

/// Where a socket listens or connects: `tcp://HOST:PORT`, `ipc://PATH` or `inproc://NAME`.
public enum Endpoint {
    /// Whether only processes of this machine can reach `endpoint`.
    public static func isLocal(_ endpoint: String) -> Bool {
        if isPath(endpoint) { return true }
        guard let host = tcpHost(endpoint) else { return false }
        if host == "localhost" || host == "[::1]" || host == "::1" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        return parts.count == 4 && parts[0] == 127 && !parts.contains(nil)
    }

    /// Whether two workers that listen there are probably on one machine.
    static func isSameHost(_ one: String, _ other: String) -> Bool {
        (isLocal(one) && isLocal(other)) || (tcpHost(one) != nil && tcpHost(one) == tcpHost(other))
    }

    /// Whether all of these endpoints are on one host, whichever it is.
    public static func areOnOneHost(_ endpoints: [String]) -> Bool {
        guard let first = endpoints.first else { return true }
        return endpoints.allSatisfy { isSameHost(first, $0) }
    }

    /// Whether `endpoint` is written in IPv6; with that option libzmq would spell IPv4 addresses in another way too.
    static func isIPv6(_ endpoint: String) -> Bool { endpoint.hasPrefix("tcp://[") }

    /// Whether `endpoint` is a path or a name and no address: the folder's permissions protect it, encryption would not.
    static func isPath(_ endpoint: String) -> Bool { endpoint.hasPrefix("ipc://") || endpoint.hasPrefix("inproc://") }

    /// The host in `tcp://HOST:PORT`, or nil.
    static func tcpHost(_ endpoint: String) -> Substring? {
        guard endpoint.hasPrefix("tcp://"), let colon = endpoint.lastIndex(of: ":") else { return nil }
        let start = endpoint.index(endpoint.startIndex, offsetBy: 6)
        guard colon > start else { return nil }
        return endpoint[start..<colon]
    }

    /// Refuses to listen where others could reach an unprotected socket.
    ///
    /// Loopback and ipc are open by default; anything else needs keys, or a user who asked for `--insecure`.
    public static func checkBind(_ endpoint: String, security: Security, insecure: Bool) throws {
        guard isPath(endpoint) || tcpHost(endpoint) != nil else {
            throw Problem.invalid("'\(endpoint)' is no address to listen on; write tcp://HOST:PORT or ipc://PATH")
        }
        if case .curve = security { return }
        guard isLocal(endpoint) || insecure else {
            throw Problem.refused(
                "listening on \(endpoint) without keys would let anybody in; make keys with 'glm keys make' and give --keys, "
                    + "or add --insecure on a network that you trust")
        }
    }

    /// A new folder that only this user can enter, for ipc sockets; paths of sockets must be short, so it is in /tmp.
    public static func makePrivateFolder() throws -> String {
        var path = Array("/tmp/glm-XXXXXX".utf8CString)
        guard mkdtemp(&path) != nil else {
            throw Problem.failed("making a folder in /tmp for sockets: \(String(cString: strerror(errno)))")
        }
        return String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
