import Transport

/// Somebody who is connected: a peer of one of the coordinator's sockets.
struct Contact: Hashable, Sendable {
    /// Which socket.
    var server: Int
    /// Which peer of it.
    var peer: PeerID
}
