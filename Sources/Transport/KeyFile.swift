import Core
import Glibc

/// Key files: one `name key` a line, readable by their owner alone.
public enum KeyFile {
    /// For coordinator and workers.
    public static let clusterName = "cluster.key"
    /// For gateways.
    public static let gatewayName = "gateway.key"
    /// The public halves, for whoever wants to compare.
    public static let publicName = "cluster.pub"

    /// Makes new keys and writes the three files into `folder`, which is made when it is missing; returns their paths.
    ///
    /// Existing files are never replaced: a cluster that lost its keys by accident is a cluster that stands still.
    public static func make(in folder: String) throws -> [String] {
        if mkdir(folder, 0o700) != 0, errno != EEXIST { throw failure("making the folder \(folder)") }
        let keys = try ClusterKeys.make()
        let files = [
            (clusterName, text(keys, head: "The cluster's secret: for coordinator and workers."), 0o600),
            (gatewayName, text(keys.withoutServerSecret, head: "The gateways' secret."), 0o600),
            (
                publicName, "server-public \(keys.serverPublicKey)\nclient-public \(keys.client.publicKey)\n", 0o644
            ),
        ]
        let paths = files.map { "\(folder)/\($0.0)" }
        for path in paths where access(path, F_OK) == 0 {
            throw Problem.invalid("\(path) exists already; keep it, or move it away to make new keys")
        }
        for (path, file) in zip(paths, files) { try write(file.1, to: path, mode: mode_t(file.2)) }
        return paths
    }

    /// The keys in the file at `path`; refused when others than its owner may read it.
    public static func read(_ path: String) throws -> ClusterKeys {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure("reading the keys in \(path)") }
        defer { close(file) }
        var facts = stat()
        guard fstat(file, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG, facts.st_size <= 65_536 else {
            throw Problem.invalid("\(path) is no key file; make keys with 'glm keys make'")
        }
        guard facts.st_mode & 0o077 == 0 else {
            let mode = String(facts.st_mode & 0o777, radix: 8)
            throw Problem.refused("\(path) has mode \(mode), so others can read the secret; run chmod 600 \(path)")
        }
        let bytes = [UInt8](unsafeUninitializedCapacity: 65_536) { bytes, count in
            count = max(0, Glibc.read(file, bytes.baseAddress, bytes.count))
        }
        return try parse(String(decoding: bytes, as: UTF8.self), path: path)
    }

    private static func text(_ keys: ClusterKeys, head: String) -> String {
        var lines = ["# \(head) Nobody else may read it.", "server-public \(keys.serverPublicKey)"]
        if let secret = keys.serverSecretKey { lines.append("server-secret \(secret)") }
        lines += ["client-public \(keys.client.publicKey)", "client-secret \(keys.client.secretKey)", ""]
        return lines.joined(separator: "\n")
    }

    static func parse(_ text: String, path: String) throws -> ClusterKeys {
        var found: [Substring: String] = [:]
        // A key may itself hold '#', so only a line that begins with it is a comment.
        for line in text.split(whereSeparator: \.isNewline) where !line.hasPrefix("#") {
            let words = line.split(separator: " ")
            guard words.count == 2, found.updateValue(String(words[1]), forKey: words[0]) == nil else {
                throw Problem.invalid(
                    "\(path): expected lines of a name and a key, each name once; make keys with 'glm keys make'")
            }
        }
        guard let server = found["server-public"], KeyPair.bytes(server) != nil, let publicKey = found["client-public"],
            let secretKey = found["client-secret"]
        else {
            throw Problem.invalid(
                "\(path): expected server-public, client-public and client-secret; make keys with 'glm keys make'")
        }
        if let secret = found["server-secret"] { _ = try KeyPair(publicKey: server, secretKey: secret) }
        return ClusterKeys(
            serverPublicKey: server, serverSecretKey: found["server-secret"],
            client: try KeyPair(publicKey: publicKey, secretKey: secretKey))
    }

    private static func write(_ text: String, to path: String, mode: mode_t) throws {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard file >= 0 else { throw failure("writing \(path)") }
        defer { close(file) }
        let bytes = Array(text.utf8)
        // The mode is set again since the umask may have taken bits from it.
        guard fchmod(file, mode) == 0, Glibc.write(file, bytes, bytes.count) == bytes.count, fsync(file) == 0 else {
            throw failure("writing \(path)")
        }
    }

    private static func failure(_ what: String) -> Problem {
        Problem(errno == ENOENT ? .notFound : .invalid, "\(what): \(String(cString: strerror(errno)))")
    }
}
