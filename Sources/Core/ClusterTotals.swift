/// What a cluster did since its coordinator started: numbers that only grow.
public struct ClusterTotals: Hashable, Sendable {
    /// Tokens of prompts that were read, those that were found in the KV cache included.
    public var promptTokens: Int
    /// Of those, found and not computed.
    public var cachedTokens: Int
    /// Tokens of prompts that were looked up in the KV cache.
    public var lookedUpTokens: Int
    /// Tokens that were generated.
    public var generatedTokens: Int
    /// Jobs that were accepted.
    public var accepted: Int
    /// Jobs that ended, by how: stopped, as long as they may be, cancelled, failed.
    public var ended: [FinishReason: Int]

    /// Totals.
    public init(
        promptTokens: Int = 0, cachedTokens: Int = 0, lookedUpTokens: Int = 0, generatedTokens: Int = 0,
        accepted: Int = 0, ended: [FinishReason: Int] = [:]
    ) {
        self.promptTokens = promptTokens
        self.cachedTokens = cachedTokens
        self.lookedUpTokens = lookedUpTokens
        self.generatedTokens = generatedTokens
        self.accepted = accepted
        self.ended = ended
    }
}
