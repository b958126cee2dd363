/// A key of the HTTP interface as the cluster knows it: never the key itself, only its hash.
public struct APIKey: Hashable, Sendable {
    /// What a key may be used for.
    public enum Scope: String, Sendable, CaseIterable {
        /// Look: models, status, metrics.
        case watch
        /// Generate, and see, cancel and delete what was made with the same key. Includes `watch`.
        case use
        /// Everything, also what others made, and the layout. Includes `use`.
        case admin
    }

    /// What may be used at once or in a minute; nil means no limit.
    public struct Limits: Hashable, Sendable {
        /// Requests that generate, in a minute.
        public var requestsPerMinute: Int?
        /// Tokens in a minute: prompts when they are asked, answers when they are there.
        public var tokensPerMinute: Int?
        /// Jobs that wait or run at one time.
        public var jobs: Int?

        /// Limits.
        public init(requestsPerMinute: Int? = nil, tokensPerMinute: Int? = nil, jobs: Int? = nil) {
            self.requestsPerMinute = requestsPerMinute
            self.tokensPerMinute = tokensPerMinute
            self.jobs = jobs
        }
    }

    /// What was used with it in all.
    public struct Use: Hashable, Sendable {
        /// Jobs that ended.
        public var jobs: Int
        /// Tokens of their prompts.
        public var promptTokens: Int
        /// Tokens of their answers.
        public var completionTokens: Int

        /// Counts.
        public init(jobs: Int = 0, promptTokens: Int = 0, completionTokens: Int = 0) {
            self.jobs = jobs
            self.promptTokens = promptTokens
            self.completionTokens = completionTokens
        }
    }

    /// Its name in lists and logs: no secret.
    public var id: String
    /// What its maker calls it.
    public var name: String
    /// BLAKE2b of the key, 32 bytes.
    public var hash: [UInt8]
    /// What it may be used for.
    public var scope: Scope
    /// How much of it.
    public var limits: Limits
    /// Seconds since 1970 when it was made.
    public var created: Double
    /// Seconds since 1970 from which on it is worth nothing, when it ends.
    public var expires: Double?
    /// Whether it was taken back.
    public var isRevoked: Bool
    /// What was used with it.
    public var use: Use

    /// A key.
    public init(
        id: String, name: String, hash: [UInt8], scope: Scope, limits: Limits = Limits(), created: Double,
        expires: Double? = nil, isRevoked: Bool = false, use: Use = Use()
    ) {
        self.id = id
        self.name = name
        self.hash = hash
        self.scope = scope
        self.limits = limits
        self.created = created
        self.expires = expires
        self.isRevoked = isRevoked
        self.use = use
    }

    /// Whether it may be used at a time, in seconds since 1970.
    public func isValid(at seconds: Double) -> Bool { !isRevoked && (expires.map { seconds < $0 } ?? true) }

    /// Whether it may do what takes `scope`.
    public func allows(_ scope: Scope) -> Bool {
        let order = Scope.allCases
        return order.firstIndex(of: self.scope) ?? 0 >= order.firstIndex(of: scope) ?? 0
    }
}
