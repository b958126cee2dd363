import Core
import KVCache
import Testing

@testable import Router

@Suite("Router")
struct RouterTests {
    private func id(_ n: UInt64) -> SequenceID { SequenceID(n) }
    private func router(longestQueue: Int = 10_000) -> Router {
        Router(longestQueue: longestQueue, hash: PageHash.key)
    }
    private func whole(_ pages: Int, stored: [PageKey]? = nil) -> Router.Place {
        Router.Place(share: .whole(kvHeads: 1), pages: pages, pageBytes: 1000, stored: stored)
    }
    private func prompt(_ n: Int, seed: Int = 0) -> [TokenID] {
        (0..<n).map { TokenID(($0 * 31 + seed * 101 + $0 / 64) % 997) }
    }

    @Test("room is counted in whole pages, and given in the order of asking")
    func order() throws {
        var router = router()
        _ = router.replan([whole(4)])
        #expect(try router.place(id(1), tokens: [], total: 65) == [.init(id(1))])
        #expect(router.usedPages == [2])
        #expect(try router.place(id(2), tokens: [], total: 192).isEmpty)
        #expect(try router.place(id(3), tokens: [], total: 64).isEmpty, "a short one does not overtake")
        #expect(router.free(id(1)).map(\.sequence) == [id(2), id(3)])
        #expect(router.waiting == 0)
    }

    @Test("those that wait are taken by their priority, and of one priority in the order of asking; who runs stays")
    func priority() throws {
        var router = router()
        _ = router.replan([whole(2)])
        #expect(try router.place(id(1), tokens: [], total: 100) == [.init(id(1))])
        for (number, priority) in [(2, 0), (3, 5), (4, -3), (5, 0), (6, -3)] as [(UInt64, Int)] {
            #expect(try router.place(id(number), tokens: [], total: 100, priority: priority).isEmpty)
        }
        #expect(router.waitingSequences == [id(4), id(6), id(2), id(5), id(3)])
        #expect(router.free(id(1)).map(\.sequence) == [id(4)])
        // The one that ran goes on before those that are more urgent than it was.
        #expect(try router.place(id(7), tokens: [], total: 100, priority: -100).isEmpty)
        _ = router.replan([], keepsRunning: true)
        #expect(router.waitingSequences == [id(4), id(7), id(6), id(2), id(5), id(3)])
    }

    @Test("what can never fit is refused with the figures")
    func never() {
        var router = router()
        _ = router.replan([whole(2)])
        #expect(
            throws: Router.Shortage(neededTokens: 192, neededBytes: 3000, hasTokens: 128, hasBytes: 2000)
        ) { try router.place(id(1), tokens: [], total: 129) }
        #expect(throws: Router.Shortage.self) { try router.place(id(2), tokens: [], total: .max) }
    }

    @Test("one that waits can leave, and a full queue refuses")
    func queue() throws {
        var router = router(longestQueue: 1)
        _ = router.replan([whole(1)])
        #expect(try router.place(id(1), tokens: [], total: 1).map(\.sequence) == [id(1)])
        #expect(try router.place(id(2), tokens: [], total: 1).isEmpty)
        #expect(throws: Problem.self) { try router.place(id(3), tokens: [], total: 1) }
        #expect(router.free(id(2)).isEmpty)
        #expect(router.free(id(1)).isEmpty && router.usedPages == [0])
    }

    @Test("a new plan admits those who waited and refuses those it has no room for")
    func replan() throws {
        var router = router()
        #expect(try router.place(id(1), tokens: [], total: 64).isEmpty)
        #expect(try router.place(id(2), tokens: [], total: 1000).isEmpty)
        let (admitted, refused) = router.replan([whole(2)])
        #expect(admitted.map(\.sequence) == [id(1)] && refused.map(\.0) == [id(2)])
        let (none, _) = router.replan([])
        #expect(none.isEmpty && router.usedPages.isEmpty)
    }

    @Test("ranks that divide the slots are counted apart: short sequences fill the first slots, long ones all")
    func divided() throws {
        var router = router()
        let halves = Slots.runs(weights: [1, 1]).map { Router.Place(share: KVShare(slots: [$0]), pages: 4) }
        _ = router.replan(halves)
        for n: UInt64 in 1...4 { #expect(try router.place(id(n), tokens: [], total: 64).map(\.sequence) == [id(n)]) }
        #expect(
            try router.place(id(5), tokens: [], total: 64).isEmpty,
            "page 0 of every sequence is in slot 0, on the first rank")
        #expect(router.free(id(2)).map(\.sequence) == [id(5)])
    }

    @Test("a prompt that begins like an earlier one begins with its pages, and a forked one copies part of a page")
    func reuse() throws {
        var router = router()
        _ = router.replan([whole(100)])
        let first = prompt(200)
        _ = try router.place(id(1), tokens: first, total: 210)
        router.computed(id(1), tokens: 200)
        // While the first one still runs, its whole pages are there.
        #expect(try router.place(id(2), tokens: first, total: 210) == [.init(id(2), cached: 192)])
        _ = router.takeChanges()
        router.append(5, to: id(1))
        router.append(6, to: id(1))
        _ = router.free(id(1), computed: 201)
        // The conversation goes on: 201 tokens are there, the last nine of them in a page that is copied.
        let next = first + [5, 6] + prompt(50, seed: 3)
        #expect(try router.place(id(3), tokens: next, total: 300) == [.init(id(3), cached: 201)])
        #expect(
            router.takeChanges().last
                == .open(id(3), prefix: [PageRun(id(1), 0..<3)], copy: PageCopy(id(1), page: 3, tokens: 9)))
        // Another one leaves the first in the middle of its second page.
        let fork = Array(first[..<100]) + prompt(100, seed: 4)
        #expect(try router.place(id(4), tokens: fork, total: 200) == [.init(id(4), cached: 100)])
        // The last token of a prompt is always computed.
        #expect(try router.place(id(5), tokens: Array(first[..<128]), total: 130) == [.init(id(5), cached: 127)])
        #expect(try router.place(id(6), tokens: prompt(64, seed: 9), total: 70) == [.init(id(6), cached: 0)])
        #expect(try router.place(id(7), tokens: first, total: 210, reuses: false) == [.init(id(7), cached: 0)])
    }

    @Test("sequences of sparse attention share pages among themselves, and none with those of exact attention")
    func attention() throws {
        var router = router()
        _ = router.replan([whole(100)])
        let tokens = prompt(200)
        let modes: [AttentionMode] = [.sparse, .exact, .sparse, .exact]
        for (number, (mode, cached)) in zip(modes, [0, 0, 192, 192]).enumerated() {
            let id = id(UInt64(number))
            let admitted = try router.place(id, tokens: tokens, total: 210, attention: mode)
            #expect(admitted == [.init(id, cached: cached)])
            _ = router.free(id, computed: 200)
        }
        let roots = AttentionMode.allCases.map { PageHash.root(digest: "d", type: .f16, attention: $0) }
        #expect(roots[0] != roots[1] && roots[0] == PageHash.root(digest: "d", type: .f16))
    }

    @Test(
        "pages that nobody reads are given up when their room is wanted: the oldest first, those behind before those before"
    )
    func evicts() throws {
        var router = router()
        _ = router.replan([whole(8)])
        for n: UInt64 in 1...2 {
            _ = try router.place(id(n), tokens: prompt(4 * 64 + 1, seed: Int(n)), total: 4 * 64)
            router.computed(id(n), tokens: 256)
            _ = router.free(id(n), computed: 256)
        }
        #expect(router.usedPages == [8] && router.idlePages == [8])
        _ = router.takeChanges()
        #expect(try router.place(id(3), tokens: prompt(100, seed: 7), total: 128).map(\.sequence) == [id(3)])
        #expect(router.takeChanges() == [.drop(PageRun(id(1), 2..<4)), .open(id(3), prefix: [], copy: nil)])
        // What is left of the first is still good, and then it is the second that is older.
        #expect(try router.place(id(4), tokens: prompt(4 * 64 + 1, seed: 1), total: 257).first?.cached == 128)
        let drops = router.takeChanges().filter { if case .drop = $0 { true } else { false } }
        #expect(drops == [.drop(PageRun(id(2), 1..<4))])
        // Running ones are never given up: the next waits.
        #expect(try router.place(id(5), tokens: prompt(500, seed: 8), total: 400).isEmpty)
        #expect(router.takeChanges().isEmpty)
    }

    @Test("pages on every disk are read back; what was damaged is computed again")
    func restores() throws {
        let tokens = prompt(64 * 6 + 5)
        var keys: [PageKey] = []
        for place in 0..<6 {
            keys.append(
                PageHash.key(keys.last ?? PageKey(high: 0, low: 0), tokens[place * 64..<(place + 1) * 64]))
        }
        var router = router()
        // The second place lost the last page.
        _ = router.replan([whole(50, stored: keys), whole(50, stored: Array(keys[..<5]))])
        #expect(try router.place(id(1), tokens: tokens, total: 400) == [.init(id(1), cached: 0, restoring: 5)])
        #expect(
            router.takeChanges() == [
                .open(id(1), prefix: [], copy: nil), .restore(id(1), first: 0, keys: Array(keys[..<5])),
            ])
        router.stored([], gone: Array(keys[3..<5]))
        #expect(router.restored(id(1), pages: 3) == 192)
        #expect(router.takeChanges() == [.cut(id(1), pages: 3)])
        router.computed(id(1), tokens: 64 * 6)
        _ = router.free(id(1), computed: 64 * 6)
        // What is written again is what was damaged or missing.
        #expect(
            router.takeChanges().first
                == .store([PageRun(id(1), 3..<6)], first: 3, keys: Array(keys[3...])))
        // The first place has them all; the second writes what it lacks.
        router.stored(Array(keys[3...]), gone: [])
        #expect(router.uses()[0].stored == 6)
    }

    @Test("workers that keep no pages on disk are not told to")
    func noDisk() throws {
        var router = router()
        _ = router.replan([whole(50, stored: []), whole(50)])
        _ = try router.place(id(1), tokens: prompt(300), total: 300)
        _ = router.free(id(1), computed: 300)
        let stores = router.takeChanges().filter { if case .store = $0 { true } else { false } }
        #expect(stores.isEmpty)
    }
}
