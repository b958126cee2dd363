import Core
import Hummingbird

/// `POST /v1/cluster/links`: measures the links between the workers.
struct LinkRoutes: Sendable {
    let service: any ClusterService

    func add(to router: Router<BasicRequestContext>) {
        router.post("/v1/cluster/links") { _, _ in
            let links = try await service.measureLinks().map { link in
                JSONValue.record([
                    "from": .string(link.from.name), "to": .string(link.to.name),
                    "way": .string(link.speed.way.rawValue),
                    "round_trip_us": .real(Double(link.speed.roundTripNanoseconds) / 1000),
                    "row_round_trip_us": .real(Double(link.speed.rowRoundTripNanoseconds) / 1000),
                    "bytes_per_second": .integer(link.speed.bytesPerSecond),
                ])
            }
            return Response(json: .record(["object": .string("list"), "data": .array(links)]))
        }
    }
}
