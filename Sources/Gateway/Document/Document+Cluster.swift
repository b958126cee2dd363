import Core

/// The routes that say what there is, and those for jobs and for operators.
extension Document {
    static let cluster = [
        Operation(path: "/v1/models", method: "GET", summary: "The model that is served", answer: "Models"),
        Operation(path: "/v1/models/{id}", method: "GET", summary: "One model", answer: "Model"),
        Operation(
            path: "/health", method: "GET", summary: "Whether jobs run; 503 while the model loads", answer: "State"),
        Operation(path: "/ready", method: "GET", summary: "Whether jobs run", answer: "State"),
        Operation(path: "/openapi.json", method: "GET", summary: "This document", answer: "Any"),
        Operation(
            path: "/v1/jobs", method: "POST", summary: "Work of another route that outlives its connection",
            body: "JobRequest", form: "JobForm", status: 202, answer: "Job"),
        Operation(path: "/v1/jobs", method: "GET", summary: "Jobs, newest first", answer: "Jobs"),
        Operation(path: "/v1/jobs/{id}", method: "GET", summary: "One job", answer: "Job"),
        Operation(path: "/v1/jobs/{id}", method: "DELETE", summary: "Ends a job", answer: "Job"),
        Operation(
            path: "/v1/jobs/{id}/events", method: "GET",
            summary: "A job's events from its beginning, or behind Last-Event-ID", media: ["text/event-stream"]),
        Operation(
            path: "/v1/files", method: "POST", summary: "Uploads a file for a batch, or a document", body: "Upload",
            bodyMedia: "multipart/form-data", answer: "File"),
        Operation(
            path: "/v1/files", method: "GET", summary: "Files, newest first", query: ["purpose"], answer: "Files"),
        Operation(path: "/v1/files/{id}", method: "GET", summary: "One file", answer: "File"),
        Operation(path: "/v1/files/{id}", method: "DELETE", summary: "Forgets a file", answer: "Deleted"),
        Operation(
            path: "/v1/files/{id}/content", method: "GET", summary: "A file's bytes",
            media: ["application/octet-stream"]),
        Operation(
            path: "/v1/batches", method: "POST", summary: "Many requests in one file, answered when there is time",
            body: "BatchRequest", answer: "Batch"),
        Operation(
            path: "/v1/batches", method: "GET", summary: "Batches, newest first", query: ["limit", "after"],
            answer: "Batches"),
        Operation(path: "/v1/batches/{id}", method: "GET", summary: "One batch", answer: "Batch"),
        Operation(path: "/v1/batches/{id}/cancel", method: "POST", summary: "Ends a batch", answer: "Batch"),
        Operation(path: "/v1/status", method: "GET", summary: "The cluster as it is now", answer: "Status"),
        Operation(path: "/metrics", method: "GET", summary: "Prometheus' text", media: ["text/plain"]),
        Operation(
            path: "/debug/steps", method: "GET", summary: "The last steps as a Chrome trace", answer: "Any"),
        Operation(
            path: "/v1/cluster/scale", method: "POST", summary: "Another layout, while jobs run", body: "ScaleRequest",
            status: 202, answer: "State"),
        Operation(
            path: "/v1/cluster/drain", method: "POST", summary: "Takes a worker out of the layout",
            body: "DrainRequest",
            status: 202, answer: "State"),
        Operation(
            path: "/v1/cluster/links", method: "POST", summary: "Measures the links between workers", answer: "Links"),
    ]

    static let clusterSchemas: [(String, JSONValue)] = [
        ("Any", Schema.any), ("State", state), ("Model", model), ("Models", list(of: "Model")),
        ("JobRequest", jobRequest), ("JobForm", jobForm), ("Job", job),
        ("Jobs", list(of: "Job")), ("Upload", upload), ("File", file), ("Files", list(of: "File")),
        ("Deleted", deleted), ("BatchRequest", batchRequest), ("Batch", batch), ("Batches", list(of: "Batch")),
        ("Status", status), ("ScaleRequest", scaleRequest), ("DrainRequest", drainRequest),
        ("Link", link), ("Links", list(of: "Link")),
    ]

    private static func list(of name: String) -> JSONValue {
        Schema.answer(
            ["object": Schema.string, "data": Schema.array(Schema.ref(name))], required: ["object", "data"])
    }

    private static let state = Schema.answer(["status": Schema.string], required: ["status"])
    private static let model = Schema.answer(
        [
            "id": Schema.string, "object": Schema.string, "created": Schema.int(from: 0), "owned_by": Schema.string,
            "max_model_len": Schema.int(from: 1),
        ], required: ["id", "object", "created", "owned_by"])
    private static let endpoint = Schema.words(Endpoint.allCases.map(\.rawValue))
    private static let jobRequest = Schema.either(
        Schema.ref("ChatRequest"), Schema.ref("CompletionRequest"), Schema.ref("ResponseRequest"),
        Schema.object(["url": endpoint, "body": Schema.dictionary], required: ["url", "body"]))
    private static let jobForm = Schema.object(
        ["request": Schema.text("A JobRequest as JSON."), "file": Schema.string], required: ["request"])
    private static let job = Schema.answer(
        ["id": Schema.string, "object": Schema.string, "status": Schema.string], required: ["id", "object", "status"])
    private static let upload = Schema.object(
        ["file": Schema.string, "purpose": Schema.word("batch", "user_data", "assistants", "evals")],
        required: ["file", "purpose"])
    private static let file = Schema.answer(
        [
            "id": Schema.string, "object": Schema.string, "bytes": Schema.int(from: 0),
            "created_at": Schema.int(from: 0), "filename": Schema.string, "purpose": Schema.string,
        ], required: ["id", "object", "bytes", "created_at", "filename", "purpose"])
    private static let deleted = Schema.answer(
        ["id": Schema.string, "object": Schema.string, "deleted": Schema.bool], required: ["id", "object", "deleted"])
    private static let batchRequest = Schema.object(
        [
            "input_file_id": Schema.string, "endpoint": endpoint,
            "completion_window": Schema.matching("^[1-9][0-9]{0,2}[hd]$", most: 4),
            "metadata": Schema.strings(most: 16),
        ], required: ["input_file_id", "endpoint"])
    private static let batch = Schema.answer(
        [
            "id": Schema.string, "object": Schema.string, "status": Schema.string, "endpoint": Schema.string,
            "input_file_id": Schema.string,
        ], required: ["id", "object", "status", "endpoint", "input_file_id"])
    private static let status = Schema.answer(
        ["state": Schema.string, "model": Schema.string, "members": Schema.array(Schema.dictionary)],
        required: ["state", "model", "members"])
    private static let scaleRequest = Schema.object(
        ["layout": Schema.matching("^(auto|[1-9][0-9]?x[1-8])$", most: 4)], required: ["layout"])
    private static let link = Schema.answer(
        [
            "from": Schema.string, "to": Schema.string, "way": Schema.word("ring", "socket"),
            "round_trip_us": Schema.number(), "row_round_trip_us": Schema.number(),
            "bytes_per_second": Schema.int(from: 0),
        ], required: ["from", "to", "way", "round_trip_us", "row_round_trip_us", "bytes_per_second"])
    private static let drainRequest = Schema.object(
        ["worker": Schema.filled], required: ["worker"])
}
