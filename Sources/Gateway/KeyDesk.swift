import CSodium
import Core
import Glibc

/// Which API keys are good: the cluster's list, looked at again when it is older than a second.
actor KeyDesk {
    private let service: any ClusterService
    /// Whether keys are needed even where there are none.
    private let needsKeys: Bool
    private let clock = ContinuousClock()
    private var keys: [APIKey] = []
    private var looked: ContinuousClock.Instant?
    private var look: Task<[APIKey], any Error>?

    /// A desk that asks `service`. Where it has no keys at all everybody is let in, unless the gateway `needsKeys`.
    init(service: any ClusterService, needsKeys: Bool) {
        self.service = service
        self.needsKeys = needsKeys
    }

    /// Who calls with `secret`.
    ///
    /// - Throws: an error for the client when a key is needed and this is none.
    func caller(with secret: String?) async throws -> Caller {
        let keys = try await current()
        // A key that was revoked still says that this cluster is not for everybody.
        guard !keys.isEmpty || needsKeys else { return .anybody }
        guard let secret, !secret.isEmpty else {
            throw Self.refusal("an API key is needed: send it as 'Authorization: Bearer KEY'")
        }
        let hash = Self.hash(secret)
        var found: APIKey?
        // All of them are compared, each in the same time, so that the time says nothing about them.
        for key in keys where Self.isSame(key.hash, hash) { found = key }
        guard let found else { throw Self.refusal("the API key is none of this cluster's; see glm keys list") }
        guard found.isValid(at: Double(EpochClock.seconds)) else {
            throw Self.refusal("API key \(found.id) was revoked or has expired; make another with glm keys create")
        }
        return Caller(id: found.id, scope: found.scope)
    }

    /// Whether there is a key that opens anything.
    func hasKeys() async throws -> Bool {
        try await current().contains { $0.isValid(at: Double(EpochClock.seconds)) }
    }

    private func current() async throws -> [APIKey] {
        if let looked, clock.now - looked < .seconds(1) { return keys }
        // Requests that come meanwhile wait for the same answer.
        let task = look ?? Task { [service] in try await service.keys() }
        look = task
        do {
            let found = try await task.value
            keys = found
            looked = clock.now
        } catch {
            // Without the coordinator nothing can be done anyway; who was known stays known.
            guard looked != nil else {
                look = nil
                throw error
            }
        }
        look = nil
        return keys
    }

    private static func refusal(_ message: String) -> APIError {
        APIError(status: 401, message: message, type: "authentication_error", code: "invalid_api_key")
    }

    /// BLAKE2b, as the store keeps it.
    private static func hash(_ secret: String) -> [UInt8] {
        let bytes = Array(secret.utf8)
        var hash = [UInt8](repeating: 0, count: 32)
        crypto_generichash(&hash, hash.count, bytes, UInt64(bytes.count), nil, 0)
        return hash
    }

    private static func isSame(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        a.count == b.count && sodium_memcmp(a, b, a.count) == 0
    }
}
