import Core
import KVCache
import Testing

@testable import Router

/// The router beside the pools of real workers, which do what it says: whatever happens, both hold the same accounts.
@Suite("Router's accounts")
struct AccountTests {
    /// A sequence as its owner knows it.
    private struct Live {
        var tokens: [TokenID]
        var total: Int
        var computed = 0
        /// Tokens whose pages are made, guesses that were wrong included.
        var made = 0
        var isRunning = false
    }

    private struct World {
        var router = Router(hash: PageHash.key)
        var pools: [PagePool] = []
        let shares: [KVShare]
        let pages: [Int]
        var live: [SequenceID: Live] = [:]
        var next: UInt64 = 0
        /// Tokens that each page of each pool was written for, to see that a page is read by those it belongs to.
        var random: SplitMix

        init(seed: UInt64) throws {
            random = SplitMix(state: seed)
            let runs = Slots.runs(weights: [1, 2, 1.5])
            shares = runs.map { KVShare(slots: [$0]) } + [KVShare(slots: [runs[0], runs[2]]), .whole(kvHeads: 1)]
            pages = shares.enumerated().map { $1.capacity(tokens: 40 * 64) + $0 }
            try replan()
        }

        mutating func replan() throws {
            pools = try zip(shares, pages).map { share, pages in
                try PagePool(layers: 1, share: share, halfBytes: 64, pages: pages)
            }
            for sequence in live.keys where live[sequence]?.isRunning == true { live[sequence] = nil }
            let (admitted, refused) = router.replan(
                zip(shares, pages).map { Router.Place(share: $0, pages: $1) })
            #expect(refused.isEmpty)
            begin(admitted)
        }

        mutating func begin(_ admitted: [Router.Admission]) {
            for admission in admitted {
                live[admission.sequence]?.isRunning = true
                live[admission.sequence]?.computed = admission.cached
                live[admission.sequence]?.made = admission.cached
            }
        }

        /// The workers do what the router decided.
        mutating func work() throws {
            for change in router.takeChanges() {
                for pool in pools {
                    switch change {
                    case .open(let sequence, let prefix, let copy):
                        try pool.open(sequence, prefix: prefix, copy: copy)
                    case .close(let sequence): pool.close(sequence)
                    case .drop(let run): pool.drop(run)
                    case .cut, .store, .restore: Issue.record("no disk, and yet \(change)")
                    }
                }
            }
        }

        mutating func step() throws {
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<30: try submit()
            case 30..<85: try compute()
            case 85..<99: try finish()
            default: if Int.random(in: 0..<10, using: &random) == 0 { try replan() }
            }
            try work()
            try check()
        }

        /// A new sequence: of one of a few texts, forked somewhere, so that prefixes meet again and again.
        private mutating func submit() throws {
            guard live.count < 12 else { return }
            next += 1
            let text = Int.random(in: 0..<4, using: &random)
            let length = Int.random(in: 1...Int.random(in: 1...(30 * 64), using: &random), using: &random)
            let fork = Int.random(in: 0...length, using: &random)
            let branch = Int.random(in: 0..<3, using: &random)
            let tokens = (0..<length).map { TokenID(($0 * 7 + text * 1000 + ($0 >= fork ? branch * 13 : 0)) % 5000) }
            let total = length + Int.random(in: 1...200, using: &random)
            live[SequenceID(next)] = Live(tokens: tokens, total: total)
            begin(try router.place(SequenceID(next), tokens: tokens, total: total))
        }

        /// A running sequence advances, by a chunk of its prompt or a token.
        private mutating func compute() throws {
            let running = live.keys.sorted().filter { live[$0]?.isRunning == true }
            guard let sequence = running.randomElement(using: &random), var entry = live[sequence] else { return }
            let left = entry.tokens.count - entry.computed
            if left == 0 {
                guard entry.tokens.count < entry.total else { return }
                let token = TokenID.random(in: 0..<5, using: &random)
                entry.tokens.append(token)
                router.append(token, to: sequence)
            }
            let count = Int.random(in: 1...max(1, min(left, 300)), using: &random)
            // Behind a token that was drawn come guesses: some right, the others as if they had never been.
            let room = left == 0 ? entry.total - entry.tokens.count : 0
            let guesses = Int.random(in: 0...min(room, 15), using: &random)
            for pool in pools {
                try pool.extend(sequence, start: entry.computed, count: count + guesses, guessed: guesses)
            }
            entry.made = max(entry.made, entry.computed + count + guesses)
            entry.computed += count
            for _ in 0..<Int.random(in: 0...guesses, using: &random) {
                entry.tokens.append(1)
                entry.computed += 1
                router.append(1, to: sequence)
            }
            live[sequence] = entry
            router.computed(sequence, tokens: entry.computed)
        }

        /// A sequence ends: done, cancelled, or never begun.
        private mutating func finish() throws {
            guard let sequence = live.keys.sorted().randomElement(using: &random) else { return }
            let entry = live.removeValue(forKey: sequence)
            begin(router.free(sequence, computed: entry?.isRunning == true ? entry?.computed ?? 0 : 0))
        }

        private func check() throws {
            for (index, pool) in pools.enumerated() {
                let share = shares[index]
                // Pages that are reserved and not yet made.
                let open = live.filter { $1.isRunning }.reduce(0) { sum, entry in
                    let made = Slots.pages(for: entry.value.made)
                    return sum + share.pages(in: made..<max(made, Slots.pages(for: entry.value.total)))
                }
                #expect(router.usedPages[index] == pool.used + open, "place \(index)")
                #expect(router.usedPages[index] <= pages[index])
                #expect(router.idlePages[index] <= router.usedPages[index])
            }
            #expect(router.waiting == live.values.count { !$0.isRunning })
            #expect(live.isEmpty || live.values.contains { $0.isRunning }, "somebody runs when anybody waits")
        }
    }

    @Test(
        "submit, compute, guess, fork, cancel, evict and lose workers, thousands of times: the pools hold what the router counts",
        arguments: 1...4)
    func thousands(seed: UInt64) throws {
        var world = try World(seed: seed)
        for step in 0..<3000 {
            try world.step()
            if step % 100 == 0 { for pool in world.pools { try pool.check() } }
        }
        for sequence in world.live.keys.sorted() {
            let computed = world.live[sequence].map { $0.isRunning ? $0.computed : 0 } ?? 0
            world.live[sequence] = nil
            world.begin(world.router.free(sequence, computed: computed))
        }
        try world.work()
        for (index, pool) in world.pools.enumerated() {
            try pool.check()
            #expect(world.router.usedPages[index] == pool.used)
            #expect(world.router.idlePages[index] == pool.used, "all that is left can be given up")
        }
    }
}

/// Sebastiano Vigna's splitmix64: the same steps every time.
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
