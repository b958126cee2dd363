import Checkpoint
public import Core
import KVCache
import Kernels
import Threads

/// A KV cache filled without a prefill, to measure what a long context costs: reading half a million tokens takes hours.
extension Stage {
    /// Pages that all others are copies of: enough that no two neighbours are alike, few enough to stay in a cache.
    private static let patterns = 16

    /// Gives `sequence`, which must be new, `tokens` tokens of made-up keys and values.
    ///
    /// They are pseudo-random, the same every time, as large as normed keys and values are, and stored in the form that the
    /// cache has; every page has memory of its own, so reading them costs what reading real ones does. The pages that other
    /// workers hold are left to them.
    public func fillSynthetically(_ sequence: SequenceID, tokens: Int) throws {
        try pool.extend(sequence, start: 0, count: tokens)
        let headDim = configuration.headDim
        let pageBytes = KeyValuePage.byteCount(headDim: headDim, type: kvType)
        let source = try patterns(pageBytes: pageBytes)
        let pages = Slots.pages(for: tokens)
        let keys = UnsafeMutablePointer<UnsafeMutableRawPointer>.allocate(capacity: pages)
        let values = UnsafeMutablePointer<UnsafeMutableRawPointer>.allocate(capacity: pages)
        defer {
            keys.deallocate()
            values.deallocate()
        }
        for layer in weights.layers.indices {
            for (head, run) in slots.share.slots.enumerated() {
                pool.pages(of: sequence, layer: layer, kvHead: head, keys: keys, values: values)
                team.run { rank in
                    for page in team.share(of: pages, rank: rank) where run.contains(Slots.slot(ofPage: page)) {
                        // Another order of the patterns for every layer and head.
                        let pattern = (page * 7 + layer * 5 + head * 3) % Self.patterns
                        let from = source.base + pattern * 2 * pageBytes
                        keys[page].copyMemory(from: from, byteCount: pageBytes)
                        values[page].copyMemory(from: from + pageBytes, byteCount: pageBytes)
                    }
                }
            }
        }
    }

    /// The patterns: [patterns][keys, values] of one page each.
    private func patterns(pageBytes: Int) throws -> MemoryRegion {
        let headDim = configuration.headDim
        let region = try MemoryRegion(byteCount: Self.patterns * 2 * pageBytes)
        // Evenly distributed within the square root of three: a variance of one.
        let numbers = RandomModel.bytes(
            count: 2 * Slots.pageTokens * headDim * Self.patterns, mean: 0, spread: Float(3).squareRoot(), type: .f32,
            seed: 64)
        numbers.withUnsafeBytes { numbers in
            guard var next = numbers.baseAddress?.assumingMemoryBound(to: Float.self) else { return }
            for pattern in 0..<Self.patterns {
                let keys = region.base + pattern * 2 * pageBytes
                for index in 0..<Slots.pageTokens {
                    KeyValuePage.storeKey(next, in: keys, at: index, headDim: headDim, type: kvType)
                    KeyValuePage.storeValue(
                        next + headDim, in: keys + pageBytes, at: index, headDim: headDim, type: kvType)
                    next += 2 * headDim
                }
            }
        }
        return region
    }
}
