import Core
import HeapModule

/// The pages that any sequence may read: found by what they hold, kept while somebody reads them, given up by age.
///
/// A page hangs below the page before it. Sequences that run hold every page of their chain, so a page that nobody holds has
/// nothing below it that anybody holds, and the oldest without anything below goes first.
struct PageIndex: Sendable {
    /// One page of the index.
    struct Page: Sendable {
        var creator: SequenceID
        var place: Int
        var parent: PageKey
        /// Its tokens: 64, or fewer at the end of a sequence that is over.
        var tokens: [TokenID]
        /// Running sequences that hold it.
        var users = 0
        var children = 0
        var lastUsed: UInt64 = 0
        /// The moment under which it stands among those that can go.
        var queued: UInt64?
        /// How often a sequence began with it.
        var reuses = 0

        var isWhole: Bool { tokens.count == Slots.pageTokens }
    }

    private struct Idle: Comparable {
        var lastUsed: UInt64
        var place: Int
        var key: PageKey

        static func < (a: Idle, b: Idle) -> Bool { (a.lastUsed, -a.place, a.key) < (b.lastUsed, -b.place, b.key) }
    }

    /// Where every chain begins.
    let root: PageKey
    private(set) var pages: [PageKey: Page] = [:]
    private var below: [PageKey: [PageKey]] = [:]
    private var idle = Heap<Idle>()
    private var tick: UInt64 = 0

    init(root: PageKey) { self.root = root }

    subscript(_ key: PageKey) -> Page? { pages[key] }

    /// Adds a page; its chain is held if it is.
    mutating func insert(_ key: PageKey, _ page: Page) {
        pages[key] = page
        pages[page.parent]?.children += 1
        below[page.parent, default: []].append(key)
        if page.users == 0 { rest(key) }
    }

    /// One more sequence holds a page; true when nobody held it before.
    mutating func hold(_ key: PageKey, reuse: Bool) -> Bool {
        guard let at = pages.index(forKey: key) else { return false }
        pages.values[at].users += 1
        if reuse { pages.values[at].reuses += 1 }
        return pages.values[at].users == 1
    }

    /// One sequence less holds a page; true when nobody does any more.
    mutating func letGo(_ key: PageKey) -> Bool {
        guard let at = pages.index(forKey: key) else { return false }
        pages.values[at].users -= 1
        guard pages.values[at].users == 0 else { return false }
        rest(key)
        return true
    }

    /// Begins a new moment: pages that are let go from now on are younger.
    mutating func advance() { tick += 1 }

    private mutating func rest(_ key: PageKey) {
        guard let at = pages.index(forKey: key) else { return }
        pages.values[at].lastUsed = tick
        queue(at, key)
    }

    /// Lists a page among those that can go, once for each moment.
    private mutating func queue(_ at: Dictionary<PageKey, Page>.Index, _ key: PageKey) {
        let page = pages.values[at]
        guard page.users == 0, page.children == 0, page.queued != page.lastUsed else { return }
        pages.values[at].queued = page.lastUsed
        idle.insert(Idle(lastUsed: page.lastUsed, place: page.place, key: key))
    }

    /// Takes out the page that was used longest ago and that nobody holds, or nil when all are held.
    mutating func evict() -> Page? {
        while let oldest = idle.popMin() {
            guard let page = pages[oldest.key], page.users == 0, page.children == 0, page.lastUsed == oldest.lastUsed
            else { continue }
            pages[oldest.key] = nil
            below[page.parent]?.removeAll { $0 == oldest.key }
            if below[page.parent]?.isEmpty == true { below[page.parent] = nil }
            if let parent = pages.index(forKey: page.parent) {
                pages.values[parent].children -= 1
                queue(parent, page.parent)
            }
            return page
        }
        return nil
    }

    /// The page below `parent` that begins most like `tokens`, and how many tokens agree.
    func mostAlike(below parent: PageKey, _ tokens: ArraySlice<TokenID>) -> (key: PageKey, tokens: Int)? {
        var best: (key: PageKey, tokens: Int)?
        for key in below[parent] ?? [] {
            guard let page = pages[key] else { continue }
            let alike = zip(page.tokens, tokens).prefix { $0 == $1 }.count
            if alike > best?.tokens ?? 0 { best = (key, alike) }
        }
        return best
    }
}
