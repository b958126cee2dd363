import Core

/// The rules of a grammar; they may name each other.
struct RuleSet: Sendable {
    /// What each rule accepts.
    var bodies: [Pattern] = []
    /// What each is called in problems.
    private(set) var names: [String] = []
    /// Those that are never put in the place of their name, since what is found out about them serves wherever they are named.
    var kept: Set<Int> = []
    /// The rule that the whole text is.
    var root = 0

    /// A new rule that accepts nothing yet.
    mutating func add(_ name: String) -> Int {
        bodies.append(.never)
        names.append(name)
        return bodies.count - 1
    }

    /// Takes over the rules of `other`; their numbers go up by what is returned.
    mutating func merge(_ other: RuleSet) -> Int {
        let offset = bodies.count
        names += other.names
        bodies += other.bodies.map { $0.replacingRules { .rule($0 + offset) } }
        for rule in other.kept { kept.insert(rule + offset) }
        return offset
    }

    /// A rule of this size is put in the place of its name: a call costs more than a few nodes do.
    private static let smallSize = 24

    /// The same grammar with small rules that don't name themselves, however far around, put in the place of their names.
    func flattened() -> RuleSet {
        var result = self
        var state = [UInt8](repeating: 0, count: bodies.count)
        // Depth first, without recursion: 0 not seen, 1 on the way, 2 done. What is on the way when it is named again is recursive.
        var stack = [(rule: root, isDone: false)]
        var canInline = [Bool](repeating: false, count: bodies.count)
        while let (rule, isDone) = stack.popLast() {
            if isDone {
                let body = result.bodies[rule].replacingRules { canInline[$0] ? result.bodies[$0] : .rule($0) }
                result.bodies[rule] = body
                var named: Set<Int> = []
                body.collectRules(into: &named)
                // Whoever names a rule that is still on the way may be part of a circle.
                let isOpen = named.contains { state[$0] == 1 }
                state[rule] = 2
                canInline[rule] =
                    !isOpen && !kept.contains(rule) && body.size(limit: Self.smallSize + 1) <= Self.smallSize
                continue
            }
            guard state[rule] == 0 else { continue }
            state[rule] = 1
            stack.append((rule, true))
            var named: Set<Int> = []
            bodies[rule].collectRules(into: &named)
            for next in named.sorted() where state[next] == 0 { stack.append((next, false)) }
        }
        return result
    }
}
