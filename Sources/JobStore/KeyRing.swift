import CSodium
public import Core
import GRDB

/// The API keys in a store. `glm keys` changes them while a coordinator runs, which sees it with the next look.
public struct KeyRing: Sendable {
    private let database: Database

    /// Opens the store at `path`, or makes it.
    public init(path: String) throws { database = try Database(path: path) }

    /// Makes a key; its secret is told once and not kept.
    ///
    /// - Parameter now: Seconds since 1970.
    public func make(
        name: String, scope: APIKey.Scope, limits: APIKey.Limits, expires: Double?, now: Double
    ) throws -> (key: APIKey, secret: String) {
        let secret = "glm-" + Self.random(bytes: 32)
        let key = APIKey(
            id: "key-" + Self.random(bytes: 6), name: name, hash: Self.hash(secret), scope: scope, limits: limits,
            created: now, expires: expires)
        try database.write { database in
            try database.execute(
                sql: """
                    INSERT INTO keys (id, name, hash, scope, requests_per_minute, tokens_per_minute, jobs, created, expires)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    key.id, name, key.hash.blob, scope.rawValue, limits.requestsPerMinute, limits.tokensPerMinute,
                    limits.jobs, now, expires,
                ])
        }
        return (key, secret)
    }

    /// Takes a key back; from the next look on it opens nothing.
    public func revoke(_ id: String, now: Double) throws {
        try database.write { database in
            try database.execute(
                sql: "UPDATE keys SET revoked = coalesce(revoked, ?) WHERE id = ?", arguments: [now, id])
            guard database.changesCount == 1 else {
                throw Problem.notFound("there is no API key \(id); see glm keys list")
            }
        }
    }

    /// Every key, oldest first, the revoked ones too.
    public func all() throws -> [APIKey] { try database.read { try Self.all($0) } }

    static func all(_ database: GRDB.Database) throws -> [APIKey] {
        let sql = """
            SELECT keys.*, coalesce(sum(used.jobs), 0) AS used_jobs, coalesce(sum(prompt_tokens), 0) AS used_prompt,
            coalesce(sum(completion_tokens), 0) AS used_completion
            FROM keys LEFT JOIN used ON used.key = keys.id GROUP BY keys.id ORDER BY created, keys.id
            """
        return try Row.fetchAll(database, sql: sql).map { row in
            let scope: String = row["scope"]
            let revoked: Double? = row["revoked"]
            return APIKey(
                id: row["id"], name: row["name"], hash: row.bytes("hash"),
                // A scope that this release does not know may do the least.
                scope: APIKey.Scope(rawValue: scope) ?? .watch,
                limits: APIKey.Limits(
                    requestsPerMinute: row["requests_per_minute"], tokensPerMinute: row["tokens_per_minute"],
                    jobs: row["jobs"]),
                created: row["created"], expires: row["expires"], isRevoked: revoked != nil,
                use: APIKey.Use(
                    jobs: row["used_jobs"], promptTokens: row["used_prompt"], completionTokens: row["used_completion"]))
        }
    }

    /// BLAKE2b of a key. Keys are 32 random bytes: there is nothing to guess, so nothing that makes guessing slow.
    private static func hash(_ secret: String) -> [UInt8] {
        let bytes = Array(secret.utf8)
        var hash = [UInt8](repeating: 0, count: 32)
        crypto_generichash(&hash, hash.count, bytes, UInt64(bytes.count), nil, 0)
        return hash
    }

    private static func random(bytes count: Int) -> String {
        var bytes = [UInt8](repeating: 0, count: count)
        randombytes_buf(&bytes, count)
        return bytes.map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }
}

extension JobStore {
    /// Every API key, oldest first, the revoked ones too.
    public func keys() async throws -> [APIKey] { try await database.reading { try KeyRing.all($0) } }
}
