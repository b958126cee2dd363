import Core
import KVCache

/// Where a worker may keep KV pages, and how much of them.
struct DiskRoom: Sendable {
    /// The folder of all models and slices.
    var folder: String
    /// Bytes.
    var bytes: Int

    /// The folder of one slice of one model: pages of another one have other bytes.
    func folder(digest: String, layout: String) -> String {
        let key = PageHash.slice(digest: digest, layout: layout)
        return "\(folder)/\(digest.prefix(12).filter { $0.isHexDigit })-\(String(key.high, radix: 16))"
    }
}
