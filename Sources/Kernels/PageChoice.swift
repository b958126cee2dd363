import Core

/// How many pages a token of sparse attention attends to (docs/kernels.md).
public struct PageBudget: Hashable, Sendable {
    /// The first pages of the sequence that are always attended; at most 64.
    public var first: Int
    /// The last pages that are always attended, the token's own counted; at least 1.
    public var last: Int
    /// Of the pages between, each slot chooses at least so many,
    public var fewest: Int
    /// and at least one in so many, rounded up.
    public var leastIn: Int
    /// Beyond that it chooses up to one in so many: those that stand out at least two thirds as far as the best.
    public var mostIn: Int

    /// A budget.
    public init(first: Int, last: Int, fewest: Int, leastIn: Int, mostIn: Int) {
        self.first = first
        self.last = last
        self.fewest = fewest
        self.leastIn = leastIn
        self.mostIn = mostIn
    }

    /// What `attention: "sparse"` means. Keys of KV pages carry it: whoever changes it changes the root of their chains.
    public static let standard = PageBudget(first: 1, last: 16, fewest: 2, leastIn: 16, mostIn: 4)
}

/// What `attend` needs to choose pages: each token chooses for itself in each slot, so a choice depends on nothing but the token's
/// queries and the pages of that slot.
public struct PageChoice {
    let budget: PageBudget
    let bounds: UnsafePointer<UnsafeRawPointer>  // by page number in the sequence
    let tokens: UnsafePointer<Int>  // [rowCount]
    let tokenCount: Int
    let scratch: UnsafeMutableRawPointer

    /// A choice for one call.
    ///
    /// - Parameters:
    ///   - bounds: By page number in the sequence; read where a page of the call's slots can be chosen.
    ///   - tokens: For each row which token it belongs to, from 0. Rows of one token see the same keys and choose together.
    ///   - scratch: `pageChoiceScratchBytes` of memory.
    public init(
        budget: PageBudget, bounds: UnsafePointer<UnsafeRawPointer>, tokens: UnsafePointer<Int>, tokenCount: Int,
        scratch: UnsafeMutableRawPointer
    ) {
        self.budget = budget
        self.bounds = bounds
        self.tokens = tokens
        self.tokenCount = tokenCount
        self.scratch = scratch
    }
}

/// Bytes of scratch memory that choosing needs for `rowCount` rows of a sequence of at most `pageCount` pages, at any alignment.
public func pageChoiceScratchBytes(rowCount: Int, headDim: Int, pageCount: Int) -> Int {
    let places = Chooser.placeCount(pageCount)
    return 128 + 8 * (5 * rowCount + 1) + rowCount * places + 8 * (places + 4)
        + 4 * (rowCount * (headDim + 2) + Attention.floatCount(rowCount: rowCount, headDim: headDim))
}

/// Chooses the pages of one slot after the other, and attends to those that were chosen.
struct Chooser {
    private let choice: PageChoice
    private let queries: UnsafePointer<UnsafePointer<Float>>
    private let visible: UnsafePointer<Int>
    private let rowCount: Int
    private let headDim: Int
    /// Pages that a slot can have.
    private let places: Int
    // Rows by token: those of token t are order[starts[t]..<starts[t + 1]].
    private let starts: UnsafeMutablePointer<Int>  // [tokenCount + 1]
    private let order: UnsafeMutablePointer<Int>  // [rowCount]
    private let marks: UnsafeMutablePointer<UInt8>  // [tokenCount, places]
    private let bound: UnsafeMutablePointer<Float>  // [places + 4]
    private let score: UnsafeMutablePointer<Float>  // [places]
    // The rows that chose a page, gathered.
    private let some: UnsafeMutablePointer<Int>  // [rowCount]
    private let someQueries: UnsafeMutablePointer<UnsafePointer<Float>>  // [rowCount]
    private let someVisible: UnsafeMutablePointer<Int>  // [rowCount]
    private let someState: UnsafeMutablePointer<Float>  // [rowCount (headDim + 2)]
    private let someFloats: UnsafeMutablePointer<Float>

    /// Pages of a slot of a sequence of `pageCount` pages, at most; a multiple of four.
    static func placeCount(_ pageCount: Int) -> Int { (pageCount / Slots.count + 4) & ~3 }

    init?(
        _ choice: PageChoice, queries: UnsafePointer<UnsafePointer<Float>>, visible: UnsafePointer<Int>, rowCount: Int,
        headDim: Int, pageCount: Int
    ) {
        self.choice = choice
        self.queries = queries
        self.visible = visible
        self.rowCount = rowCount
        self.headDim = headDim
        places = Self.placeCount(pageCount)
        let base = UnsafeMutableRawPointer(bitPattern: (UInt(bitPattern: choice.scratch) &+ 63) & ~63)
        guard let base else { return nil }
        someFloats = base.assumingMemoryBound(to: Float.self)
        someState = someFloats + Attention.floatCount(rowCount: rowCount, headDim: headDim)
        bound = someState + rowCount &* (headDim &+ 2)
        score = bound + (places &+ 4)
        let words = UnsafeMutableRawPointer(bitPattern: (UInt(bitPattern: score + places) &+ 7) & ~7)
        guard let words else { return nil }
        starts = words.assumingMemoryBound(to: Int.self)
        order = starts + (rowCount &+ 1)
        some = order + rowCount
        someVisible = some + rowCount
        someQueries = UnsafeMutableRawPointer(someVisible + rowCount).assumingMemoryBound(to: UnsafePointer<Float>.self)
        marks = UnsafeMutableRawPointer(someQueries + rowCount).assumingMemoryBound(to: UInt8.self)
        sortRows()
    }

    private func sortRows() {
        for token in 0...choice.tokenCount { starts[token] = 0 }
        for row in 0..<rowCount { starts[choice.tokens[row] &+ 1] &+= 1 }
        for token in 0..<choice.tokenCount { starts[token &+ 1] &+= starts[token] }
        // Each start moves to its end while rows are dealt out, and all of them back by one token.
        for row in 0..<rowCount {
            let token = choice.tokens[row]
            order[starts[token]] = row
            starts[token] &+= 1
        }
        var token = choice.tokenCount
        while token > 0 {
            starts[token] = starts[token &- 1]
            token &-= 1
        }
        starts[0] = 0
    }

    /// All steps of a slot, pages in order.
    func add(slot: Int, of attention: Attention, to state: AttentionState) {
        let first = Slots.firstPage(ofSlot: slot)
        for token in 0..<choice.tokenCount where starts[token] < starts[token &+ 1] { choose(token, firstPage: first) }
        var place = 0
        var page = first
        while page < attention.pageCount {
            attend(page: page, place: place, attention, state)
            place &+= 1
            page &+= Slots.count
        }
    }

    /// One page, for the rows that chose it.
    private func attend(page: Int, place: Int, _ attention: Attention, _ state: AttentionState) {
        let start = page &* Slots.pageTokens
        var count = 0
        var leftOut = false
        for row in 0..<rowCount where visible[row] >= start {
            if marks[choice.tokens[row] &* places &+ place] != 0 {
                some[count] = row
                count &+= 1
            } else {
                leftOut = true
            }
        }
        if count == 0 { return }
        if !leftOut { return attention.add(page: page, next: page, to: state) }
        let chosen = AttentionState(someState, rowCount: count, headDim: headDim)
        for i in 0..<count {
            let row = some[i]
            someQueries[i] = queries[row]
            someVisible[i] = visible[row]
            state.rows(row..<row &+ 1).copy(to: chosen.rows(i..<i &+ 1))
        }
        let part = Attention(
            visible: someVisible, rowCount: count, pageCount: attention.pageCount, keyPages: attention.keyPages,
            valuePages: attention.valuePages, headDim: headDim, type: attention.type, floats: someFloats)
        part.pack(someQueries)
        part.add(page: page, next: page, to: chosen)
        for i in 0..<count {
            let row = some[i]
            chosen.rows(i..<i &+ 1).copy(to: state.rows(row..<row &+ 1))
        }
    }

    /// Marks the pages of the slot that a token attends to.
    ///
    /// A query's bound on a page, less its mean bound on all that can be chosen, says how far the page stands out for it; a page
    /// counts as much as it stands out for the query that likes it best. The best are taken, the earlier of two that are alike: keys that
    /// point every way have large bounds on all queries, so that a page of them must not be the only one.
    private func choose(_ token: Int, firstPage: Int) {
        let marks = marks + token &* places
        let budget = choice.budget
        let own = visible[order[starts[token]]] >> 6
        for place in 0..<places { marks[place] = 1 }
        // Places from `from` up to `end` can be chosen or not; those before and behind are attended anyhow.
        let from = firstPage < budget.first ? 1 : 0
        let lastPage = own &- budget.last
        let end = lastPage < firstPage ? 0 : (lastPage &- firstPage) / Slots.count &+ 1
        let count = end &- from
        if count <= 0 { return }
        let least = max(budget.fewest, (count &+ budget.leastIn &- 1) / budget.leastIn)
        let most = max(least, (count &+ budget.mostIn &- 1) / budget.mostIn)
        if least >= count { return }
        for place in from..<end {
            marks[place] = 0
            score[place] = -.infinity
        }
        let bounds = choice.bounds + firstPage
        for index in starts[token]..<starts[token &+ 1] {
            note(queries[order[index]], bounds, from, end)
        }
        var enough: Float = 0
        for number in 0..<most {
            var best = -1
            for place in from..<end where marks[place] == 0 && (best < 0 || score[place] > score[best]) { best = place }
            if number == 0 { enough = score[best] * 2 / 3 }
            if number >= least && score[best] < enough { return }
            marks[best] = 1
        }
    }

    /// Raises the scores of the places from `from` up to `end` to what they are for one query.
    private func note(
        _ q: UnsafePointer<Float>, _ bounds: UnsafePointer<UnsafeRawPointer>, _ from: Int, _ end: Int
    ) {
        @inline(__always) func page(_ place: Int) -> UnsafeRawPointer {
            bounds[(place < end ? place : end &- 1) &* Slots.count]
        }
        var place = from
        while place < end {
            // Beyond the end the last page is taken again; what is found for it there is written behind the others, and not read.
            boundProducts(
                q, headDim: headDim, (page(place), page(place &+ 1), page(place &+ 2), page(place &+ 3)),
                into: bound + place)
            place &+= 4
        }
        var sum: Float = 0
        for place in from..<end { sum += bound[place] }
        let mean = sum / Float(end &- from)
        for place in from..<end {
            let excess = bound[place] - mean
            if excess > score[place] { score[place] = excess }
        }
    }
}
