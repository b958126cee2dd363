import Core
import Testing
import Threads

@testable import Transport

@Suite("Control plane")
struct ControlTests {
    /// Runs `body` with an endpoint over tcp and with one over ipc.
    private func overBoth(_ body: (Context, String) throws -> Void) throws {
        try body(Context(), "tcp://127.0.0.1:*")
        try withFolder { try body(Context(), "ipc://\($0)/control") }
    }

    @Test("the greeting comes first, and both sides can talk, over tcp and ipc")
    func talk() throws {
        try overBoth { context, endpoint in
            let server = try ServerEars(context, endpoint)
            #expect(!server.server.endpoint.contains("*"))
            let client = try ClientEars(context, server.server.endpoint, greeting: "hello")
            #expect(client.isConnected())
            client.client.send([bytes("question"), [], [UInt8](repeating: 9, count: 100_000)])
            let hello = try #require(server.message())
            #expect(hello.frames == [bytes("hello")])
            let question = try #require(server.message())
            #expect(question.peer == hello.peer)
            #expect(question.frames.map(\.count) == [8, 0, 100_000])
            server.server.send(to: hello.peer, [bytes("answer"), []])
            #expect(client.message() == [bytes("answer"), []])
        }
    }

    @Test("messages keep their order, thousands at once")
    func order() throws {
        let context = try Context()
        let server = try ServerEars(context, "tcp://127.0.0.1:*")
        let client = try ClientEars(context, server.server.endpoint, greeting: "hello")
        #expect(client.isConnected())
        let peer = try #require(server.message()).peer
        for i in 0..<3000 {
            client.client.send([bytes("\(i)")])
            server.server.send(to: peer, [bytes("\(i)")])
        }
        for i in 0..<3000 {
            #expect(try #require(server.message()).frames == [bytes("\(i)")])
            #expect(client.message() == [bytes("\(i)")])
        }
    }

    @Test("a peer that is gone is reported with the message that it did not get")
    func unreachable() throws {
        let context = try Context()
        let server = try ServerEars(context, "tcp://127.0.0.1:*")
        server.server.send(to: PeerID(bytes: [1, 2, 3]), [bytes("never there")])
        #expect(try #require(server.unreachable()).frames == [bytes("never there")])

        let client = try ClientEars(context, server.server.endpoint, greeting: "hello")
        let peer = try #require(server.message()).peer
        client.client.close()
        var lost: PeerID?
        let end = ContinuousClock.now + patience
        while lost == nil, .now < end {
            // The connection's end takes a moment to come through; until then messages are still taken.
            server.server.send(to: peer, [bytes("there?")])
            lost = server.events.take(timeout: .milliseconds(5)).flatMap {
                if case .unreachable(let peer, _) = $0 { peer } else { nil }
            }
        }
        #expect(lost == peer)
    }

    @Test("a client tells when the server goes, returns what it can not send, and greets the next server")
    func reconnect() throws {
        let context = try Context()
        var server: ServerEars? = try ServerEars(context, "tcp://127.0.0.1:*")
        let endpoint = try #require(server?.server.endpoint)
        let client = try ClientEars(context, endpoint, greeting: "hello")
        #expect(client.isConnected())
        #expect(server?.message()?.frames == [bytes("hello")])
        server = nil
        #expect(client.isDisconnected())
        client.client.send([bytes("lost")])
        let unsent = client.next { if case .unsent(let frames) = $0 { frames } else { nil } }
        #expect(unsent == [bytes("lost")])

        // The old socket frees its port in its own time.
        var second: ServerEars?
        let end = ContinuousClock.now + patience
        while second == nil, .now < end { second = try? ServerEars(context, endpoint) }
        #expect(client.isConnected())
        #expect(second?.message()?.frames == [bytes("hello")])
    }

    @Test("a busy port and a foolish address are problems in words")
    func badAddresses() throws {
        let context = try Context()
        let server = try ServerEars(context, "tcp://127.0.0.1:*")
        let busy = #expect(throws: Problem.self) { try ServerEars(context, server.server.endpoint) }
        #expect(busy?.kind == .invalid)
        #expect(busy?.message.contains("in use") == true)
        for endpoint in [
            "", "tcp://", "tcp://127.0.0.1", "http://127.0.0.1:80", "127.0.0.1:80", "tcp://127.0.0.1:port",
        ] {
            #expect(throws: Problem.self) { try ServerEars(context, endpoint) }
        }
    }

    @Test("localhost is an address to listen on")
    func localhost() throws {
        let context = try Context()
        let server = try ServerEars(context, "tcp://localhost:*")
        #expect(server.server.endpoint.hasPrefix("tcp://127.0.0.1:"))
    }

    @Test("plain TCP garbage harms nobody")
    func garbage() throws {
        let context = try Context()
        let server = try ServerEars(context, "tcp://127.0.0.1:*")
        let junk: [[UInt8]] = [
            bytes("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), [UInt8](repeating: 0xff, count: 4096), [0],
            // A ZMTP 3 signature, then nonsense where the greeting goes on.
            [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f] + [UInt8](repeating: 0xee, count: 200),
            // A ZMTP 3 NULL greeting, then a frame that claims 2^63 - 1 bytes.
            [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0] + bytes("NULL") + [UInt8](repeating: 0, count: 48)
                + [0x02, 0x7f] + [UInt8](repeating: 0xff, count: 7),
        ]
        let raw = junk.map { connectRaw(server.server.endpoint, $0) }
        #expect(!raw.contains(-1))
        let client = try ClientEars(context, server.server.endpoint, greeting: "hello")
        #expect(client.isConnected())
        #expect(server.message()?.frames == [bytes("hello")])
        for file in raw where file >= 0 { closeRaw(file) }
        client.client.send([bytes("still there")])
        #expect(server.message()?.frames == [bytes("still there")])
    }

    @Test("the stream of events ends when its owner closes")
    func streams() async throws {
        let context = try Context()
        let (server, serverEvents) = try Server.streaming(context: context, endpoint: "tcp://127.0.0.1:*")
        let (client, clientEvents) = try Client.streaming(
            context: context, endpoint: server.endpoint, greeting: [bytes("hello")])
        for await event in serverEvents {
            guard case .message(let peer, let frames) = event else { continue }
            #expect(frames == [bytes("hello")])
            server.send(to: peer, [bytes("welcome")])
            server.close()
        }
        for await event in clientEvents {
            if case .message(let frames) = event {
                #expect(frames == [bytes("welcome")])
                client.close()
            }
        }
    }
}
