import Core
import HTTPTypes
import Hummingbird
import NIOCore
import Telemetry
import Tokenization

/// What operators' programs read: `/metrics` for Prometheus, `/debug/steps` for trace viewers.
struct WatchRoutes: Sendable {
    let service: any ClusterService

    func add(to router: Router<BasicRequestContext>) {
        router.get("/metrics") { [service] _, _ in
            // Without a coordinator the gateway's own series still say how it fares.
            let status = try? await service.status()
            let text = Telemetry.meters.text + ClusterExposition.text(status)
            return Response(
                status: .ok, headers: [.contentType: Exposition.contentType, .cacheControl: "no-store"],
                body: ResponseBody(byteBuffer: ByteBuffer(string: text)))
        }
        router.get("/debug/steps") { [service] _, _ in Response(json: ChromeTrace.json(try await service.steps())) }
    }
}
