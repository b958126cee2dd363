import Core
import HTTPTypes
import Hummingbird
import HummingbirdCore
import NIOCore
import Tokenization

/// `/v1/files`: what is uploaded for batches and as long documents.
struct FileRoutes: Sendable {
    let service: any ClusterService
    let generation: Generation

    private static let purposes: Set<String> = ["batch", "user_data", "assistants", "evals"]

    func add(to router: Router<BasicRequestContext>) {
        router.post("/v1/files") { request, _ in try await upload(request) }
        router.get("/v1/files") { request, _ in
            let purpose = request.uri.queryParameters["purpose"].map { String($0) }
            let files = try await service.records(StoredFile.kind, prefix: "").compactMap { StoredFile($0) }
            let found = files.filter { purpose == nil || $0.purpose == purpose }.reversed()
            return Response(
                json: .record([
                    "object": .string("list"), "data": .array(found.map(\.json)), "has_more": .bool(false),
                ]))
        }
        router.get("/v1/files/:id") { _, context in
            Response(json: try await Self.file(context, service, withData: false).file.json)
        }
        router.get("/v1/files/:id/content") { _, context in
            let found = try await Self.file(context, service, withData: true)
            return Response(
                status: .ok, headers: [.contentType: "application/octet-stream"],
                body: ResponseBody(byteBuffer: ByteBuffer(bytes: found.data)))
        }
        router.delete("/v1/files/:id") { _, context in
            let file = try await Self.file(context, service, withData: false).file
            try await service.forget(Record.Name(StoredFile.kind, file.id))
            return Response(
                json: .record(["id": .string(file.id), "object": .string("file"), "deleted": .bool(true)]))
        }
    }

    private func upload(_ request: Request) async throws -> Response {
        var request = request
        let body = try await generation.body(of: &request)
        let form = try Multipart(body, contentType: request.headers[.contentType] ?? "")
        guard let part = form["file"] else {
            throw APIError.field("file", "file: missing; expected a file in the form", code: "missing")
        }
        let purpose = form.text("purpose") ?? ""
        guard Self.purposes.contains(purpose) else {
            throw APIError.field(
                "purpose", "purpose: expected batch or user_data, found '\(purpose.prefix(40))'")
        }
        let file = StoredFile(name: part.fileName ?? "file", purpose: purpose, bytes: part.data.count)
        try await service.keep(file.record(owner: Caller.current?.id ?? "", data: part.data))
        return Response(json: file.json)
    }

    private static func file(
        _ context: BasicRequestContext, _ service: any ClusterService, withData: Bool
    ) async throws -> (file: StoredFile, data: [UInt8]) {
        try await file(try context.parameters.require("id"), service, withData: withData)
    }

    /// A file that the caller may see.
    static func file(
        _ id: String, _ service: any ClusterService, withData: Bool
    ) async throws -> (file: StoredFile, data: [UInt8]) {
        guard let record = try await service.record(Record.Name(StoredFile.kind, id), withData: withData),
            let file = StoredFile(record)
        else { throw Problem.notFound("there is no file \(id.prefix(100)); see /v1/files") }
        return (file, record.data)
    }
}
