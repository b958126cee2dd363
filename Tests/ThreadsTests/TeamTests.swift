import Synchronization
import Testing

@testable import Threads

@Suite("Team")
struct TeamTests {
    @Test("every member runs once in each of many runs", arguments: [1, 2, 3, 5])
    func runs(size: Int) {
        let team = Team(size: size)
        let control = team.prepareThread()
        defer { Team.restoreThread(control) }
        let counts = (0..<size).map { _ in Counter() }
        for _ in 0..<3000 {
            team.run { counts[$0].value += 1 }
        }
        #expect(counts.map(\.value) == Array(repeating: 3000, count: size))
    }

    @Test("what a run wrote is read by every member of the next")
    func visibility() {
        let team = Team(size: 4)
        let cells = (0..<4).map { _ in Counter() }
        let sums = (0..<4).map { _ in Counter() }
        for round in 1...1000 {
            team.run { cells[$0].value = round * ($0 + 1) }
            team.run { sums[$0].value = cells.reduce(0) { $0 + $1.value } }
            #expect(sums.allSatisfy { $0.value == round * 10 })
        }
    }

    @Test("nobody passes the barrier before all have come")
    func barrier() {
        let team = Team(size: 3)
        let arrived = Atomic(0)
        let early = Atomic(0)
        team.run { _ in
            for round in 1...2000 {
                arrived.add(1, ordering: .sequentiallyConsistent)
                team.barrier()
                if arrived.load(ordering: .sequentiallyConsistent) < round * 3 {
                    early.add(1, ordering: .relaxed)
                }
                team.barrier()
            }
        }
        #expect(arrived.load(ordering: .relaxed) == 6000)
        #expect(early.load(ordering: .relaxed) == 0)
    }

    @Test("members that fell asleep between runs wake for the next")
    func sleepers() {
        let team = Team(size: 3)
        let total = Atomic(0)
        for _ in 0..<20 {
            team.run { _ in total.add(1, ordering: .relaxed) }
            // Longer than any spin, so that the helpers are on their futex; the outcome does not depend on it.
            Futex().sleep(while: 0, limit: .milliseconds(1))
        }
        #expect(total.load(ordering: .relaxed) == 60)
    }

    @Test("teams come and go without leaving threads behind")
    func lifetimes() {
        let total = Atomic(0)
        for size in [1, 2, 4, 3] {
            for _ in 0..<20 {
                let team = Team(size: size)
                team.run { _ in total.add(1, ordering: .relaxed) }
            }
        }
        #expect(total.load(ordering: .relaxed) == 200)
    }

    /// Written by one member at a time, read after the run.
    private final class Counter: @unchecked Sendable {
        var value = 0
    }
}

@Suite("Topology")
struct TopologyTests {
    @Test("lists of processors are read as the kernel writes them")
    func lists() {
        #expect(Topology.list("\t0-3,8,10-11") == [0, 1, 2, 3, 8, 10, 11])
        #expect(Topology.list("").isEmpty)
        #expect(Topology.list("x,3-1,5").elementsEqual([5]))
    }

    @Test("this machine has a processor and some memory")
    func here() {
        #expect(!Topology.processors.isEmpty)
        #expect(Topology.memoryTotal() > 1 << 20)
        #expect(Topology.memoryAvailable() <= Topology.memoryTotal())
    }
}
