import Core
import Kernels
import Testing

@Suite struct PageChoiceTests {
    /// Keys whose pages differ, so that there is something to choose by.
    private func pages(tokens: Int, headDim: Int, type: KVType, _ draws: inout Draws) -> Pages {
        let pages = Pages(tokens: tokens, headDim: headDim, type: type, draws: &draws, filled: false)
        var middle: [Float] = []
        for token in 0..<tokens {
            if token % 64 == 0 { middle = draws.floats(headDim, scale: 3) }
            let key = zip(middle, draws.floats(headDim)).map { $0 + $1 }
            pages.store(key: key, value: draws.floats(headDim), at: token)
        }
        return pages
    }

    private func queries(_ tokens: Int, heads: Int, headDim: Int, _ draws: inout Draws) -> [[[Float]]] {
        (0..<tokens).map { _ in (0..<heads).map { _ in draws.floats(headDim, scale: 2) } }
    }

    private func rows(_ tokens: Int, heads: Int) -> [(token: Int, head: Int)] {
        (0..<tokens).flatMap { token in (0..<heads).map { (token, $0) } }
    }

    @Test(
        "sparse attention has the twin's bits", arguments: KVType.allCases,
        [
            PageBudget(first: 1, last: 1, fewest: 1, leastIn: 2, mostIn: 2),
            PageBudget(first: 2, last: 3, fewest: 1, leastIn: 16, mostIn: 1),
            PageBudget(first: 0, last: 16, fewest: 2, leastIn: 3, mostIn: 2),
        ])
    func twin(type: KVType, budget: PageBudget) {
        var draws = Draws(31)
        let (headDim, heads) = (24, 3)
        let count = 64 * 64 * 4 + 64 * 7 + 20
        let pages = pages(tokens: count, headDim: headDim, type: type, &draws)
        let visible = [count - 1, count - 2, count - 70, 64 * 130, 64 * 67 + 63, 63, 0]
        let queries = queries(visible.count, heads: heads, headDim: headDim, &draws)
        let order = rows(visible.count, heads: heads)
        let found = sparseStates(queries, visible: visible, pages, budget: budget, order: order)
        let exact = kernelStates(
            order.map { queries[$0.token][$0.head] }, visible: order.map { visible[$0.token] }, pages)
        let twin = ChoiceTwin(budget: budget, pages: pages)
        let chosen = visible.indices.map { token in
            (0..<64).map { twin.chosen(queries[token], visible: visible[token], slot: $0) }
        }
        for (row, at) in order.enumerated() {
            let expected = Partial.attend(
                queries[at.token][at.head], visible: visible[at.token], pages, slots: 0..<64
            ) { chosen[at.token][Slots.slot(ofPage: $0)].contains($0) }
            #expect(found[row]?.bits == expected?.bits, "row \(row)")
        }
        #expect(found[0]?.bits != exact[0]?.bits, "pages are left out")
        #expect(found.last??.bits == exact.last??.bits)
    }

    @Test("with a budget for all pages, sparse attention is exact attention", arguments: KVType.allCases)
    func everything(type: KVType) {
        var draws = Draws(5)
        let pages = pages(tokens: 64 * 150 + 9, headDim: 16, type: type, &draws)
        let visible = (0..<20).map { 64 * 150 + 8 - 97 * $0 }
        let queries = queries(20, heads: 4, headDim: 16, &draws)
        let order = rows(20, heads: 4)
        let exact = kernelStates(
            order.map { queries[$0.token][$0.head] }, visible: order.map { visible[$0.token] }, pages)
        for budget in [
            PageBudget(first: 1, last: 1, fewest: 1, leastIn: 1, mostIn: 1),
            PageBudget(first: 1, last: 151, fewest: 1, leastIn: 16, mostIn: 16),
        ] {
            let found = sparseStates(queries, visible: visible, pages, budget: budget, order: order)
            #expect(found.map { $0?.bits } == exact.map { $0?.bits })
        }
    }

    @Test(
        "what a token chooses depends on no other token, no order of rows and no cut of the slots",
        arguments: [KVType.f16, .q4])
    func alone(type: KVType) {
        var draws = Draws(77)
        let count = 64 * 64 * 3 + 11
        let pages = pages(tokens: count, headDim: 32, type: type, &draws)
        let tokens = 40
        let visible = (0..<tokens).map { count - 1 - 3 * $0 }
        let queries = queries(tokens, heads: 2, headDim: 32, &draws)
        let budget = PageBudget(first: 1, last: 4, fewest: 1, leastIn: 3, mostIn: 2)
        let order = rows(tokens, heads: 2)
        let together = sparseStates(queries, visible: visible, pages, budget: budget, order: order).map { $0?.bits }
        for parts in [2, 8, 64] {
            let found = sparseStates(queries, visible: visible, pages, budget: budget, order: order, parts: parts)
            #expect(found.map { $0?.bits } == together)
        }
        // One head of all tokens after the other, as ranks that share a KV head have them; and backwards.
        let other = (0..<2).flatMap { head in (0..<tokens).reversed().map { (token: $0, head: 1 - head) } }
        let found = sparseStates(queries, visible: visible, pages, budget: budget, order: other)
        for (row, at) in other.enumerated() { #expect(found[row]?.bits == together[at.token * 2 + at.head]) }
        for token in [0, 17, tokens - 1] {
            let found = sparseStates(
                [queries[token]], visible: [visible[token]], pages, budget: budget, order: rows(1, heads: 2))
            #expect(found.map { $0?.bits } == Array(together[token * 2..<token * 2 + 2]))
        }
    }
}
