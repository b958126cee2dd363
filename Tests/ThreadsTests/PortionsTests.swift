import Testing

@testable import Threads

@Suite("Portions")
struct PortionsTests {
    @Test("every item is taken once", arguments: [1, 2, 3, 5], [0, 1, 2, 63, 64, 1000])
    func once(members: Int, count: Int) {
        let team = Team(size: members)
        let control = team.prepareThread()
        defer { Team.restoreThread(control) }
        let taken = (0..<members).map { _ in Taken() }
        for _ in 0..<100 {
            for each in taken { each.ranges = [] }
            let portions = Portions(of: count, members: members, most: 64)
            team.run { rank in
                while let some = portions.take() { taken[rank].ranges.append(some) }
            }
            let all = taken.flatMap { $0.ranges.flatMap { Array($0) } }.sorted()
            #expect(all == Array(0..<count))
        }
    }

    @Test("portions are as large as asked for at first, and one item at the end")
    func sizes() {
        let portions = Portions(of: 1000, members: 2, most: 64)
        var sizes: [Int] = []
        while let some = portions.take() { sizes.append(some.count) }
        #expect(sizes.first == 64)
        #expect(sizes.last == 1)
        #expect(zip(sizes, sizes.dropFirst()).allSatisfy { $0 >= $1 })
    }
}

/// What one member took.
private final class Taken: @unchecked Sendable {  // written by one member, read between runs
    var ranges: [Range<Int>] = []
}
