import Cluster
import Core
import Testing

@Suite("Membership")
struct MembershipTests {
    private let ada = WorkerID("ada")
    private let bob = WorkerID("bob")

    @Test("a worker silent for three heartbeats is removed, once")
    func silence() {
        var members = Membership(interval: .seconds(1))
        #expect(members.greeted(by: ada, now: .zero) == .admit(ada))
        #expect(members.tick(now: .milliseconds(2999)).isEmpty)
        #expect(members.tick(now: .seconds(3)) == [.remove(ada)])
        #expect(members.tick(now: .seconds(9)).isEmpty)
        let isMember = members.heard(from: ada, now: .seconds(9))
        #expect(!isMember)
    }

    @Test("anything heard keeps a worker in")
    func heard() {
        var members = Membership(interval: .seconds(1))
        _ = members.greeted(by: ada, now: .zero)
        _ = members.greeted(by: bob, now: .zero)
        let isMember = members.heard(from: bob, now: .seconds(2))
        #expect(isMember)
        #expect(members.tick(now: .seconds(4)) == [.remove(ada)])
        #expect(members.workers == [bob])
    }

    @Test("a name is taken while its worker is heard of")
    func live() {
        var members = Membership(interval: .seconds(1))
        _ = members.greeted(by: ada, now: .zero)
        #expect(members.isLive(ada, now: .seconds(1)))
        #expect(!members.isLive(ada, now: .seconds(2)))
        #expect(!members.isLive(bob, now: .zero))
        #expect(members.left(ada) == .remove(ada))
        #expect(members.left(ada) == nil)
    }
}
