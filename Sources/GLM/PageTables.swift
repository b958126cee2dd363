import Core
import KVCache
import Kernels

/// Where the pages of one part and KV head lie, in the layer that is being computed.
struct PageTable: @unchecked Sendable {  // written before the team runs
    let keys: UnsafeMutablePointer<UnsafeMutableRawPointer>
    let values: UnsafeMutablePointer<UnsafeMutableRawPointer>
    /// Where the bounds of the keys lie, in a sequence of sparse attention.
    let bounds: UnsafeMutablePointer<UnsafeMutableRawPointer>?

    var readKeys: UnsafePointer<UnsafeRawPointer> { Self.read(keys) }
    var readValues: UnsafePointer<UnsafeRawPointer> { Self.read(values) }

    private static func read(
        _ addresses: UnsafeMutablePointer<UnsafeMutableRawPointer>
    ) -> UnsafePointer<UnsafeRawPointer> {
        UnsafeRawPointer(addresses).assumingMemoryBound(to: UnsafeRawPointer.self)
    }

    /// How a call of the kernel for so many tokens chooses its pages; nil attends to all.
    func choice(tokens: Int, _ memory: AttentionScratch) -> PageChoice? {
        bounds.map {
            PageChoice(
                budget: .standard, bounds: Self.read($0), tokens: memory.tokens, tokenCount: tokens,
                scratch: memory.choice)
        }
    }
}

extension Stage {
    /// Makes the step's page tables, [parts][KV heads]; no addresses are in them yet.
    func layPageTables(_ batch: Batch) {
        let heads = shares.kvHeads.count
        var entries = 0
        for part in batch.parts { entries += heads * entryCount(part) }
        var at = scratch.pageTable(entries: entries)
        pageTables.removeAll(keepingCapacity: true)
        for part in batch.parts {
            let pages = pool.pageCount(of: part.segment.sequence)
            for _ in 0..<heads {
                let bounds = part.segment.attention == .sparse ? at + 2 * pages : nil
                pageTables.append(PageTable(keys: at, values: at + pages, bounds: bounds))
                at += entryCount(part)
            }
        }
    }

    /// Addresses that a part takes for each KV head.
    private func entryCount(_ part: Batch.Part) -> Int {
        pool.pageCount(of: part.segment.sequence) * (part.segment.attention == .sparse ? 3 : 2)
    }

    /// Writes the addresses of one layer's pages into the step's page tables.
    func pointPageTables(layer: Int, batch: Batch) {
        let heads = shares.kvHeads.count
        for (index, part) in batch.parts.enumerated() {
            for head in 0..<heads {
                let table = pageTables[index * heads + head]
                pool.pages(
                    of: part.segment.sequence, layer: layer, kvHead: head, keys: table.keys, values: table.values)
                if let bounds = table.bounds {
                    pool.bounds(of: part.segment.sequence, layer: layer, kvHead: head, into: bounds)
                }
            }
        }
    }
}
