import Core
import Router
import Testing

@Suite("Router")
struct RouterTests {
    private func id(_ n: UInt64) -> SequenceID { SequenceID(n) }

    @Test("room is counted in whole pages, and given in the order of asking")
    func order() throws {
        var router = Router()
        _ = router.replan(capacity: 256 + 63, shares: [.whole(kvHeads: 1)])
        #expect(try router.place(id(1), tokens: 65) == [id(1)])
        #expect(router.reserved == 128)
        #expect(try router.place(id(2), tokens: 192).isEmpty)
        #expect(try router.place(id(3), tokens: 64).isEmpty, "a short one does not overtake")
        #expect(router.free(id(1)) == [id(2), id(3)])
        #expect(router.waiting == 0)
    }

    @Test("what can never fit is refused with the figures")
    func never() {
        var router = Router()
        _ = router.replan(capacity: 128, shares: [.whole(kvHeads: 1)])
        do {
            _ = try router.place(id(1), tokens: 129)
            Issue.record("accepted")
        } catch {
            #expect("\(error)".contains("192 tokens") && "\(error)".contains("has 128"))
        }
        #expect(throws: Problem.self) { try router.place(id(2), tokens: .max) }
    }

    @Test("one that waits can leave, and a full queue refuses")
    func queue() throws {
        var router = Router(longestQueue: 1)
        _ = router.replan(capacity: 64, shares: [.whole(kvHeads: 1)])
        #expect(try router.place(id(1), tokens: 1) == [id(1)])
        #expect(try router.place(id(2), tokens: 1).isEmpty)
        #expect(throws: Problem.self) { try router.place(id(3), tokens: 1) }
        #expect(router.free(id(2)).isEmpty)
        #expect(router.free(id(1)).isEmpty && router.reserved == 0)
    }

    @Test("a new plan admits those who waited and refuses those it has no room for")
    func replan() throws {
        var router = Router()
        #expect(try router.place(id(1), tokens: 64).isEmpty)
        #expect(try router.place(id(2), tokens: 1000).isEmpty)
        let (admitted, refused) = router.replan(capacity: 128, shares: [.whole(kvHeads: 1)])
        #expect(admitted == [id(1)] && refused.map(\.0) == [id(2)])
        let (none, _) = router.replan(capacity: nil, shares: [])
        #expect(none.isEmpty && router.reserved == 0)
    }

    @Test("ranks that divide the slots are counted apart: short sequences fill the first slots, long ones all")
    func divided() throws {
        var router = Router()
        let halves = Slots.runs(weights: [1, 1]).map { KVShare(slots: [$0]) }
        // Room for one sequence of 8 pages: 4 on each rank.
        _ = router.replan(capacity: 8 * 64, shares: halves)
        for n in 1...4 { #expect(try router.place(id(UInt64(n)), tokens: 64) == [id(UInt64(n))]) }
        #expect(try router.place(id(5), tokens: 64).isEmpty, "page 0 of every sequence is in slot 0, on the first rank")
        #expect(router.free(id(2)) == [id(5)])
        for n: UInt64 in [1, 3, 4] { #expect(router.free(id(n)).isEmpty) }
        #expect(try router.place(id(6), tokens: 6 * 64) == [id(6)], "one page and six: four on the first rank")
        #expect(try router.place(id(7), tokens: 65).isEmpty)
        #expect(router.free(id(5)) == [id(7)], "with the one page gone there is room for one more on each")
    }

    @Test("after any sequence of asking and giving back, what is reserved is what the admitted hold")
    func accounts() throws {
        var random = SystemRandomNumberGenerator()
        let runs = Slots.runs(weights: [1, 2, 1.5])
        let shares = runs.map { KVShare(slots: [$0]) } + [KVShare(slots: [runs[0], runs[2]])]
        var router = Router()
        let capacity = 300 * 64
        _ = router.replan(capacity: capacity, shares: shares)
        var held: [SequenceID: Int] = [:]
        var waiting: [SequenceID: Int] = [:]
        for number in 0..<5000 {
            let admitted: [SequenceID]
            if Bool.random(using: &random),
                let leaving = (Array(held.keys) + Array(waiting.keys)).randomElement(using: &random)
            {
                held[leaving] = nil
                waiting[leaving] = nil
                admitted = router.free(leaving)
            } else {
                let tokens = Int.random(in: 1...Int.random(in: 1...capacity, using: &random), using: &random)
                waiting[id(UInt64(number))] = tokens
                admitted = try router.place(id(UInt64(number)), tokens: tokens)
            }
            for sequence in admitted { held[sequence] = waiting.removeValue(forKey: sequence) ?? 0 }
            #expect(router.waiting == waiting.count)
            #expect(router.reserved == held.values.reduce(0) { $0 + Slots.pages(for: $1) * 64 })
            for share in shares {
                let used = held.values.reduce(0) { $0 + share.pages(ofFirst: Slots.pages(for: $1)) }
                #expect(used <= share.capacity(tokens: capacity))
            }
            #expect(!held.isEmpty || waiting.isEmpty, "somebody runs when anybody waits")
        }
    }
}
