import Core
import KVCache
import Kernels

/// What the router decides about the KV cache, done by one worker.
extension Stage {
    /// Does one change; the next one may build on it.
    func change(_ change: KVChange) throws {
        switch change {
        case .open(let sequence, let prefix, let copy): try pool.open(sequence, prefix: prefix, copy: copy)
        case .close(let sequence):
            pool.close(sequence)
            forget(sequence)
        case .drop(let run): pool.drop(run)
        case .cut(let sequence, let pages): pool.truncate(sequence, pages: pages)
        case .store(let runs, _, let keys):
            // Pages that are gone already are not worth an error: their content can be computed again.
            if let store, let lease = pool.lease(runs) { store.write(lease, keys: keys) }
        case .restore(let sequence, let first, let keys):
            let lease = try pool.makeLeased(sequence, first: first, end: first + keys.count)
            guard let store else {
                lease.end()
                throw Problem.failed("sequence \(sequence.number) is to be restored, and this worker has no disk store")
            }
            store.read(sequence, into: lease, keys: keys)
        }
    }

    /// Holds the KV pool's books against its pages.
    public func checkPages() throws { try pool.check() }

    /// Frees all KV pages: another plan begins.
    public func releasePages() {
        pool.releaseAll()
        pasts = [:]
        means = [:]
    }

    /// A text that two slices share when the same page has the same bytes in both.
    public var pageLayout: String {
        let runs = slots.share.slots.map { "\($0.lowerBound)-\($0.upperBound)" }.joined(separator: ",")
        return
            "layers \(slice.layers.lowerBound)-\(slice.layers.upperBound) heads \(shares.kvHeads.lowerBound) slots \(runs) \(kvType.name)x\(configuration.headDim)"
    }
}
