import Core
import FoundationEssentials
import Gateway
import Testing
import Tokenization

@Suite("the OpenAPI document")
struct DocumentTests {
    /// Every `router.get("/...")` and its kin in the gateway's sources, with parameters written as OpenAPI has them.
    static func routes() throws -> [(method: String, path: String)] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "Sources/Gateway").path
        let files = try FileManager.default.subpathsOfDirectory(atPath: folder).filter { $0.hasSuffix(".swift") }
        return try files.flatMap { name in
            let text = String(
                decoding: try #require(FileManager.default.contents(atPath: "\(folder)/\(name)")), as: UTF8.self)
            return text.matches(of: /router\.(get|post|put|delete|patch)\(\s*"([^"]+)"/).map { match in
                let parts = match.2.split(separator: "/").map { part in
                    part == "**" ? "{id}" : part.hasPrefix(":") ? "{\(part.dropFirst())}" : String(part)
                }
                return (method: String(match.1), path: "/" + parts.joined(separator: "/"))
            }
        }
    }

    @Test("it is served, has every route, and every schema that it names")
    func complete() async throws {
        try await withGateway(try FakeCluster()) { client in
            let reply = try await client.send(.get, "/openapi.json")
            let document = try reply.json
            #expect(document["openapi"]?.string == "3.1.0")
            let routes = try Self.routes()
            #expect(routes.count > 15)
            for (method, path) in routes {
                #expect(document["paths"]?[path]?[method] != nil, "\(method) \(path) is not in the document")
            }
            let model = try await client.send(.get, "/tokenizer_info").json
            #expect(
                document["components"]?["schemas"]?["Token"]?["maximum"]?.integer
                    == model["vocab_size"]?.integer.map { $0 - 1 })
            let schemas = Set(document["components"]?["schemas"]?.members?.map(\.key) ?? [])
            for reference in reply.body.matches(of: /"#\/components\/schemas\/(\w+)"/) {
                #expect(schemas.contains(String(reference.1)), "\(reference.1) is not there")
            }
            let names = document["paths"]?.members?.flatMap { path in
                path.value.members?.compactMap { $0.value["operationId"]?.string } ?? []
            }
            #expect(names?.count == Set(names ?? []).count)
        }
    }

    @Test("every path of it is served, and a method that a path has not is told apart from a path that is not there")
    func served() async throws {
        try await withGateway(try FakeCluster()) { client in
            for path in try await client.send(.get, "/openapi.json").json["paths"]?.members ?? [] {
                let concrete = path.key.replacing(/\{\w+\}/, with: "x")
                let methods = (path.value.members ?? []).map { $0.key.uppercased() }
                for method in [Method.get, .post, .delete] where !methods.contains(method.rawValue) {
                    let reply = try await client.send(method, concrete)
                    #expect(reply.status == 405, "\(method) \(concrete)")
                    #expect(reply.headers["allow"] == methods.joined(separator: ", "))
                }
                for method in [Method.get, .post, .delete] where methods.contains(method.rawValue) {
                    #expect(try await !client.send(method, concrete).body.contains("\"unknown_url\""))
                }
            }
            #expect(try await client.send(.get, "/v1/nothing").status == 404)
        }
    }
}
