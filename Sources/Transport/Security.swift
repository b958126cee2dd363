import CZeroMQ
import Core

/// Whether sockets are open to whoever can reach them, or encrypted and only for members.
public enum Security: Sendable, Hashable {
    /// No keys: for loopback and ipc.
    case open
    /// CURVE with the cluster's keys.
    case curve(ClusterKeys)

    /// The cluster's keys, when there are some.
    public var keys: ClusterKeys? {
        if case .curve(let keys) = self { keys } else { nil }
    }
}

/// A CURVE key pair, in libzmq's printable form (Z85, 40 characters each).
public struct KeyPair: Sendable, Hashable {
    /// The half that others may know.
    public var publicKey: String
    /// The half that they may not.
    public var secretKey: String
    /// The 32 bytes of the public half.
    let publicBytes: [UInt8]

    /// A new pair.
    public static func make() throws -> KeyPair {
        var (publicKey, secretKey) = ([CChar](repeating: 0, count: 41), [CChar](repeating: 0, count: 41))
        guard zmq_curve_keypair(&publicKey, &secretKey) == 0 else {
            throw Problem.failed("this libzmq can not make CURVE keys; install Debian's libzmq5")
        }
        return try KeyPair(publicKey: text(publicKey), secretKey: text(secretKey))
    }

    /// A pair that was made before; throws when the halves do not belong together.
    public init(publicKey: String, secretKey: String) throws {
        guard let bytes = Self.bytes(publicKey), Self.bytes(secretKey) != nil else {
            throw Problem.invalid("a CURVE key is 40 characters of Z85; make new ones with 'glm keys make'")
        }
        var derived = [CChar](repeating: 0, count: 41)
        guard zmq_curve_public(&derived, secretKey) == 0, Self.text(derived) == publicKey else {
            throw Problem.invalid(
                "the public and the secret CURVE key do not belong together; make new ones with 'glm keys make'")
        }
        self.publicKey = publicKey
        self.secretKey = secretKey
        publicBytes = bytes
    }

    /// The 32 bytes that Z85 `text` stands for, or nil.
    static func bytes(_ text: String) -> [UInt8]? {
        guard text.utf8.count == 40 else { return nil }
        var bytes = [UInt8](repeating: 0, count: 32)
        return zmq_z85_decode(&bytes, text) == nil ? nil : bytes
    }

    private static func text(_ characters: [CChar]) -> String {
        String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// The keys of a cluster: whoever holds them is a member.
///
/// Sockets that listen prove themselves with `server`, sockets that connect with `client`, and listening sockets admit
/// the client key alone. Coordinator and workers listen, so they need both pairs; a gateway only connects and its file
/// lacks the server's secret: it can not pose as the coordinator.
public struct ClusterKeys: Sendable, Hashable {
    /// What listening sockets are known by.
    public var serverPublicKey: String
    /// The secret of listening sockets; nil for members that only connect.
    public var serverSecretKey: String?
    /// What connecting sockets prove themselves with.
    public var client: KeyPair

    /// New keys.
    public static func make() throws -> ClusterKeys {
        let server = try KeyPair.make()
        return ClusterKeys(
            serverPublicKey: server.publicKey, serverSecretKey: server.secretKey, client: try KeyPair.make())
    }

    init(serverPublicKey: String, serverSecretKey: String?, client: KeyPair) {
        self.serverPublicKey = serverPublicKey
        self.serverSecretKey = serverSecretKey
        self.client = client
    }

    /// The same without the server's secret.
    public var withoutServerSecret: ClusterKeys {
        ClusterKeys(serverPublicKey: serverPublicKey, serverSecretKey: nil, client: client)
    }
}
