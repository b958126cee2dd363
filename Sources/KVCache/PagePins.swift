import Synchronization
import Threads

/// Which pages the disk's thread is reading or writing: they are not given to anybody else meanwhile.
final class PagePins: Sendable {
    private struct State {
        var counts: [Int: Int] = [:]
        var isAwaited = false
    }

    private let state = Mutex(State())
    private let releases = Mailbox<Bool>()

    /// No pins.
    init() {}

    /// Pins pages, once more if they are.
    func pin(_ pages: [Int]) {
        state.withLock { state in for page in pages { state.counts[page, default: 0] += 1 } }
    }

    /// Takes one pin off each page.
    func unpin(_ pages: [Int]) {
        let wasAwaited = state.withLock { state in
            for page in pages {
                let left = (state.counts[page] ?? 1) - 1
                state.counts[page] = left > 0 ? left : nil
            }
            defer { state.isAwaited = false }
            return state.isAwaited
        }
        if wasAwaited { releases.put(true) }
    }

    /// Whether a page is pinned.
    func isPinned(_ page: Int) -> Bool { state.withLock { $0.counts[page] != nil } }

    /// Waits until one of `pages` is not pinned; one thread at a time.
    func waitForRelease(of pages: [Int]) {
        while true {
            let mustWait = state.withLock { state in
                state.isAwaited = pages.allSatisfy { state.counts[$0] != nil }
                return state.isAwaited
            }
            if !mustWait { return }
            _ = releases.take()
        }
    }
}
