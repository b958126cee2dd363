import HTTPTypes
import Hummingbird
import NIOCore

/// The dashboard at `/`: a static page, its style and its scripts, carried in the binary.
///
/// It holds no secret, so it is served to whoever reaches the gateway; what it shows it asks for with the reader's key.
struct DashboardRoutes: Sendable {
    /// The page's files by their paths, with their types.
    static let files: [(path: String, type: String, bytes: [UInt8])] = [
        ("/", "text/html; charset=utf-8", PackageResources.index_html),
        ("/dashboard/dashboard.css", "text/css; charset=utf-8", PackageResources.dashboard_css),
        script("main", PackageResources.main_js), script("api", PackageResources.api_js),
        script("topology", PackageResources.topology_js), script("kvmap", PackageResources.kvmap_js),
        script("charts", PackageResources.charts_js), script("jobs", PackageResources.jobs_js),
        script("chat", PackageResources.chat_js),
    ]

    /// Nothing from elsewhere, nothing inline, and no frame around it.
    static let policy =
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

    func add(to router: Router<BasicRequestContext>) {
        for (path, type, bytes) in Self.files {
            router.get(RouterPath(path)) { _, _ in
                var headers: HTTPFields = [.contentType: type, .cacheControl: "no-cache"]
                for (name, value) in [
                    ("Content-Security-Policy", Self.policy), ("X-Content-Type-Options", "nosniff"),
                    ("Referrer-Policy", "no-referrer"),
                ] {
                    if let name = HTTPField.Name(name) { headers[name] = value }
                }
                return Response(
                    status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
            }
        }
    }

    private static func script(_ name: String, _ bytes: [UInt8]) -> (path: String, type: String, bytes: [UInt8]) {
        ("/dashboard/\(name).js", "text/javascript; charset=utf-8", bytes)
    }
}
