/// Why a job ended.
public enum FinishReason: String, Sendable, CaseIterable {
    /// An end-of-sequence token or a stop string.
    case stop
    /// `maxTokens` or the context was used up.
    case length
    /// Somebody cancelled it.
    case cancelled
    /// It failed; the job's problem says why.
    case error
}

/// Tokens in and out of one job.
public struct Usage: Hashable, Sendable {
    /// Tokens of the prompt.
    public var promptTokens: Int
    /// Tokens generated, the end-of-sequence token included.
    public var completionTokens: Int
    /// Tokens of the prompt whose KV was found, not computed.
    public var cachedTokens: Int

    /// Counts.
    public init(promptTokens: Int, completionTokens: Int, cachedTokens: Int = 0) {
        self.promptTokens = promptTokens
        self.completionTokens = completionTokens
        self.cachedTokens = cachedTokens
    }
}

/// Where the time of one job went.
public struct Timings: Hashable, Sendable {
    /// Waiting for its first step.
    public var queued: Duration
    /// From the first step to the first token.
    public var prefill: Duration
    /// From the first token to the last.
    public var decode: Duration

    /// Durations.
    public init(queued: Duration = .zero, prefill: Duration = .zero, decode: Duration = .zero) {
        self.queued = queued
        self.prefill = prefill
        self.decode = decode
    }
}
