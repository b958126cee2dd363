import Core

/// What an API key has used of its limits.
///
/// A bucket for each limit of a minute: it fills evenly, holds a minute's worth, and each use takes out of it. Tokens of an answer are
/// known when it is there, so a bucket may be overdrawn; then the key waits until it is filled again.
struct KeyMeter {
    private struct Bucket {
        var level: Double
        var limit: Double
        var at: Duration

        init(limit: Int, now: Duration) {
            self.limit = Double(limit)
            level = Double(limit)
            at = now
        }

        mutating func fill(now: Duration) {
            level = min(limit, level + limit * ((now - at) / .seconds(60)))
            at = now
        }

        /// Seconds until there is `amount`; a full bucket is enough for what is larger than it.
        func seconds(until amount: Double) -> Double {
            let missing = min(amount, limit) - level
            // Less than that is how the sums are rounded.
            return missing > 1e-6 ? missing * 60 / limit : 0
        }
    }

    private var requests: Bucket?
    private var tokens: Bucket?

    /// Takes a request with so many tokens out, or returns the seconds after which it is possible.
    mutating func take(tokens count: Int, limits: APIKey.Limits, now: Duration) -> Double? {
        set(limits, now: now)
        let wait = max(requests?.seconds(until: 1) ?? 0, tokens?.seconds(until: Double(count)) ?? 0)
        guard wait <= 0 else { return wait }
        requests?.level -= 1
        tokens?.level -= Double(count)
        return nil
    }

    /// Takes the tokens of an answer out.
    mutating func charge(tokens count: Int) { tokens?.level -= Double(count) }

    private mutating func set(_ limits: APIKey.Limits, now: Duration) {
        func bucket(_ old: Bucket?, _ limit: Int?) -> Bucket? {
            guard let limit else { return nil }
            guard var bucket = old, bucket.limit == Double(limit) else { return Bucket(limit: limit, now: now) }
            bucket.fill(now: now)
            return bucket
        }
        requests = bucket(requests, limits.requestsPerMinute)
        tokens = bucket(tokens, limits.tokensPerMinute)
    }
}
