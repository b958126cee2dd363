import CoreMetrics

/// What a gateway measures of the answers that pass it; the names are those that dashboards of other servers know.
public struct RequestMeters: Sendable {
    /// Every family that a gateway reports, with what it is about.
    static let families: [String: Meters.Family] = [
        "glm_time_to_first_token_seconds": .init(
            help: "From the request's arrival to the first token of its answer, at the gateway."),
        "glm_inter_token_latency_seconds": .init(help: "From one token of an answer to the next, at the gateway."),
        "glm_gateway_token_latency_seconds": .init(
            help:
                "From a token's arrival at the gateway to its event's being handed to the connection; readers' delays apart.",
            bounds: [0.0001, 0.00025, 0.0005] + Meters.seconds),
        "glm_e2e_request_latency_seconds": .init(
            help: "From the request's arrival to the end of its answer, at the gateway."),
        "glm_request_queue_time_seconds": .init(help: "Waiting for the first step."),
        "glm_request_prefill_time_seconds": .init(help: "From the first step to the first token."),
        "glm_request_decode_time_seconds": .init(help: "From the first token to the last."),
        "glm_request_prompt_tokens": .init(help: "Tokens of a request's prompt.", bounds: Meters.tokens),
        "glm_request_generation_tokens": .init(help: "Tokens of an answer.", bounds: Meters.tokens),
        "http_server_active_requests": .init(help: "Requests that are being answered."),
        "http_server_request_duration_seconds": .init(
            help: "From a request's arrival to the end of its response, streams included."),
        "hb_requests_total": .init(help: "Requests that were answered."),
        "hb_request_errors_total": .init(help: "Requests that no route answered."),
    ]

    private let firstTokenLatency: Recorder
    private let tokenLatency: Recorder
    private let ownLatency: Recorder
    private let latency: Recorder
    private let queueTime: Recorder
    private let prefillTime: Recorder
    private let decodeTime: Recorder
    private let promptTokens: Recorder
    private let generatedTokens: Recorder

    /// Meters that report to `meters`.
    public init(_ meters: Meters = Telemetry.meters) {
        func recorder(_ name: String) -> Recorder { Recorder(label: "glm_\(name)", factory: meters) }
        firstTokenLatency = recorder("time_to_first_token_seconds")
        tokenLatency = recorder("inter_token_latency_seconds")
        ownLatency = recorder("gateway_token_latency_seconds")
        latency = recorder("e2e_request_latency_seconds")
        queueTime = recorder("request_queue_time_seconds")
        prefillTime = recorder("request_prefill_time_seconds")
        decodeTime = recorder("request_decode_time_seconds")
        promptTokens = recorder("request_prompt_tokens")
        generatedTokens = recorder("request_generation_tokens")
    }

    /// The first token of an answer came, so many seconds after the request.
    public func firstToken(after seconds: Double) { firstTokenLatency.record(seconds) }

    /// Another token came, so many seconds after the one before.
    public func nextToken(after seconds: Double) { tokenLatency.record(seconds) }

    /// A token's event was handed to its connection, so many seconds after the token came.
    public func handedOn(after seconds: Double) { ownLatency.record(seconds) }

    /// An answer ended, so many seconds after its request; where the time went, and how many tokens there were.
    public func ended(
        after seconds: Double, queued: Double, prefill: Double, decode: Double, promptTokens: Int, generatedTokens: Int
    ) {
        latency.record(seconds)
        queueTime.record(queued)
        prefillTime.record(prefill)
        decodeTime.record(decode)
        self.promptTokens.record(promptTokens)
        self.generatedTokens.record(generatedTokens)
    }
}
