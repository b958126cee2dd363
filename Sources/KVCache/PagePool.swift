public import Core

/// The KV pages of one worker: where each sequence's keys and values lie.
///
/// A page here holds 64 tokens of one KV head of one sequence, for all layers of the slice: [layers][keys, values]. Of
/// every sequence the pool holds the pages whose slots its share names. Pages are all of one size, so the pool never
/// fragments; it never holds more than `capacity`.
///
/// A page belongs to the sequence that made it until the router drops it; others that begin alike read it too. One thread uses
/// the pool at a time; only the disk's thread touches pages besides, those that are pinned for it.
public final class PagePool {
    /// Pages in all.
    public let capacity: Int
    /// Bytes of one page.
    public let pageBytes: Int
    /// Pages in use.
    public var used: Int { next - free.count - freeSpilled.count }
    /// Pages in use that are a file's: slower, where the system has no memory for them.
    public var spilled: Int { max(0, next - memoryPages) - freeSpilled.count }

    /// What a sequence reads: by KV head and place, -1 where another worker holds the page.
    private struct Table {
        var pages: [[Int]]
        var count = 0
        var length = 0
        /// Its first pages whose bounds are known, as far as they lie here.
        var bounded = 0
        /// Tokens at its end that the next ones may take the place of.
        var guessed = 0
    }

    /// What a sequence made: by KV head and place from `first` on, -1 where another worker holds the page.
    private struct Made {
        var first: Int
        var pages: [[Int]]
        var isDropped: [Bool] = []
        var live = 0
    }

    private let share: KVShare
    private let memory: MemoryRegion
    private let halfBytes: Int
    private let pins = PagePins()
    /// Pages of memory come first, the file's behind them.
    private let memoryPages: Int
    private var bounds: PageBounds
    private var free: [Int] = []
    private var freeSpilled: [Int] = []
    /// Pages that were dropped while the disk's thread had them: free when it lets go.
    private var lingering: [Int] = []
    private var next = 0
    private var tables: [SequenceID: Table] = [:]
    private var made: [SequenceID: Made] = [:]

    /// A pool of `pages` pages; `halfBytes` is the size of one layer's keys (or values) of one KV head, `boundBytes` of their bounds.
    ///
    /// - Parameters:
    ///   - memoryPages: How many of the pages are memory, nil for all; the others are a file's in `spillFolder`.
    public init(
        layers: Int, share: KVShare, halfBytes: Int, boundBytes: Int = 0, pages: Int, memoryPages: Int? = nil,
        spillFolder: String? = nil
    ) throws {
        self.share = share
        self.halfBytes = halfBytes
        capacity = pages
        pageBytes = layers * 2 * halfBytes
        bounds = PageBounds(pages: pages, layers: layers, byteCount: boundBytes)
        // The file begins at a page of the system's, so the border moves up to the next of ours that does.
        var border = min(memoryPages ?? pages, pages)
        while border < pages, border * pageBytes % 4096 != 0 { border += 1 }
        self.memoryPages = border
        memory = try MemoryRegion(
            byteCount: pageBytes * border, spillBytes: pageBytes * (pages - border), folder: spillFolder)
    }

    /// Tokens held of `sequence`.
    public func length(of sequence: SequenceID) -> Int { tables[sequence]?.length ?? 0 }

    /// Makes room for `count` more tokens of `sequence`, which must follow those held; the last `guessed` of them may turn out
    /// wrong, and then the next ones begin at the first of those.
    ///
    /// Any other gap or repetition is a fault of the sender, never to be smoothed over: it throws.
    public func extend(_ sequence: SequenceID, start: Int, count: Int, guessed: Int = 0) throws {
        let held = tables[sequence] ?? emptyTable
        guard start <= held.length, start >= held.length - held.guessed else {
            throw Problem.failed(
                "sequence \(sequence.number): expected position \(held.length), got \(start); a step was lost or repeated"
            )
        }
        forgetBounds(sequence, from: start)
        try make(sequence, upTo: Slots.pages(for: start + count))
        change(sequence) {
            $0.length = start + count
            $0.guessed = guessed
        }
    }

    /// Changes what a sequence reads. Its table is taken out meanwhile: changing it where it lies allocates each time.
    private func change(_ sequence: SequenceID, _ body: (inout Table) -> Void) {
        guard var table = tables.removeValue(forKey: sequence) else { return }
        body(&table)
        tables[sequence] = table
    }

    private var emptyTable: Table { Table(pages: [[Int]](repeating: [], count: share.slots.count)) }

    /// Makes the sequence's next pages, up to place `end`.
    private func make(_ sequence: SequenceID, upTo end: Int) throws {
        // Taken out while it changes, or its lists would be copied.
        var table = tables.removeValue(forKey: sequence) ?? emptyTable
        defer { tables[sequence] = table }
        guard end > table.count else { return }
        let more = share.pages(in: table.count..<end)
        reclaim(atLeast: more - (capacity - next) - free.count - freeSpilled.count)
        guard more <= capacity - used else {
            throw Problem.failed("the KV pool is full: \(capacity) pages, \(more) more wanted, \(capacity - used) free")
        }
        var own = made.removeValue(forKey: sequence) ?? Made(first: table.count, pages: emptyTable.pages)
        defer { made[sequence] = own }
        for place in table.count..<end {
            let slot = Slots.slot(ofPage: place)
            for (head, run) in share.slots.enumerated() {
                let page = run.contains(slot) ? take() : -1
                table.pages[head].append(page)
                own.pages[head].append(page)
            }
            own.isDropped.append(false)
            own.live += 1
        }
        table.count = end
    }

    private func take() -> Int {
        if let page = free.popLast() ?? (next >= memoryPages ? freeSpilled.popLast() : nil) {
            bounds.forget(page)
            return page
        }
        next += 1
        return next - 1
    }

    private func give(back page: Int) {
        if page < memoryPages { free.append(page) } else { freeSpilled.append(page) }
    }

    /// Begins a sequence with pages that are there, and a copy of part of one more.
    ///
    /// - Throws: when one of them is not there: the router and this worker would hold different accounts.
    public func open(_ sequence: SequenceID, prefix: [PageRun], copy: PageCopy?) throws {
        guard tables[sequence] == nil else {
            throw Problem.failed("sequence \(sequence.number) begins twice; a step was repeated")
        }
        var table = emptyTable
        for run in prefix {
            guard let own = made[run.creator], run.pages.lowerBound == table.count, run.pages.lowerBound >= own.first,
                run.pages.upperBound <= own.first + own.isDropped.count,
                !own.isDropped[run.pages.lowerBound - own.first..<run.pages.upperBound - own.first].contains(true)
            else {
                throw Problem.failed(
                    "sequence \(sequence.number) is to read pages \(run.pages) of sequence \(run.creator.number), which are not here"
                )
            }
            for head in table.pages.indices {
                table.pages[head] +=
                    own.pages[head][
                        run.pages.lowerBound - own.first..<run.pages.upperBound - own.first]
            }
            table.count = run.pages.upperBound
        }
        table.length = table.count * Slots.pageTokens
        tables[sequence] = table
        guard let copy else { return }
        guard let own = made[copy.creator], copy.page == table.count, copy.page >= own.first,
            copy.page < own.first + own.isDropped.count, !own.isDropped[copy.page - own.first],
            (1..<Slots.pageTokens).contains(copy.tokens)
        else {
            throw Problem.failed(
                "sequence \(sequence.number) is to copy page \(copy.page) of sequence \(copy.creator.number), which is not here"
            )
        }
        let sources = own.pages.map { $0[copy.page - own.first] }
        try make(sequence, upTo: copy.page + 1)
        for (head, source) in sources.enumerated() where source >= 0 {
            guard let target = tables[sequence]?.pages[head].last, target >= 0 else { continue }
            address(target).copyMemory(from: address(source), byteCount: pageBytes)
        }
        tables[sequence]?.length += copy.tokens
    }

    /// Forgets what `sequence` reads; unknown ones are none. Its pages stay.
    public func close(_ sequence: SequenceID) {
        tables[sequence] = nil
    }

    /// Frees pages; those that are not here are none.
    public func drop(_ run: PageRun) {
        guard var own = made.removeValue(forKey: run.creator) else { return }
        let there = own.first..<own.first + own.isDropped.count
        for place in run.pages.clamped(to: there) where !own.isDropped[place - own.first] {
            own.isDropped[place - own.first] = true
            own.live -= 1
            for head in own.pages.indices {
                let page = own.pages[head][place - own.first]
                guard page >= 0 else { continue }
                if pins.isPinned(page) { lingering.append(page) } else { give(back: page) }
            }
        }
        if own.live > 0 || tables[run.creator] != nil { made[run.creator] = own }
    }

    /// Frees what `sequence` made and forgets it: for who shares no pages.
    public func release(_ sequence: SequenceID) {
        close(sequence)
        drop(PageRun(sequence, 0..<Int.max))
    }

    /// Frees everything.
    public func releaseAll() {
        for sequence in tables.keys { close(sequence) }
        for sequence in made.keys.sorted() { drop(PageRun(sequence, 0..<Int.max)) }
    }

    /// Pages of `sequence`, held here or elsewhere.
    public func pageCount(of sequence: SequenceID) -> Int { tables[sequence]?.count ?? 0 }

    /// Writes the addresses of the sequence's key and value pages of one layer and KV head, in page order.
    ///
    /// A page that another worker holds has the pool's first address, which nobody may use.
    public func pages(
        of sequence: SequenceID, layer: Int, kvHead: Int, keys: UnsafeMutablePointer<UnsafeMutableRawPointer>,
        values: UnsafeMutablePointer<UnsafeMutableRawPointer>
    ) {
        guard let table = tables[sequence] else { return }
        let offset = layer * 2 * halfBytes
        for (index, page) in table.pages[kvHead].enumerated() {
            let key = address(max(page, 0)) + offset
            keys[index] = key
            values[index] = key + halfBytes
        }
    }

    /// Hands the 64-bit words of every page that `sequence` made to `body`, with a number that is another for each: for measuring.
    public func fill(_ sequence: SequenceID, _ body: (Int, UnsafeMutableBufferPointer<UInt64>) -> Void) {
        for page in (made[sequence]?.pages ?? []).joined() where page >= 0 {
            let words = address(page).bindMemory(to: UInt64.self, capacity: pageBytes / 8)
            body(page, UnsafeMutableBufferPointer(start: words, count: pageBytes / 8))
        }
    }

    private func address(_ page: Int) -> UnsafeMutableRawPointer { memory.base + page * pageBytes }
}

// MARK: - Bounds

extension PagePool {
    /// A page by KV head and place in its sequence.
    public struct Spot: Hashable, Sendable {
        /// The KV head, counted from the share's first.
        public var kvHead: Int
        /// The place.
        public var place: Int
    }

    /// The full pages of `sequence` that lie here and whose bounds nobody has written yet.
    ///
    /// They count as written from now on: the caller writes them in every layer before it reads any.
    public func pagesWithoutBounds(of sequence: SequenceID) throws -> [Spot] {
        try bounds.begin()
        guard let table = tables[sequence] else { return [] }
        let full = table.length / Slots.pageTokens
        var spots: [Spot] = []
        for place in table.bounded..<max(full, table.bounded) {
            for (head, pages) in table.pages.enumerated() where pages[place] >= 0 {
                if bounds.learn(pages[place]) { spots.append(Spot(kvHead: head, place: place)) }
            }
        }
        change(sequence) { $0.bounded = max(full, $0.bounded) }
        return spots
    }

    /// Tokens from `start` on are others from now on: bounds of full pages that hold any of them are written anew.
    private func forgetBounds(_ sequence: SequenceID, from start: Int) {
        let first = start / Slots.pageTokens
        guard let table = tables[sequence], first < table.bounded else { return }
        for pages in table.pages {
            for page in pages[first..<table.bounded] where page >= 0 { bounds.forget(page) }
        }
        change(sequence) { $0.bounded = first }
    }

    /// Writes the addresses of the bounds of the sequence's pages of one layer and KV head, in page order, once bounds were asked for.
    public func bounds(
        of sequence: SequenceID, layer: Int, kvHead: Int, into addresses: UnsafeMutablePointer<UnsafeMutableRawPointer>
    ) {
        guard let table = tables[sequence] else { return }
        for (index, page) in table.pages[kvHead].enumerated() {
            if let address = bounds.address(max(page, 0), layer: layer) { addresses[index] = address }
        }
    }
}

// MARK: - The disk's side

extension PagePool {
    /// Pages that are pinned for the disk's thread, in the order in which a file holds them: by place, then KV head.
    public struct Lease: Sendable {
        /// The pages' memory.
        let memory: MemoryRegion
        /// Bytes of one page.
        let pageBytes: Int
        /// Where each begins, in bytes from the memory's beginning.
        let offsets: [Int]
        /// For each place how many of the pages are its.
        let counts: [Int]
        fileprivate let pages: [Int]
        fileprivate let pins: PagePins

        /// Lets go of the pages.
        public func end() { pins.unpin(pages) }
    }

    /// Pins pages so that they can be read from another thread; nil when one of them is not there any more.
    public func lease(_ runs: [PageRun]) -> Lease? {
        var found: [[Int]] = []
        for run in runs {
            guard let own = made[run.creator], run.pages.lowerBound >= own.first,
                run.pages.upperBound <= own.first + own.isDropped.count
            else { return nil }
            for place in run.pages {
                guard !own.isDropped[place - own.first] else { return nil }
                found.append(own.pages.map { $0[place - own.first] }.filter { $0 >= 0 })
            }
        }
        return lease(found)
    }

    /// Makes the next pages of an open sequence, from place `first` up to `end`, and pins them to be filled from another thread.
    public func makeLeased(_ sequence: SequenceID, first: Int, end: Int) throws -> Lease {
        guard let table = tables[sequence], table.count == first, table.length == first * Slots.pageTokens else {
            throw Problem.failed(
                "sequence \(sequence.number) is to be restored from page \(first), where it does not end")
        }
        try make(sequence, upTo: end)
        tables[sequence]?.length = end * Slots.pageTokens
        guard let lease = lease([PageRun(sequence, first..<end)]) else {
            throw Problem.failed("sequence \(sequence.number) has no pages to restore to")
        }
        return lease
    }

    private func lease(_ pages: [[Int]]) -> Lease {
        let all = pages.flatMap(\.self)
        pins.pin(all)
        return Lease(
            memory: memory, pageBytes: pageBytes, offsets: all.map { $0 * pageBytes }, counts: pages.map(\.count),
            pages: all, pins: pins)
    }

    /// Shortens a sequence that was restored in part: its pages from place `count` on are free.
    public func truncate(_ sequence: SequenceID, pages count: Int) {
        guard var table = tables.removeValue(forKey: sequence) else { return }
        if count < table.count {
            for head in table.pages.indices { table.pages[head].removeLast(table.count - count) }
            let end = table.count
            table.count = count
            table.length = count * Slots.pageTokens
            table.guessed = 0
            table.bounded = min(table.bounded, count)
            drop(PageRun(sequence, count..<end))
            if var own = made.removeValue(forKey: sequence) {
                let kept = max(0, count - own.first)
                for head in own.pages.indices { own.pages[head].removeLast(own.isDropped.count - kept) }
                own.isDropped.removeLast(own.isDropped.count - kept)
                if kept > 0 { made[sequence] = own }
            }
        }
        tables[sequence] = table
    }

    /// Takes back pages whose pins are gone; when that is too few, waits for the disk's thread.
    private func reclaim(atLeast wanted: Int) {
        guard wanted > 0, !lingering.isEmpty else { return }
        var short = wanted
        while true {
            var still: [Int] = []
            for page in lingering {
                if pins.isPinned(page) { still.append(page) } else { give(back: page) }
            }
            short -= lingering.count - still.count
            lingering = still
            guard short > 0, !lingering.isEmpty else { return }
            pins.waitForRelease(of: lingering)
        }
    }
}

// MARK: - Integrity

extension PagePool {
    /// Holds the books against the pages: every page in use has one owner, every other is free once.
    public func check() throws {
        var owners = [Int](repeating: 0, count: next)
        for (_, own) in made {
            for head in own.pages {
                for (index, page) in head.enumerated() where page >= 0 && !own.isDropped[index] { owners[page] += 1 }
            }
        }
        for page in free + freeSpilled { owners[page] += 1 }
        for page in lingering { owners[page] += 1 }
        if let page = owners.firstIndex(where: { $0 != 1 }) {
            throw Problem.failed("the KV pool's books are wrong: page \(page) has \(owners[page]) owners; report this")
        }
        for (sequence, table) in tables {
            for head in table.pages {
                for page in head where page >= next {
                    throw Problem.failed(
                        "the KV pool's books are wrong: sequence \(sequence.number) reads page \(page); report this")
                }
            }
        }
    }
}
