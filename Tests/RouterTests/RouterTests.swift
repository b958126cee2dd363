import Core
import Router
import Testing

@Suite("Router")
struct RouterTests {
    private func id(_ n: UInt64) -> SequenceID { SequenceID(n) }

    @Test("room is counted in whole pages, and given in the order of asking")
    func order() throws {
        var router = Router()
        _ = router.replan(capacity: 256 + 63)
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
        _ = router.replan(capacity: 128)
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
        _ = router.replan(capacity: 64)
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
        let (admitted, refused) = router.replan(capacity: 128)
        #expect(admitted == [id(1)] && refused.map(\.0) == [id(2)])
        let (none, _) = router.replan(capacity: nil)
        #expect(none.isEmpty && router.reserved == 0)
    }
}
