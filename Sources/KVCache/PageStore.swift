public import Core
import Glibc
import Synchronization
import Threads

/// The pages that one worker keeps on its disk: a folder of files, written behind, found again after a restart.
///
/// A thread of its own reads and writes; reading goes first. The folder never holds much more than its limit: what was used longest
/// ago goes. A file that is damaged or gone costs the time to compute its pages again, never an answer.
public final class PageStore: Sendable {
    /// What became of an order.
    public enum Event: Sendable {
        /// Pages are on disk now, and others are not any more.
        case stored([PageKey], gone: [PageKey])
        /// Of the pages that a sequence was to get back, so many are there.
        case restored(SequenceID, pages: Int)
        /// Something is wrong with the disk, in words.
        case trouble(String)
    }

    private enum Order: Sendable {
        case write(PagePool.Lease, [PageKey])
        case read(SequenceID, PagePool.Lease, [PageKey])
    }

    /// What is to be done: reading goes before writing.
    private final class Orders: Sendable {
        private struct Waiting {
            var reads: [Order] = []
            var writes: [Order] = []
        }

        private let waiting = Mutex(Waiting())
        private let bell = Mailbox<Bool>()

        func put(_ order: Order) {
            waiting.withLock { waiting in
                if case .read = order { waiting.reads.append(order) } else { waiting.writes.append(order) }
            }
            bell.put(true)
        }

        /// The next order; waits for one, and is nil at the end.
        func take() -> Order? {
            guard bell.take() != nil else { return nil }
            return waiting.withLock { $0.reads.isEmpty ? $0.writes.removeFirst() : $0.reads.removeFirst() }
        }

        func close() { bell.close() }
    }

    /// The keys of the pages that were on disk when the store was opened.
    public let keys: [PageKey]
    private let orders = Orders()
    private let thread: Thread

    /// Opens the folder `folder`, makes it if it is not there, and looks at what is in it.
    ///
    /// - Parameters:
    ///   - limit: Bytes that its files may take.
    ///   - pageBytes: Bytes of a page in the pool; files of others are removed.
    ///   - hear: Hears what became of orders, on the store's thread.
    public init(
        folder: String, limit: Int, pageBytes: Int, hear: @escaping @Sendable (Event) -> Void
    ) throws {
        let found = try PageShelf(folder: folder, limit: limit, pageBytes: pageBytes)
        keys = found.keys
        let orders = orders
        thread = Thread(name: "kv-disk") {
            var shelf = found
            while let order = orders.take() {
                switch order {
                case .write(let lease, let keys): shelf.write(lease, keys: keys, hear)
                case .read(let sequence, let lease, let keys): shelf.read(sequence, lease, keys, hear)
                }
            }
        }
    }

    /// Writes pages when there is time, and lets go of them.
    public func write(_ lease: PagePool.Lease, keys: [PageKey]) {
        orders.put(.write(lease, keys))
    }

    /// Reads pages back, and lets go of them.
    public func read(_ sequence: SequenceID, into lease: PagePool.Lease, keys: [PageKey]) {
        orders.put(.read(sequence, lease, keys))
    }

    /// Ends the thread when it has done what it was asked.
    public func close() {
        orders.close()
        thread.join()
    }
}
