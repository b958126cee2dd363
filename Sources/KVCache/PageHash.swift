import CSodium
public import Core

/// Keys of pages: BLAKE2b of 16 bytes, so that nobody can make two texts with one key.
public enum PageHash {
    /// Where the chains of one model, KV type and attention begin; `digest` is the model's.
    ///
    /// Sparse attention makes other K and V, so its pages are nobody else's. Its number goes up when it chooses in another way, the
    /// first one when pages or what is made of them change.
    public static func root(digest: String, type: KVType, attention: AttentionMode = .exact) -> PageKey {
        let mode = attention == .sparse ? "sparse 1 " : ""
        return key(Array("glm-cluster kv 2 \(mode)\(type.name) \(digest)".utf8))
    }

    /// The key of a page with these tokens behind the page, or the beginning, of key `parent`.
    public static func key(_ parent: PageKey, _ tokens: ArraySlice<TokenID>) -> PageKey {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(16 + tokens.count * 4)
        for half in [parent.high, parent.low] {
            for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: half >> shift)) }
        }
        for token in tokens {
            for shift in stride(from: 24, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: token >> shift))
            }
        }
        return key(bytes)
    }

    /// A number for one slice of one model.
    public static func slice(digest: String, layout: String) -> PageKey { key(Array("\(digest) \(layout)".utf8)) }

    private static func key(_ bytes: [UInt8]) -> PageKey {
        var out = [UInt8](repeating: 0, count: 16)
        crypto_generichash(&out, out.count, bytes, UInt64(bytes.count), nil, 0)
        func half(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
        return PageKey(high: half(out[..<8]), low: half(out[8...]))
    }
}
