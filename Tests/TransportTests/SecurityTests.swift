import Core
import Glibc
import Testing
import Threads

@testable import Transport

@Suite("Security")
struct SecurityTests {
    @Test("members with the key talk, over control and over data sockets")
    func rightKey() throws {
        let keys = try ClusterKeys.make()
        let context = try Context(security: .curve(keys))
        let member = try Context(security: .curve(keys.withoutServerSecret))
        let server = try ServerEars(context, "tcp://127.0.0.1:*")
        let client = try ClientEars(member, server.server.endpoint, greeting: "hello")
        #expect(client.isConnected())
        #expect(server.message()?.frames == [bytes("hello")])

        let link = try DataLink(context: context, endpoint: "tcp://127.0.0.1:*")
        let sender = try DataLink(context: context, endpoint: "tcp://127.0.0.1:*")
        try sender.begin(epoch: 1, peers: [DataPeer(endpoint: link.endpoint, publicKey: keys.serverPublicKey)])
        let header = DataHeader(kind: .hidden, epoch: 1, step: 1, sequence: 0, stage: 0, rank: 0, parts: 1, elements: 2)
        try [Float(1), 2].withUnsafeBytes { try sender.send(to: 0, header, [$0], timeout: patience) }
        #expect(try link.receive(header.key, timeout: patience).values == [1, 2])
    }

    @Test("another client key is refused, told so, and logged once however often it tries")
    func wrongClientKey() throws {
        let keys = try ClusterKeys.make()
        let refusals = Mailbox<String>()
        let context = try Context(security: .curve(keys)) { refusals.put($0) }
        let server = try ServerEars(context, "tcp://127.0.0.1:*")
        var wrong = keys
        wrong.client = try KeyPair.make()
        let stranger = try Context(security: .curve(wrong))
        for _ in 0..<3 {
            let client = try ClientEars(stranger, server.server.endpoint, greeting: "hello")
            #expect(client.refusal()?.contains("key") == true)
        }
        #expect(refusals.take(timeout: patience)?.contains("not this cluster's") == true)
        #expect(refusals.poll() == nil)
        // Nothing of the strangers came through: the first message is the member's.
        let member = try ClientEars(context, server.server.endpoint, greeting: "member")
        #expect(member.isConnected())
        #expect(server.message()?.frames == [bytes("member")])
    }

    @Test("another server key and no key at all do not get in either")
    func wrongServerKey() throws {
        let context = try Context(security: .curve(try ClusterKeys.make()))
        let server = try ServerEars(context, "tcp://127.0.0.1:*")
        let stranger = try Context(security: .curve(try ClusterKeys.make()))
        let client = try ClientEars(stranger, server.server.endpoint, greeting: "stranger")
        let open = try ClientEars(Context(), server.server.endpoint, greeting: "open")
        #expect(server.refusal() != nil)
        #expect(open.refusal() != nil)
        let member = try ClientEars(context, server.server.endpoint, greeting: "member")
        #expect(member.isConnected())
        #expect(server.message()?.frames == [bytes("member")])
        client.client.close()
    }

    @Test("a gateway's key file can not protect a listening socket")
    func gatewayCanNotListen() throws {
        let context = try Context(security: .curve(try ClusterKeys.make().withoutServerSecret))
        #expect(throws: Problem.self) { try ServerEars(context, "tcp://127.0.0.1:*") }
    }

    @Test("loopback and ipc are open by default, anything else only with keys or when asked for")
    func bindRule() throws {
        let keys = Security.curve(try ClusterKeys.make())
        for endpoint in [
            "tcp://127.0.0.1:5", "tcp://127.9.9.9:*", "tcp://[::1]:5", "tcp://localhost:5", "ipc:///tmp/x",
        ] {
            try Endpoint.checkBind(endpoint, security: .open, insecure: false)
        }
        for endpoint in [
            "tcp://0.0.0.0:5", "tcp://*:5", "tcp://10.0.0.7:5", "tcp://[::]:5", "tcp://127.0.0.1.evil.org:5",
        ] {
            let problem = #expect(throws: Problem.self) {
                try Endpoint.checkBind(endpoint, security: .open, insecure: false)
            }
            #expect(problem?.kind == .refused)
            try Endpoint.checkBind(endpoint, security: .open, insecure: true)
            try Endpoint.checkBind(endpoint, security: keys, insecure: false)
        }
    }

    @Test("key files are made for their owner alone, never over others, and read back")
    func keyFiles() throws {
        try withFolder { folder in
            let paths = try KeyFile.make(in: folder)
            #expect(names(in: folder) == ["cluster.key", "cluster.pub", "gateway.key"])
            #expect(paths.map { mode($0) } == [0o600, 0o600, 0o644])
            let keys = try KeyFile.read("\(folder)/cluster.key")
            #expect(keys.serverSecretKey != nil)
            #expect(try KeyFile.read("\(folder)/gateway.key") == keys.withoutServerSecret)
            #expect(throws: Problem.self) { try KeyFile.make(in: folder) }
            #expect(try KeyFile.read("\(folder)/cluster.key") == keys)
        }
    }

    @Test("key files that others can read, that are damaged or that are none are refused in words")
    func badKeyFiles() throws {
        try withFolder { folder in
            _ = try KeyFile.make(in: folder)
            let keys = try KeyFile.read("\(folder)/cluster.key")
            let lines = [
                "server-public \(keys.serverPublicKey)", "client-public \(keys.client.publicKey)",
                "client-secret \(keys.client.secretKey)",
            ]
            func refusal(_ text: String, mode: mode_t = 0o600) -> Problem? {
                writeFile("\(folder)/x.key", text, mode: mode)
                return #expect(throws: Problem.self) { try KeyFile.read("\(folder)/x.key") }
            }
            writeFile("\(folder)/x.key", lines.joined(separator: "\n"), mode: 0o600)
            #expect(throws: Never.self) { try KeyFile.read("\(folder)/x.key") }
            #expect(refusal(lines.joined(separator: "\n"), mode: 0o640)?.message.contains("chmod 600") == true)
            for text in ["", "garbage", "a b c", lines[0], lines.dropLast().joined(separator: "\n"), "\u{1}\u{2}"] {
                #expect(refusal(text)?.kind == .invalid)
            }
            let strange = try KeyPair.make()
            #expect(refusal("\(lines[0])\n\(lines[1])\nclient-secret \(strange.secretKey)") != nil)
            #expect(refusal("\(lines[0])\n\(lines[1])\nclient-secret short") != nil)
            #expect(throws: Problem.self) { try KeyFile.read(folder) }
            let missing = #expect(throws: Problem.self) { try KeyFile.read("\(folder)/none.key") }
            #expect(missing?.kind == .notFound)
        }
    }
}
