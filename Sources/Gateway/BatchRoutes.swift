import Core
import Hummingbird
import HummingbirdCore
import Tokenization

/// `/v1/batches`: many requests in one file, answered when there is time.
struct BatchRoutes: Sendable {
    let service: any ClusterService
    let generation: Generation
    let runner: BatchRunner

    func add(to router: Router<BasicRequestContext>) {
        router.post("/v1/batches") { request, _ in try await create(request) }
        router.get("/v1/batches") { request, _ in try await list(request) }
        router.get("/v1/batches/:id") { _, context in
            Response(json: try await counted(try await batch(context)).json)
        }
        router.post("/v1/batches/:id/cancel") { _, context in
            var batch = try await batch(context)
            if !batch.status.isOver {
                batch.status = .cancelling
                try await service.keep(batch.record)
                await runner.look()
            }
            return Response(json: try await counted(batch).json)
        }
    }

    private func create(_ request: Request) async throws -> Response {
        var request = request
        let fields = try Fields(Generation.json(try await generation.body(of: &request)))
        guard let input = try fields.string("input_file_id") else {
            throw APIError.field("input_file_id", "input_file_id: missing; expected a file's id", code: "missing")
        }
        guard let endpoint = Endpoint(rawValue: try fields.string("endpoint") ?? "") else {
            throw APIError.field(
                "endpoint",
                "endpoint: expected one of \(Endpoint.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        let window = try fields.string("completion_window") ?? "24h"
        let hours = window.hasSuffix("h") ? 1 : window.hasSuffix("d") ? 24 : 0
        guard hours > 0, let count = Int(window.dropLast()), (1...1000).contains(count) else {
            throw APIError.field(
                "completion_window",
                "completion_window: expected hours or days, like 24h or 7d, found '\(window.prefix(20))'")
        }
        let metadata = fields.value("metadata") ?? .null
        guard
            metadata.isNull
                || metadata.members.map({ $0.count <= 16 && $0.allSatisfy { $0.value.string != nil } }) == true
        else { throw APIError.field("metadata", "metadata: expected an object of at most 16 strings") }
        let (file, data) = try await FileRoutes.file(input, service, withData: true)
        guard file.purpose == "batch" else {
            throw APIError.field(
                "input_file_id", "input_file_id: \(file.id) was uploaded as \(file.purpose), not as batch")
        }
        let (lines, faults) = try await BatchRunner.read(data, endpoint: endpoint)
        let batch = Batch(
            owner: Caller.current?.id ?? "", endpoint: endpoint, input: input, window: window,
            seconds: count * hours * 3600, total: lines.count, metadata: metadata, faults: faults)
        try await service.keep(batch.record)
        await runner.look()
        return Response(json: batch.json)
    }

    private func list(_ request: Request) async throws -> Response {
        let limit = request.uri.queryParameters["limit"].flatMap { Int($0) } ?? 20
        guard (1...100).contains(limit) else {
            throw APIError.field("limit", "limit: expected a number from 1 to 100, found \(limit)")
        }
        var all = try await service.records(Batch.kind, prefix: "").reversed().compactMap { Batch($0) }[...]
        if let after = request.uri.queryParameters["after"].map({ String($0) }) {
            all = all.drop { $0.id != after }.dropFirst()
        }
        var shown: [Batch] = []
        for batch in all.prefix(limit) { shown.append(try await counted(batch)) }
        return Response(
            json: .record([
                "object": .string("list"), "data": .array(shown.map(\.json)),
                "first_id": .optional(shown.first?.id), "last_id": .optional(shown.last?.id),
                "has_more": .bool(all.count > limit),
            ]))
    }

    private func batch(_ context: BasicRequestContext) async throws -> Batch {
        let id = try context.parameters.require("id")
        guard let batch = try await service.record(Record.Name(Batch.kind, id), withData: false).flatMap({ Batch($0) })
        else { throw Problem.notFound("there is no batch \(id.prefix(100)); see /v1/batches") }
        return batch
    }

    /// The batch with the lines that are done, while it is not over.
    private func counted(_ batch: Batch) async throws -> Batch {
        guard !batch.status.isOver else { return batch }
        var batch = batch
        let lines = try await service.records(Batch.lineKind, prefix: batch.id + "/")
        batch.failed = lines.count { $0.text == BatchRunner.error }
        batch.completed = lines.count - batch.failed
        return batch
    }
}
