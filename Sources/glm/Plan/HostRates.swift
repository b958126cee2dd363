import Cluster
import Core

/// What a host was measured to do: each kind of rate by the type it was measured with, in 10^9 a second, for one worker
/// while all workers of the host are busy.
struct HostRates: Encodable, Sendable {
    /// Operations of matrices over a chunk of a prompt, by weight type; all threads.
    var products: [String: Double] = [:]
    /// Operations of attention over a chunk of a prompt, by KV type; all threads.
    var attention: [String: Double] = [:]
    /// Bytes of weights that one token's matrices take, by weight type; all threads.
    var read: [String: Double] = [:]
    /// Operations of one token's attention, by KV type; one thread.
    var decodeAttention: [String: Double] = [:]

    enum CodingKeys: String, CodingKey, CaseIterable {
        case products, attention, read
        case decodeAttention = "decode-attention"
    }

    /// The rates of one kind.
    subscript(_ kind: CodingKeys) -> [String: Double] {
        get {
            switch kind {
            case .products: products
            case .attention: attention
            case .read: read
            case .decodeAttention: decodeAttention
            }
        }
        set {
            switch kind {
            case .products: products = newValue
            case .attention: attention = newValue
            case .read: read = newValue
            case .decodeAttention: decodeAttention = newValue
            }
        }
    }

    /// The rates for these types of a worker of `threads` threads. What was not measured is assumed, and `assume` hears what.
    func rates(
        weights: WeightType, kvType: KVType, threads: Int, assume: (String) -> Void
    ) -> WorkerRates {
        func rate(_ kind: CodingKeys, _ type: String) -> Double {
            if let measured = self[kind][type] { return measured * 1e9 }
            let one = Self.assumed(kind, type)
            // A few threads take all that memory gives.
            let count = kind == .decodeAttention ? 1 : kind == .read ? min(threads, 4) : threads
            let unit = kind == .read ? "GB/s" : "x10^9/s"
            assume(
                "\(kind.rawValue) \(type) \(Terminal.fixed(one * Double(count), places: 0)) \(unit)")
            return one * Double(count) * 1e9
        }
        return WorkerRates(
            products: rate(.products, weights.name), attention: rate(.attention, kvType.name),
            read: rate(.read, weights.name), decodeAttention: rate(.decodeAttention, kvType.name))
    }

    /// What one thread of a 3 to 4 GHz core with AVX2 and ordinary memory does, in 10^9 a second.
    private static func assumed(_ kind: CodingKeys, _ type: String) -> Double {
        switch kind {
        case .products: ["f32", "bf16", "f16"].contains(type) ? 75 : 150
        case .attention: 70
        case .read: 10
        case .decodeAttention: ["q8": 20, "q4": 15][type] ?? 30
        }
    }
}
