public import Core

/// Where the KV pages of every sequence live, which of them the next one can use, and who has room.
///
/// A plain value that knows every worker's pool page by page. A sequence reserves what it may come to need, so that nothing that
/// was started has to stop. Pages of sequences that are over stay until their room is wanted, least recently used first, and a
/// sequence that begins like an earlier one begins with its pages. Those that wait are taken by their priority, and those of one
/// priority in the order in which they came: a long one is not starved by short ones behind it.
///
/// What workers are to do is left in `changes`, in order.
public struct Router: Sendable {
    /// A worker's part in every sequence, and its pool.
    public struct Place: Hashable, Sendable {
        /// Which pages of a sequence it holds.
        public var share: KVShare
        /// Pages in its pool.
        public var pages: Int
        /// Bytes of a page.
        public var pageBytes: Int
        /// The keys of the pages on its disk, or nil when it keeps none there.
        public var stored: [PageKey]?

        /// A place.
        public init(share: KVShare, pages: Int, pageBytes: Int = 0, stored: [PageKey]? = nil) {
            self.share = share
            self.pages = pages
            self.pageBytes = pageBytes
            self.stored = stored
        }
    }

    /// A sequence that has room now.
    public struct Admission: Hashable, Sendable {
        /// Which.
        public var sequence: SequenceID
        /// Tokens whose K and V are there.
        public var cached: Int
        /// Pages that workers are reading from disk: the sequence waits for `restored`.
        public var restoring: Int

        /// An admission.
        public init(_ sequence: SequenceID, cached: Int = 0, restoring: Int = 0) {
            self.sequence = sequence
            self.cached = cached
            self.restoring = restoring
        }
    }

    /// Why a sequence can never have room: what it needs and what there is, in all workers together.
    public struct Shortage: Error, Hashable, Sendable {
        /// Tokens of whole pages.
        public var neededTokens: Int
        /// Bytes of those.
        public var neededBytes: Int
        /// Tokens of the longest sequence that fits.
        public var hasTokens: Int
        /// Bytes of that.
        public var hasBytes: Int
    }

    /// The fewest tokens for which part of a page is copied.
    static let leastCopy = 8

    /// A sequence that waits.
    private struct Waiting {
        var sequence: SequenceID
        /// What it begins with; empty when its pages are nobody else's business.
        var tokens: [TokenID]
        var pages: Int
        /// The lowest is taken first.
        var priority: Int
        /// Where its chain begins.
        var root: PageKey
        /// The keys of the whole pages that it could find, as far as they were asked for.
        var keys: [PageKey] = []
    }

    /// A sequence that runs.
    private struct Running {
        var tokens: [TokenID]
        /// Where its chain begins.
        var root: PageKey
        /// Pages that it reads and that were there.
        var prefix: Int
        /// Pages that it reserves, its prefix counted.
        var pages: Int
        /// Pages of its chain that are in the index, and the last one's key.
        var indexed: Int
        var last: PageKey
        /// For each place from `prefix` on, whether the page it made is the one in the index.
        var isOwn: [Bool] = []
        /// The first page that is in the index and not yet ordered to disk, and the keys of those.
        var unstored = 0
        var unstoredKeys: [PageKey] = []
        var restoring: [PageKey] = []
    }

    /// How many sequences may wait.
    public let longestQueue: Int
    /// The workers, or none while there is no plan: then everybody waits.
    public private(set) var places: [Place] = []
    private let hash: @Sendable (PageKey, ArraySlice<TokenID>) -> PageKey
    private let sparseRoot: PageKey
    private var index: PageIndex
    private var running: [SequenceID: Running] = [:]
    private var queue: [Waiting] = []
    /// Pages in use at each place, and those of them that nobody holds.
    private var used: [Int] = []
    private var idle: [Int] = []
    /// At how many places a page is on disk.
    private var copies: [PageKey: Int] = [:]
    /// Whether pages go to disk: every place must keep its part.
    private var stores = false
    private var pending: [KVChange] = []

    /// No room yet. `hash` makes a page's key of the key before it and its tokens; chains begin at `root`, those of sparse attention, whose
    /// K and V are others from the second layer on, at `sparseRoot`.
    public init(
        longestQueue: Int = 10_000, root: PageKey = PageKey(high: 0, low: 0),
        sparseRoot: PageKey = PageKey(high: 0, low: 1),
        hash: @escaping @Sendable (PageKey, ArraySlice<TokenID>) -> PageKey
    ) {
        self.longestQueue = longestQueue
        self.hash = hash
        self.sparseRoot = sparseRoot
        index = PageIndex(root: root)
    }

    /// How many sequences wait.
    public var waiting: Int { queue.count }
    /// Those that wait, the next one first.
    public var waitingSequences: [SequenceID] { queue.map(\.sequence) }
    /// Tokens of the longest sequence that fits, or nil while there is no plan.
    public var capacity: Int? {
        places.map { $0.share.tokens(inPages: $0.pages, atMost: 1 << 40) }.min()
    }
    /// Tokens of whole pages that the longest of those that run or wait may come to need.
    public var longest: Int {
        max(running.values.map(\.pages).max() ?? 0, queue.map(\.pages).max() ?? 0) * Slots.pageTokens
    }
    /// Pages in use at each place.
    public var usedPages: [Int] { used }
    /// Pages at each place that are kept for the next that begins alike; they are given up when their room is wanted.
    public var idlePages: [Int] { idle }

    /// Whether nobody runs or waits, and nothing is left to do.
    public var isQuiet: Bool { running.isEmpty && queue.isEmpty && pending.isEmpty }

    /// The pools as they are now, in the places' order.
    public func uses() -> [KVUse] {
        var pages = [Int](repeating: 0, count: Slots.count)
        var reuses = pages
        for page in index.pages.values {
            pages[Slots.slot(ofPage: page.place)] += 1
            reuses[Slots.slot(ofPage: page.place)] += page.reuses
        }
        for entry in running.values {
            for place in entry.prefix..<entry.pages
            where !(place - entry.prefix < entry.isOwn.count && entry.isOwn[place - entry.prefix]) {
                pages[Slots.slot(ofPage: place)] += 1
            }
        }
        let stored = copies.values.count { $0 == places.count }
        return places.indices.map { at in
            let heads = (0..<Slots.count).map { slot in places[at].share.slots.count { $0.contains(slot) } }
            return KVUse(
                pages: places[at].pages, used: used[at], idle: idle[at], pageBytes: places[at].pageBytes,
                stored: places[at].stored == nil ? nil : stored, slotPages: zip(pages, heads).map { $0 * $1 },
                slotReuses: zip(reuses, heads).map { $1 > 0 ? $0 : 0 })
        }
    }

    /// What workers are to do since this was last asked.
    public mutating func takeChanges() -> [KVChange] {
        defer { pending = [] }
        return pending
    }

    /// Asks room for a sequence that begins with `tokens` and may grow to `total` tokens: now, or later, when the result of
    /// another call names it.
    ///
    /// - Parameters:
    ///   - reuses: Whether it may use pages of others and they may use its.
    ///   - attention: Which keys its tokens attend to; pages are shared among those of one mode.
    ///   - priority: Its place among those that wait: the lowest is taken first.
    /// - Throws: `Shortage` when it can never fit, a problem when too many wait.
    /// - Returns: the sequences that have room now, in order.
    public mutating func place(
        _ sequence: SequenceID, tokens: [TokenID], total: Int, reuses: Bool = true,
        attention: AttentionMode = .exact, priority: Int = 0
    ) throws -> [Admission] {
        let needed = Slots.pages(for: max(total, 1))
        if !places.isEmpty, let shortage = shortage(needed) { throw shortage }
        guard queue.count < longestQueue else {
            throw Problem.unavailable("\(queue.count) jobs wait already; try again later")
        }
        queue.insert(
            Waiting(
                sequence: sequence, tokens: reuses ? tokens : [], pages: needed, priority: priority,
                root: attention == .sparse ? sparseRoot : index.root),
            at: queue.firstIndex { $0.priority > priority } ?? queue.endIndex)
        return admitted()
    }

    /// A token was drawn for a sequence: it is computed with the next step.
    public mutating func append(_ token: TokenID, to sequence: SequenceID) {
        guard running[sequence]?.tokens.isEmpty == false else { return }
        running[sequence]?.tokens.append(token)
    }

    /// So many tokens of a sequence are computed: whole pages can be read by others from now on.
    public mutating func computed(_ sequence: SequenceID, tokens: Int) {
        guard var entry = running.removeValue(forKey: sequence) else { return }
        let end = min(tokens, entry.tokens.count) / Slots.pageTokens
        while entry.indexed < end {
            publish(&entry, sequence)
            if entry.indexed % Slots.count == 0 { order(&entry, sequence) }
        }
        running[sequence] = entry
    }

    /// Gives back what `sequence` held or waited for, of which `computed` tokens were computed; returns the sequences that
    /// have room now.
    public mutating func free(_ sequence: SequenceID, computed tokens: Int = 0) -> [Admission] {
        computed(sequence, tokens: tokens)
        guard var entry = running.removeValue(forKey: sequence) else {
            queue.removeAll { $0.sequence == sequence }
            return admitted()
        }
        order(&entry, sequence)
        pending.append(.close(sequence))
        index.advance()
        keepTail(&entry, sequence, computed: tokens)
        letGo(chainFrom: entry.last)
        // What it made and nobody can find goes at once, and so does what it did not come to use.
        var place = entry.prefix
        while place < entry.pages {
            var end = place
            while end < entry.pages, !(end - entry.prefix < entry.isOwn.count && entry.isOwn[end - entry.prefix]) {
                end += 1
            }
            if end > place {
                pending.append(.drop(PageRun(sequence, place..<end)))
                count(place..<end, -1)
            }
            place = end + 1
        }
        return admitted()
    }

    /// A plan with these pools begins, or ends (none): what was held is gone, but for what the workers found on their disks.
    ///
    /// - Parameter keepsRunning: Whether those that ran go on: they are the first to get room, and compute again what is gone.
    /// - Returns: who has room now, and who never will.
    public mutating func replan(
        _ places: [Place], keepsRunning: Bool = false
    ) -> (admitted: [Admission], refused: [(SequenceID, Shortage)]) {
        if keepsRunning {
            queue.insert(
                contentsOf: running.sorted { $0.key < $1.key }.map {
                    Waiting(
                        sequence: $0.key, tokens: $0.value.tokens, pages: $0.value.pages, priority: .min,
                        root: $0.value.root)
                }, at: 0)
        }
        self.places = places
        used = [Int](repeating: 0, count: places.count)
        idle = used
        index = PageIndex(root: index.root)
        running = [:]
        pending = []
        copies = [:]
        stores = !places.isEmpty && places.allSatisfy { $0.stored != nil }
        for place in places { for key in Set(place.stored ?? []) { copies[key, default: 0] += 1 } }
        guard !places.isEmpty else { return ([], []) }
        let refused = queue.compactMap { entry in shortage(entry.pages).map { (entry.sequence, $0) } }
        let never = Set(refused.map(\.0))
        queue.removeAll { never.contains($0.sequence) }
        return (admitted(), refused)
    }

    // MARK: Accounts

    private mutating func count(_ pages: Range<Int>, _ sign: Int) {
        for at in places.indices { used[at] += sign * places[at].share.pages(in: pages) }
    }

    private mutating func countIdle(_ place: Int, _ sign: Int) {
        for at in places.indices { idle[at] += sign * places[at].share.pages(in: place..<place + 1) }
    }

    private func shortage(_ needed: Int) -> Shortage? {
        guard places.contains(where: { $0.share.pages(ofFirst: needed) > $0.pages }) else { return nil }
        let has = (capacity ?? 0) / Slots.pageTokens
        // What was asked for may be absurd: figures stop where an Int does.
        func bytes(_ pages: Int) -> Int {
            let sum = places.reduce(0.0) { $0 + Double($1.share.pages(ofFirst: pages)) * Double($1.pageBytes) }
            return Int(exactly: sum.rounded()) ?? .max
        }
        return Shortage(
            neededTokens: needed * Slots.pageTokens, neededBytes: bytes(needed), hasTokens: has * Slots.pageTokens,
            hasBytes: bytes(has))
    }

    // MARK: The index

    /// Puts the next page of a running sequence into the index; where there is one that holds the same, that one counts.
    private mutating func publish(_ entry: inout Running, _ sequence: SequenceID) {
        let place = entry.indexed
        let tokens = entry.tokens[place * Slots.pageTokens..<(place + 1) * Slots.pageTokens]
        let key = hash(entry.last, tokens)
        if index[key] != nil {
            hold(key)
            order(&entry, sequence)
            entry.unstored = place + 1
            entry.isOwn.append(false)
        } else {
            index.insert(
                key,
                PageIndex.Page(creator: sequence, place: place, parent: entry.last, tokens: Array(tokens), users: 1))
            entry.isOwn.append(true)
            entry.unstoredKeys.append(key)
        }
        entry.last = key
        entry.indexed += 1
    }

    /// Keeps the last page of a sequence that ends within it, for one that goes on from there.
    private mutating func keepTail(_ entry: inout Running, _ sequence: SequenceID, computed: Int) {
        let start = entry.indexed * Slots.pageTokens
        let end = min(computed, entry.tokens.count)
        guard end - start >= Self.leastCopy, end - start < Slots.pageTokens else { return }
        let tokens = entry.tokens[start..<end]
        let key = hash(entry.last, tokens)
        guard index[key] == nil else { return }
        index.insert(
            key, PageIndex.Page(creator: sequence, place: entry.indexed, parent: entry.last, tokens: Array(tokens)))
        countIdle(entry.indexed, 1)
        entry.isOwn.append(true)
    }

    private mutating func hold(_ key: PageKey, reuse: Bool = false) {
        if let page = index[key], index.hold(key, reuse: reuse) { countIdle(page.place, -1) }
    }

    private mutating func letGo(chainFrom last: PageKey) {
        var key = last
        while let page = index[key] {
            if index.letGo(key) { countIdle(page.place, 1) }
            key = page.parent
        }
    }

    /// Makes room for `needed` pages at each place; the caller knows that there is enough that nobody holds.
    private mutating func evict(for needed: [Int]) {
        var run: PageRun?
        func flush(_ run: PageRun?) { if let run { pending.append(.drop(run)) } }
        while places.indices.contains(where: { used[$0] + needed[$0] > places[$0].pages }), let page = index.evict() {
            count(page.place..<page.place + 1, -1)
            countIdle(page.place, -1)
            if let last = run, last.creator == page.creator, last.pages.lowerBound == page.place + 1 {
                run = PageRun(page.creator, page.place..<last.pages.upperBound)
            } else {
                flush(run)
                run = PageRun(page.creator, page.place..<page.place + 1)
            }
        }
        flush(run)
    }

    // MARK: Admission

    private mutating func admitted() -> [Admission] {
        var now: [Admission] = []
        guard !places.isEmpty else { return [] }
        while !queue.isEmpty {
            var head = queue.removeFirst()
            guard let admission = admit(&head) else {
                queue.insert(head, at: 0)
                break
            }
            now.append(admission)
        }
        return now
    }

    /// Gives a sequence its room, or nil when it must wait.
    private mutating func admit(_ entry: inout Waiting) -> Admission? {
        let found = find(&entry)
        for key in entry.keys[..<found.resident] { hold(key, reuse: true) }
        let last = found.resident > 0 ? entry.keys[found.resident - 1] : entry.root
        let needed = places.map { $0.share.pages(in: found.resident..<entry.pages) }
        func fits() -> Bool {
            places.indices.allSatisfy { needed[$0] <= places[$0].pages - used[$0] + idle[$0] }
        }
        // The page that is copied from must not be given up for the copy.
        var source = found.copy
        if let copy = source {
            hold(copy.key, reuse: true)
            if !fits() {
                release(copy.key)
                source = nil
            }
        }
        guard fits() else {
            letGo(chainFrom: last)
            return nil
        }
        evict(for: needed)
        var copied: PageCopy?
        if let source, let page = index[source.key] {
            copied = PageCopy(page.creator, page: page.place, tokens: source.tokens)
            release(source.key)
        }
        pending.append(.open(entry.sequence, prefix: runs(entry.keys[..<found.resident]), copy: copied))
        count(found.resident..<entry.pages, 1)
        let restoring = Array(entry.keys[found.resident..<found.resident + found.stored])
        if !restoring.isEmpty {
            pending.append(.restore(entry.sequence, first: found.resident, keys: restoring))
        }
        running[entry.sequence] = Running(
            tokens: entry.tokens, root: entry.root, prefix: found.resident, pages: entry.pages, indexed: found.resident,
            last: last,
            unstored: found.resident, restoring: restoring)
        return Admission(
            entry.sequence, cached: found.resident * Slots.pageTokens + (copied?.tokens ?? 0),
            restoring: restoring.count)
    }

    private mutating func release(_ key: PageKey) {
        if let page = index[key], index.letGo(key) { countIdle(page.place, 1) }
    }

    /// How much of a waiting sequence is there: pages in memory, pages on disk after them, and else part of one more page.
    private func find(
        _ entry: inout Waiting
    ) -> (resident: Int, stored: Int, copy: (key: PageKey, tokens: Int)?) {
        // The last token is always computed: its logits are wanted.
        let most = max(0, entry.tokens.count - 1) / Slots.pageTokens
        func key(_ place: Int) -> PageKey {
            if place == entry.keys.count {
                entry.keys.append(
                    hash(
                        entry.keys.last ?? entry.root,
                        entry.tokens[place * Slots.pageTokens..<(place + 1) * Slots.pageTokens]))
            }
            return entry.keys[place]
        }
        var resident = 0
        while resident < most, index[key(resident)]?.isWhole == true { resident += 1 }
        var stored = 0
        while resident + stored < most, copies[key(resident + stored)] == places.count { stored += 1 }
        guard stored == 0, !entry.tokens.isEmpty else { return (resident, stored, nil) }
        let rest = entry.tokens[resident * Slots.pageTokens..<entry.tokens.count - 1]
        let last = resident > 0 ? entry.keys[resident - 1] : entry.root
        guard let best = index.mostAlike(below: last, rest.prefix(Slots.pageTokens - 1)), best.tokens >= Self.leastCopy
        else { return (resident, 0, nil) }
        return (resident, 0, best)
    }

    /// Pages of a chain, by who made them.
    private func runs(_ keys: ArraySlice<PageKey>) -> [PageRun] {
        var runs: [PageRun] = []
        for key in keys {
            guard let page = index[key] else { continue }
            if let last = runs.last, last.creator == page.creator {
                runs[runs.count - 1].pages = last.pages.lowerBound..<page.place + 1
            } else {
                runs.append(PageRun(page.creator, page.place..<page.place + 1))
            }
        }
        return runs
    }
}

// MARK: - Disk

extension Router {
    /// Orders the sequence's pages that are in the index and not yet on disk to be written.
    private mutating func order(_ entry: inout Running, _ sequence: SequenceID) {
        defer {
            entry.unstored = entry.indexed
            entry.unstoredKeys = []
        }
        let keys = entry.unstoredKeys
        guard stores, !keys.isEmpty, !keys.allSatisfy({ copies[$0] == places.count }) else { return }
        let first = entry.unstored
        pending.append(.store([PageRun(sequence, first..<first + keys.count)], first: first, keys: keys))
    }

    /// A place has written pages to its disk, or has given them up.
    public mutating func stored(_ keys: [PageKey], gone: [PageKey]) {
        for key in keys { copies[key, default: 0] += 1 }
        for key in gone {
            let left = (copies[key] ?? 0) - 1
            copies[key] = left > 0 ? left : nil
        }
    }

    /// Every place has read pages of a sequence from disk, at least `pages` of those it was to restore.
    ///
    /// The rest is computed again; a place that found some damaged has said with `stored` that they are gone. Returns the tokens that are there, or nil when the sequence is gone.
    public mutating func restored(_ sequence: SequenceID, pages: Int) -> Int? {
        guard var entry = running.removeValue(forKey: sequence) else { return nil }
        let good = min(max(pages, 0), entry.restoring.count)
        if good < entry.restoring.count {
            pending.append(.cut(sequence, pages: entry.prefix + good))
        }
        for _ in 0..<good { publish(&entry, sequence) }
        entry.unstored = entry.indexed
        entry.unstoredKeys = []
        entry.restoring = []
        let tokens = entry.indexed * Slots.pageTokens
        running[sequence] = entry
        return tokens
    }
}
