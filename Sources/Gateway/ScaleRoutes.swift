import Core
import Hummingbird
import NIOCore
import Tokenization

/// `POST /v1/cluster/scale` and `POST /v1/cluster/drain`: another layout, while jobs run on.
struct ScaleRoutes: Sendable {
    let service: any ClusterService
    let generation: Generation

    func add(to router: Router<BasicRequestContext>) {
        router.post("/v1/cluster/scale") { request, _ in
            let fields = try await fields(of: request)
            guard let text = try fields.string("layout") else {
                throw APIError.field("layout", "layout: expected stages x ranks, like 2x2, or auto", code: "missing")
            }
            let layout: Layout?
            do {
                layout = text == "auto" ? nil : try Layout(text)
            } catch let problem as Problem {
                throw APIError.field("layout", problem.message)
            }
            try await service.scale(to: layout)
            return Response(json: .record(["status": .string("loading"), "layout": .string(text)]), status: .accepted)
        }
        router.post("/v1/cluster/drain") { request, _ in
            let fields = try await fields(of: request)
            guard let worker = try fields.string("worker"), !worker.isEmpty else {
                throw APIError.field("worker", "worker: expected a worker's name", code: "missing")
            }
            try await service.drain(WorkerID(worker))
            return Response(
                json: .record(["status": .string("draining"), "worker": .string(worker)]), status: .accepted)
        }
    }

    private func fields(of request: Request) async throws -> Fields {
        var request = request
        return try Fields(Generation.json(try await generation.body(of: &request)))
    }
}
