import Core

/// A network being walked: a pushdown automaton whose states are found out as they are reached, and kept.
///
/// A *local* state is a set of nodes of one rule, as a deterministic automaton has it. A *configuration* is a set of pairs: a local state, and a
/// stack of those to go on at when the rule is over; more than one pair where the grammar leaves open which rule a text is in. Stacks share
/// their lower parts, so a pair is two numbers. A grammar without calls has one pair with an empty stack: a plain deterministic automaton.
///
/// One thread uses it at a time.
final class Automaton {
    /// A state with its stack.
    struct Place: Hashable {
        var local: Int32
        var stack: Int32
    }

    /// A rule that is called, and where to go on after it: the local state is found when it is first wanted.
    private struct Call {
        var rule: Int
        var nodes: [Int32]
        var back: Int32 = -1
    }

    /// No further byte is possible: the text was refused.
    static let dead: Int32 = -1
    /// In `rows`: not found out yet.
    static let unknown: Int32 = -2

    /// The stack on which the root rule runs.
    static let bottom: Int32 = 0
    /// A stack of which nothing is known: what is behind the rule's end may go on in any way, or not.
    static let open: Int32 = 1

    /// A grammar that leaves more open at one place is given up.
    private static let placeLimit = 2000
    /// So is one that comes to more configurations: they take some hundred bytes each.
    private static let configurationLimit = 1 << 19

    let network: Network
    /// The configuration before the first byte.
    let start: Int32 = 0
    /// How many byte classes there are: the width of `rows`.
    let width: Int
    let classOfByte: [UInt8]

    // Local states.
    private var localNumbers: [[Int32]: Int32] = [:]
    private var localNodes: [[Int32]] = []
    private var localRows: [Int32] = []
    private var localAccepts: [Bool] = []
    private var localCalls: [[Call]] = []
    private var localIsOnlyEnd: [Bool] = []
    private var localTakesBytes: [Bool] = []
    private var entryLocals: [Int32]

    // Stacks.
    private var stackNumbers: [Place: Int32] = [:]
    private var stackTops: [Place] = [Place(local: -1, stack: -1), Place(local: -1, stack: -1)]

    // Configurations.
    private var numbers: [[Place]: Int32] = [:]
    /// By configuration and byte class, the next configuration.
    private(set) var rows: [Int32] = []
    /// By configuration, the pairs that take bytes.
    private var takers: [[Place]] = []
    /// By configuration, the pairs that the others follow from by calling rules.
    private(set) var roots: [[Place]] = []
    /// By configuration, whether the text may end.
    private(set) var accepts: [Bool] = []
    /// By configuration, whether what is behind an open stack may go on here.
    private(set) var escapes: [Bool] = []
    /// Whether a configuration had to be cut short: the grammar leaves too much open.
    private(set) var isOverwhelmed = false

    init(_ network: Network) {
        self.network = network
        width = network.classCount
        classOfByte = network.classOfByte
        entryLocals = [Int32](repeating: -1, count: network.entries.count)
        _ = configuration([Place(local: entryLocal(network.root), stack: Self.bottom)])
    }

    /// Everything that was found out so far, in entries of tables.
    var size: Int { localNodes.count + stackTops.count + takers.count }

    // MARK: Local states

    /// The local state at these nodes, and at those that follow without a byte or a call.
    private func local(_ seeds: [Int32]) -> Int32 {
        var found: [Int32] = []
        var seen: Set<Int32> = []
        var open: [Int32] = []
        for seed in seeds where seen.insert(seed).inserted { open.append(seed) }
        while let node = open.popLast() {
            guard network.isUseful[Int(node)] else { continue }
            if case .split(let a, let b) = network.nodes[Int(node)] {
                if seen.insert(b).inserted { open.append(b) }
                if seen.insert(a).inserted { open.append(a) }
            } else {
                found.append(node)
            }
        }
        found.sort()
        if let known = localNumbers[found] { return known }
        let number = Int32(localNodes.count)
        localNumbers[found] = number
        localNodes.append(found)
        localRows += [Int32](repeating: Self.unknown, count: width)
        localAccepts.append(found.first == Network.end)
        localIsOnlyEnd.append(found == [Network.end])
        localTakesBytes.append(
            found.contains { if case .bytes = network.nodes[Int($0)] { true } else { false } })
        var calls: [Call] = []
        for node in found {
            guard case .call(let rule, let next) = network.nodes[Int(node)] else { continue }
            if let at = calls.firstIndex(where: { $0.rule == Int(rule) }) {
                calls[at].nodes.append(next)
            } else {
                calls.append(Call(rule: Int(rule), nodes: [next]))
            }
        }
        localCalls.append(calls)
        return number
    }

    private func entryLocal(_ rule: Int) -> Int32 {
        if entryLocals[rule] < 0 { entryLocals[rule] = local([network.entries[rule]]) }
        return entryLocals[rule]
    }

    /// The places of the rules that `place` calls.
    private func called(by place: Place) -> [Place] {
        let local = Int(place.local)
        return localCalls[local].indices.map { index in
            if localCalls[local][index].back < 0 {
                let back = self.local(localCalls[local][index].nodes)
                localCalls[local][index].back = back
            }
            let call = localCalls[local][index]
            return Place(local: entryLocal(call.rule), stack: push(call.back, on: place.stack))
        }
    }

    private func localStep(_ state: Int32, _ byteClass: Int) -> Int32 {
        let at = Int(state) * width + byteClass
        if localRows[at] != Self.unknown { return localRows[at] }
        var next: [Int32] = []
        for node in localNodes[Int(state)] {
            if case .bytes(let set, let target) = network.nodes[Int(node)], network.set(set, has: byteClass) {
                next.append(target)
            }
        }
        let target = next.contains { network.isUseful[Int($0)] } ? local(next) : Self.dead
        localRows[at] = target
        return target
    }

    // MARK: Configurations

    private func push(_ back: Int32, on stack: Int32) -> Int32 {
        // Nothing but the end is left to do there: what is behind it comes next.
        if localIsOnlyEnd[Int(back)] { return stack }
        let top = Place(local: back, stack: stack)
        if let known = stackNumbers[top] { return known }
        stackTops.append(top)
        stackNumbers[top] = Int32(stackTops.count - 1)
        return Int32(stackTops.count - 1)
    }

    /// The configuration of these pairs and of all that follow from them without a byte.
    private func configuration(_ kernel: [Place]) -> Int32 {
        if let known = numbers[kernel] { return known }
        var seen: Set<Place> = []
        var rootSet: Set<Place> = []
        var (taking, own): ([Place], [Place]) = ([], [])
        var (mayEnd, mayEscape) = (false, false)
        var open: [(place: Place, isRoot: Bool)] = kernel.map { ($0, true) }
        while let (place, isRoot) = open.popLast() {
            if isRoot, rootSet.insert(place).inserted { own.append(place) } else if seen.contains(place) { continue }
            let isNew = seen.insert(place).inserted
            if seen.count > Self.placeLimit {
                isOverwhelmed = true
                break
            }
            let local = Int(place.local)
            if isNew, localTakesBytes[local] { taking.append(place) }
            if localAccepts[local] {
                switch place.stack {
                case Self.bottom: mayEnd = true
                case Self.open: mayEscape = true
                default: open.append((stackTops[Int(place.stack)], isRoot))
                }
            }
            if isNew { open += called(by: place).map { ($0, false) } }
        }
        let number = Int32(takers.count)
        if takers.count >= Self.configurationLimit { isOverwhelmed = true }
        numbers[kernel] = number
        takers.append(taking)
        roots.append(own)
        accepts.append(mayEnd)
        escapes.append(mayEscape)
        rows += [Int32](repeating: Self.unknown, count: width)
        return number
    }

    /// The configuration of one local state on a stack of which nothing is known.
    func openConfiguration(_ local: Int32) -> Int32 { configuration([Place(local: local, stack: Self.open)]) }

    /// The configuration after a byte, or `dead`.
    func step(_ configuration: Int32, _ byte: UInt8) -> Int32 {
        let byteClass = Int(classOfByte[Int(byte)])
        let known = rows[Int(configuration) * width + byteClass]
        return known != Self.unknown ? known : find(configuration, byteClass)
    }

    /// Finds out what comes after a byte of a class.
    @discardableResult
    func find(_ configuration: Int32, _ byteClass: Int) -> Int32 {
        var kernel: Set<Place> = []
        for place in takers[Int(configuration)] {
            let next = localStep(place.local, byteClass)
            if next != Self.dead { kernel.insert(Place(local: next, stack: place.stack)) }
        }
        let sorted = kernel.sorted { ($0.local, $0.stack) < ($1.local, $1.stack) }
        let next = sorted.isEmpty || isOverwhelmed ? Self.dead : self.configuration(sorted)
        rows[Int(configuration) * width + byteClass] = next
        return next
    }

    /// Whether a byte can follow.
    func goesOn(_ configuration: Int32) -> Bool { !takers[Int(configuration)].isEmpty }

    /// The configuration after some bytes, or `dead`.
    func walk(_ configuration: Int32, _ bytes: some Sequence<UInt8>) -> Int32 {
        var at = configuration
        for byte in bytes {
            at = step(at, byte)
            if at == Self.dead { return at }
        }
        return at
    }

    /// The only byte that can follow, where the text may not end and there is just one.
    func forcedByte(_ configuration: Int32) -> UInt8? {
        guard !accepts[Int(configuration)] else { return nil }
        var found: UInt8?
        for byte in UInt8.min...UInt8.max where step(configuration, byte) != Self.dead {
            if found != nil { return nil }
            found = byte
        }
        return found
    }
}
