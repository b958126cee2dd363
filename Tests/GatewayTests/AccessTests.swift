import CSodium
import Core
import Gateway
import Testing
import Tokenization

@Suite("API keys and origins")
struct AccessTests {
    /// A key whose secret is `secret`.
    private func key(_ secret: String, _ scope: APIKey.Scope, isRevoked: Bool = false, expires: Double? = nil) -> APIKey
    {
        let bytes = Array(secret.utf8)
        var hash = [UInt8](repeating: 0, count: 32)
        crypto_generichash(&hash, hash.count, bytes, UInt64(bytes.count), nil, 0)
        return APIKey(
            id: "key-\(secret)", name: secret, hash: hash, scope: scope, created: 0, expires: expires,
            isRevoked: isRevoked)
    }

    private func bearer(_ secret: String) -> [(String, String)] { [("authorization", "Bearer \(secret)")] }

    @Test("with keys, only who has one is let in, and only to what its scope allows")
    func scopes() async throws {
        let cluster = try FakeCluster()
        await cluster.set([
            key("eye", .watch), key("hand", .use), key("head", .admin), key("old", .admin, isRevoked: true),
            key("late", .admin, expires: 1),
        ])
        try await withGateway(cluster) { client in
            for path in ["/health", "/ready"] { #expect(try await client.send(.get, path).status == 200) }
            for headers in [
                [], bearer("none"), bearer("old"), bearer("late"), bearer(""), [("authorization", "Basic head")],
            ] {
                let reply = try await client.send(.get, "/v1/models", headers: headers)
                #expect(reply.status == 401, "\(headers)")
                #expect(try reply.json["error"]?["code"]?.string == "invalid_api_key")
            }
            let chat = #"{"messages":[{"role":"user","content":"hi"}]}"#
            for (secret, status) in [("eye", [200, 403, 403]), ("hand", [200, 200, 403]), ("head", [200, 200, 202])] {
                #expect(try await client.send(.get, "/v1/status", headers: bearer(secret)).status == status[0])
                #expect(
                    try await client.send(.post, "/v1/chat/completions", chat, headers: bearer(secret)).status
                        == status[1])
                #expect(
                    try await client.send(.post, "/v1/cluster/scale", #"{"layout":"auto"}"#, headers: bearer(secret))
                        .status
                        == status[2])
                let links = try await client.send(.post, "/v1/cluster/links", headers: bearer(secret))
                #expect(links.status == (secret == "head" ? 200 : 403))
            }
            #expect(try await client.send(.get, "/v1/models", headers: [("x-api-key", "eye")]).status == 200)
        }
    }

    @Test("keys see their own jobs and files; an admin sees all")
    func owners() async throws {
        let cluster = try FakeCluster()
        await cluster.set([key("ada", .use), key("bob", .use), key("root", .admin)])
        try await withGateway(cluster) { client in
            let made = try await client.send(.post, "/v1/jobs", #"{"prompt":"abc"}"#, headers: bearer("ada"))
            #expect(made.status == 202)
            #expect(await cluster.requests.last?.owner == "key-ada")
            for (secret, count, status) in [("ada", 1, 200), ("bob", 0, 404), ("root", 1, 200)] {
                let list = try await client.send(.get, "/v1/jobs", headers: bearer(secret)).json["data"]?.elements
                #expect(list?.count == count)
                for path in ["/v1/jobs/job-1", "/v1/jobs/job-1/events"] {
                    #expect(
                        try await client.send(.get, path, headers: bearer(secret)).status == status, "\(secret) \(path)"
                    )
                }
            }
            #expect(try await client.send(.delete, "/v1/jobs/job-1", headers: bearer("bob")).status == 404)
            #expect(await cluster.cancelled.isEmpty)
        }
    }

    @Test("a job sent twice with one Idempotency-Key is one job, for each API key")
    func sentTwice() async throws {
        let cluster = try FakeCluster()
        await cluster.set([key("ada", .use), key("bob", .use)])
        try await withGateway(cluster) { client in
            var ids: [String?] = []
            for secret in ["ada", "ada", "bob"] {
                let headers = bearer(secret) + [("idempotency-key", "run 7")]
                let made = try await client.send(.post, "/v1/jobs", #"{"prompt":"abc"}"#, headers: headers)
                ids.append(try made.json["id"]?.string)
            }
            #expect(ids == ["job-1", "job-1", "job-2"])
        }
    }

    @Test("a revoked last key does not open the gateway again")
    func revoked() async throws {
        let cluster = try FakeCluster()
        await cluster.set([key("a", .use, isRevoked: true)])
        try await withGateway(cluster) { client in
            let reply = try await client.send(.get, "/v1/models")
            #expect(reply.status == 401)
        }
    }

    @Test("pages of other sites are refused, unless they are named")
    func origins() async throws {
        try await withGateway(try FakeCluster(), origins: ["https://chat.example.org"]) { client in
            func send(_ method: Method, _ origin: String) async throws -> Reply {
                try await client.send(method, "/v1/models", headers: [("origin", origin)])
            }
            #expect(try await send(.get, "https://evil.example").status == 403)
            #expect(try await send(.get, "null").status == 403)
            let same = try await send(.get, "http://127.0.0.1")
            #expect(same.status == 200 && same.headers["access-control-allow-origin"] == nil)
            let named = try await send(.get, "https://chat.example.org")
            #expect(named.status == 200)
            #expect(named.headers["access-control-allow-origin"] == "https://chat.example.org")
        }
    }

    @Test("a head that is too long is refused, a connection that says nothing is closed")
    func limits() async throws {
        try await withGateway(try FakeCluster(), patience: .milliseconds(200)) { client in
            let long = String(repeating: "x", count: 100_000)
            let reply = try? await client.send(.get, "/health", headers: [("x-long", long)])
            #expect(reply?.status != 200)
            let isClosed = try await client.isClosedWhenSilent()
            #expect(isClosed)
            // Where tests keep every thread busy, a client too may be silent for too long before it asks.
            let serves = await eventually { (try? await client.send(.get, "/health"))?.status == 200 }
            #expect(serves)
        }
    }
}
