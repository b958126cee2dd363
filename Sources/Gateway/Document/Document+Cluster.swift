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
            path: "/v1/jobs", method: "POST", summary: "A chat or a completion that outlives its connection",
            body: "JobRequest", status: 202, answer: "Job"),
        Operation(path: "/v1/jobs", method: "GET", summary: "Jobs, newest first", answer: "Jobs"),
        Operation(path: "/v1/jobs/{id}", method: "GET", summary: "One job", answer: "Job"),
        Operation(path: "/v1/jobs/{id}", method: "DELETE", summary: "Ends a job", answer: "Job"),
        Operation(
            path: "/v1/jobs/{id}/events", method: "GET",
            summary: "A job's events from its beginning, or behind Last-Event-ID", media: ["text/event-stream"]),
        Operation(path: "/v1/status", method: "GET", summary: "The cluster as it is now", answer: "Status"),
        Operation(
            path: "/v1/cluster/scale", method: "POST", summary: "Another layout, while jobs run", body: "ScaleRequest",
            status: 202, answer: "State"),
        Operation(
            path: "/v1/cluster/drain", method: "POST", summary: "Takes a worker out of the layout",
            body: "DrainRequest",
            status: 202, answer: "State"),
    ]

    static let clusterSchemas: Schema.Fields = [
        ("Any", Schema.any),
        ("State", Schema.answer([("status", Schema.string)], required: ["status"])),
        (
            "Model",
            Schema.answer(
                [
                    ("id", Schema.string), ("object", Schema.string), ("created", Schema.int()),
                    ("owned_by", Schema.string), ("max_model_len", Schema.int(from: 1)),
                ], required: ["id", "object", "created", "owned_by"])
        ),
        (
            "Models",
            Schema.answer(
                [("object", Schema.string), ("data", Schema.array(Schema.ref("Model")))], required: ["object", "data"])
        ),
        ("JobRequest", Schema.either(Schema.ref("ChatRequest"), Schema.ref("CompletionRequest"))),
        (
            "Job",
            Schema.answer(
                [("id", Schema.string), ("object", Schema.string), ("status", Schema.string)],
                required: ["id", "object", "status"])
        ),
        (
            "Jobs",
            Schema.answer(
                [("object", Schema.string), ("data", Schema.array(Schema.ref("Job")))], required: ["object", "data"])
        ),
        (
            "Status",
            Schema.answer(
                [("state", Schema.string), ("model", Schema.string), ("members", Schema.array(Schema.dictionary))],
                required: ["state", "model", "members"])
        ),
        (
            "ScaleRequest",
            Schema.object(
                [("layout", Schema.text("Stages x ranks, like 2x2, or auto"))], required: ["layout"])
        ),
        ("DrainRequest", Schema.object([("worker", Schema.text("A worker's name"))], required: ["worker"])),
    ]
}
