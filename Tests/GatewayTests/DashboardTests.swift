import Core
import Gateway
import Testing

@Suite("the dashboard")
struct DashboardTests {
    @Test(
        "the page and everything it names are served, with their types and a policy that allows nothing from elsewhere")
    func files() async throws {
        try await withGateway(try FakeCluster(isLoading: true)) { client in
            let page = try await client.send(.get, "/")
            #expect(page.status == 200 && page.headers["content-type"] == "text/html; charset=utf-8")
            var wanted = Set(page.body.matches(of: /(?:src|href)="(\/dashboard\/[^"]+)"/).map { String($0.1) })
            #expect(wanted.contains("/dashboard/main.js") && wanted.contains("/dashboard/dashboard.css"))
            var seen: Set<String> = []
            while let path = wanted.subtracting(seen).min() {
                seen.insert(path)
                let file = try await client.send(.get, path)
                #expect(file.status == 200, "\(path)")
                let isScript = path.hasSuffix(".js")
                #expect(file.headers["content-type"] == (isScript ? "text/javascript" : "text/css") + "; charset=utf-8")
                #expect(file.headers["x-content-type-options"] == "nosniff")
                for match in file.body.matches(of: /(?:from|import) "\.\/([a-z]+\.js)"/) {
                    wanted.insert("/dashboard/\(match.1)")
                }
            }
            #expect(seen.count == 8, "\(seen.sorted())")
            let policy = try #require(page.headers["content-security-policy"])
            #expect(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"))
            #expect(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains("*"))
        }
    }

    @Test("nothing in the page is inline or from elsewhere, and every field has a name")
    func page() async throws {
        try await withGateway(try FakeCluster()) { client in
            let page = try await client.send(.get, "/").body
            #expect(page.matches(of: /<script(?![^>]*\ssrc=)/).isEmpty)
            #expect(page.matches(of: /\s(?:style|on[a-z]+)=/).isEmpty && !page.contains("<style"))
            // The picture of the tab is a data URL, whose namespace is a name and no address.
            let addresses = page.matches(of: /https?:\/\/[^'"\s)]+/).map { String($0.0) }
            #expect(addresses == ["http://www.w3.org/2000/svg"])
            let labels = Set(page.matches(of: /<label[^>]*\sfor="([^"]+)"/).map { String($0.1) })
            for field in page.matches(of: /<(?:input|textarea)[^>]*\sid="([^"]+)"/) {
                #expect(labels.contains(String(field.1)), "\(field.1) has no label")
            }
            let ids = page.matches(of: /\sid="([^"]+)"/).map { String($0.1) }
            #expect(Set(ids).count == ids.count)
            // What scripts look up is there.
            for name in ["main", "api", "topology", "kvmap", "charts", "jobs", "chat"] {
                let script = try await client.send(.get, "/dashboard/\(name).js").body
                for id in script.matches(of: /(?:getElementById|[^.\w]get)\("([a-z-]+)"\)/) {
                    #expect(ids.contains(String(id.1)), "\(name).js looks for \(id.1)")
                }
            }
        }
    }
}
