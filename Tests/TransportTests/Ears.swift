import Core
import Threads
import Transport

/// A server or client whose events wait in a mailbox, so that a test can name what it expects next.
final class ServerEars: Sendable {
    let events = Mailbox<Server.Event>()
    let server: Server

    init(_ context: Context, _ endpoint: String) throws {
        let events = events
        server = try Server(context: context, endpoint: endpoint) { events.put($0) }
    }

    deinit { server.close() }

    /// The next message; other events are passed over.
    func message() -> (peer: PeerID, frames: [[UInt8]])? {
        while let event = events.take(timeout: patience) {
            if case .message(let peer, let frames) = event { return (peer, frames) }
        }
        return nil
    }

    func refusal() -> String? {
        while let event = events.take(timeout: patience) {
            if case .refused(let text) = event { return text }
        }
        return nil
    }

    func unreachable() -> (peer: PeerID, frames: [[UInt8]])? {
        while let event = events.take(timeout: patience) {
            if case .unreachable(let peer, let frames) = event { return (peer, frames) }
        }
        return nil
    }
}

final class ClientEars: Sendable {
    let events = Mailbox<Client.Event>()
    let client: Client

    init(_ context: Context, _ endpoint: String, greeting: String) throws {
        let events = events
        client = try Client(context: context, endpoint: endpoint, greeting: [Array(greeting.utf8)]) { events.put($0) }
    }

    deinit { client.close() }

    /// Waits until an event is of the kind wanted; others are passed over.
    func next<T>(_ wanted: (Client.Event) -> T?) -> T? {
        while let event = events.take(timeout: patience) {
            if let found = wanted(event) { return found }
        }
        return nil
    }

    func message() -> [[UInt8]]? {
        next { if case .message(let frames) = $0 { frames } else { nil } }
    }

    func isConnected() -> Bool {
        next { if case .connected = $0 { true } else { nil } } ?? false
    }

    func isDisconnected() -> Bool {
        next { if case .disconnected = $0 { true } else { nil } } ?? false
    }

    func refusal() -> String? {
        next { if case .refused(let text) = $0 { text } else { nil } }
    }
}

/// Far longer than anything takes; only a broken build waits so long.
let patience = Duration.seconds(20)

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// A folder of its own that is gone after the test.
func withFolder(_ body: (String) throws -> Void) throws {
    let folder = try Endpoint.makePrivateFolder()
    defer { removeFolder(folder) }
    try body(folder)
}
