/// What is known about the keys of the pool's pages besides themselves: room for the bounds that sparse attention chooses by.
///
/// A side table by page, so that bounds are shared when pages are. It takes memory only for pages whose bounds somebody asked for, and
/// what is known of a page is forgotten when the page is used anew.
struct PageBounds {
    private let pages: Int
    private let layers: Int
    private let byteCount: Int
    private var memory: MemoryRegion?
    private var isKnown: [Bool] = []

    /// Nothing known; `byteCount` is what one layer's bounds of a page take.
    init(pages: Int, layers: Int, byteCount: Int) {
        self.pages = pages
        self.layers = layers
        self.byteCount = byteCount
    }

    /// Makes room for bounds, unless there is.
    mutating func begin() throws {
        guard memory == nil else { return }
        memory = try MemoryRegion(byteCount: pages * layers * byteCount)
        isKnown = [Bool](repeating: false, count: pages)
    }

    /// Says that a page's bounds are known from now on; false when they were.
    mutating func learn(_ page: Int) -> Bool {
        guard !isKnown[page] else { return false }
        isKnown[page] = true
        return true
    }

    /// A page gets other keys.
    mutating func forget(_ page: Int) {
        if memory != nil { isKnown[page] = false }
    }

    /// Where one layer's bounds of a page lie; nil before any were asked for.
    func address(_ page: Int, layer: Int) -> UnsafeMutableRawPointer? {
        memory.map { $0.base + (page * layers + layer) * byteCount }
    }
}
