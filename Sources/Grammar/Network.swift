import Core

/// A grammar as a network of nodes: what an automaton is made of, ready to be walked.
///
/// Nodes are laid down from the end of each rule to its beginning, so a node's successors mostly have lower numbers. Nodes from which the
/// end cannot be reached are marked, and never walked: wherever a walk is, the text can be completed.
public struct Network: Sendable {
    /// What a node does.
    enum Node: Sendable {
        /// The end of a rule.
        case end
        /// Goes on at either.
        case split(Int32, Int32)
        /// Takes one byte of a set.
        case bytes(set: Int32, next: Int32)
        /// Takes what a rule accepts.
        case call(rule: Int32, next: Int32)
    }

    /// The end of every rule.
    static let end: Int32 = 0
    /// More nodes than this are refused.
    static let nodeLimit = 1 << 21

    private(set) var nodes: [Node] = [.end]
    /// By node, whether the end of its rule can be reached.
    private(set) var isUseful: [Bool] = []
    /// By rule, where it begins.
    private(set) var entries: [Int32] = []
    /// The rule that the whole text is.
    let root: Int
    /// By byte, its class: bytes of a class are alike to every node.
    private(set) var classOfByte = [UInt8](repeating: 0, count: 256)
    /// How many classes there are.
    private(set) var classCount = 1
    /// By set and class, whether the set has the class's bytes.
    private var memberships: [Bool] = []
    private var sets: [ByteSet] = []
    private var numbers: [ByteSet: Int32] = [:]

    /// Lays down the rules.
    ///
    /// - Throws: when nothing is accepted, when a rule begins with itself, or when the grammar is too large.
    init(_ rules: RuleSet, source: String) throws {
        let rules = rules.flattened()
        root = rules.root
        for (rule, body) in rules.bodies.enumerated() {
            guard nodes.count + body.size(limit: Self.nodeLimit) < Self.nodeLimit else {
                throw Self.tooLarge(source)
            }
            entries.append(try lay(body, before: Self.end, source))
            guard rule < 1 << 20 else { throw Self.tooLarge(source) }
        }
        findClasses()
        findUseful()
        guard isUseful[Int(entries[root])] else {
            throw Problem.invalid("\(source): no finite text is accepted, so there can be no answer")
        }
        if let rule = leftRecursion() {
            throw Problem.invalid(
                "\(source): \(rules.names[rule]) begins with itself, so it could go on without a character; put something before it"
            )
        }
    }

    private static func tooLarge(_ source: String) -> Problem {
        .invalid(
            "\(source): the grammar is too large (over \(nodeLimit) nodes); use smaller bounds on lengths and counts")
    }

    // MARK: Laying down

    private mutating func add(_ node: Node, _ source: String) throws -> Int32 {
        guard nodes.count < Self.nodeLimit else { throw Self.tooLarge(source) }
        nodes.append(node)
        return Int32(nodes.count - 1)
    }

    private mutating func number(of set: ByteSet) -> Int32 {
        if let known = numbers[set] { return known }
        sets.append(set)
        numbers[set] = Int32(sets.count - 1)
        return Int32(sets.count - 1)
    }

    /// Lays down what `pattern` accepts, with `next` behind it; where it begins.
    private mutating func lay(_ pattern: Pattern, before next: Int32, _ source: String) throws -> Int32 {
        switch pattern {
        case .never: return try add(.bytes(set: number(of: ByteSet()), next: next), source)
        case .bytes(let set): return try add(.bytes(set: number(of: set), next: next), source)
        case .text(let bytes):
            var at = next
            for byte in bytes.reversed() { at = try add(.bytes(set: number(of: ByteSet(byte)), next: at), source) }
            return at
        case .rule(let rule): return try add(.call(rule: Int32(rule), next: next), source)
        case .sequence(let parts):
            var at = next
            for part in parts.reversed() { at = try lay(part, before: at, source) }
            return at
        case .prefix(let parts):
            var at = next
            for part in parts.reversed() { at = try add(.split(lay(part, before: at, source), next), source) }
            return at
        case .choice(let parts):
            var at: Int32?
            for part in parts.reversed() {
                let own = try lay(part, before: next, source)
                at = try at.map { try add(.split(own, $0), source) } ?? own
            }
            return try at ?? lay(.never, before: next, source)
        case .repeated(let part, let least, let most):
            var at = next
            if let most {
                for _ in least..<max(most, least) {
                    at = try add(.split(lay(part, before: at, source), next), source)
                }
            } else {
                at = try loop(part, next, source)
            }
            for _ in 0..<least { at = try lay(part, before: at, source) }
            return at
        case .list(let items, let separator): return try list(items, separator, next, source)
        }
    }

    /// Any number of `part`, then `next`.
    private mutating func loop(_ part: Pattern, _ next: Int32, _ source: String) throws -> Int32 {
        let head = try add(.split(next, next), source)
        nodes[Int(head)] = .split(try lay(part, before: head, source), next)
        return head
    }

    /// A list, laid down from its end: for each item one copy, which is entered with a separator before it or without.
    private mutating func list(
        _ items: [Pattern.Item], _ separator: Pattern, _ next: Int32, _ source: String
    ) throws -> Int32 {
        // Where to go on when something stands before, and when nothing does.
        var (after, first) = (next, next)
        for item in items.reversed() {
            let own: Int32
            let separated: Int32
            if item.repeats {
                // Behind each comes the separator and another, or what follows.
                let again = try add(.split(after, after), source)
                own = try lay(item.pattern, before: again, source)
                separated = try lay(separator, before: own, source)
                nodes[Int(again)] = .split(separated, after)
            } else {
                own = try lay(item.pattern, before: after, source)
                separated = try lay(separator, before: own, source)
            }
            if item.isRequired {
                (after, first) = (separated, own)
            } else {
                after = try add(.split(separated, after), source)
                first = try add(.split(own, first), source)
            }
        }
        return first
    }

    // MARK: What it all means

    /// Sorts bytes into classes by the sets that they are in.
    private mutating func findClasses() {
        var classes = [Int](repeating: 0, count: 256)
        var count = 1
        for set in sets {
            var renamed: [Int: Int] = [:]
            var fresh: [Int] = []
            for byte in 0..<256 {
                let key = classes[byte] * 2 + (set.contains(UInt8(byte)) ? 1 : 0)
                if renamed[key] == nil {
                    renamed[key] = renamed.count
                }
                fresh.append(renamed[key] ?? 0)
            }
            classes = fresh
            count = renamed.count
            if count == 256 { break }
        }
        classOfByte = classes.map { UInt8($0) }
        classCount = count
        memberships = [Bool](repeating: false, count: sets.count * count)
        for (number, set) in sets.enumerated() {
            for byte in 0..<256 where set.contains(UInt8(byte)) { memberships[number * count + classes[byte]] = true }
        }
    }

    /// Whether a set has the bytes of a class.
    func set(_ set: Int32, has byteClass: Int) -> Bool { memberships[Int(set) * classCount + byteClass] }

    /// Marks the nodes from which the end of their rule can be reached, through rules whose own end can be.
    private mutating func findUseful() {
        // By node, those that wait for it: two chains at most lead on from each, as no node waits for more than two.
        var first = [Int32](repeating: -1, count: nodes.count)
        var next = [Int32](repeating: -1, count: nodes.count * 2)
        func wait(_ node: Int, for other: Int32, _ place: Int) {
            next[node * 2 + place] = first[Int(other)]
            first[Int(other)] = Int32(node * 2 + place)
        }
        for (index, node) in nodes.enumerated() {
            switch node {
            case .end: break
            case .split(let a, let b):
                wait(index, for: a, 0)
                wait(index, for: b, 1)
            case .bytes(_, let behind): wait(index, for: behind, 0)
            case .call(let rule, let behind):
                wait(index, for: behind, 0)
                wait(index, for: entries[Int(rule)], 1)
            }
        }
        isUseful = [Bool](repeating: false, count: nodes.count)
        isUseful[Int(Self.end)] = true
        var open = [Self.end]
        while let found = open.popLast() {
            var link = first[Int(found)]
            while link >= 0 {
                let index = Int(link / 2)
                link = next[Int(link)]
                guard !isUseful[index], leadsOn(nodes[index]) else { continue }
                isUseful[index] = true
                open.append(Int32(index))
            }
        }
    }

    /// Whether what a node needs is known to be useful.
    private func leadsOn(_ node: Node) -> Bool {
        switch node {
        case .end: true
        case .split(let a, let b): isUseful[Int(a)] || isUseful[Int(b)]
        case .bytes(let set, let next): isUseful[Int(next)] && !sets[Int(set)].isEmpty
        case .call(let rule, let next): isUseful[Int(next)] && isUseful[Int(entries[Int(rule)])]
        }
    }

    /// A rule that can come to itself without a byte in between, if there is one.
    private func leftRecursion() -> Int? {
        var isNullable = [Bool](repeating: false, count: entries.count)
        var firsts = [Set<Int>](repeating: [], count: entries.count)
        var callers = [Set<Int>](repeating: [], count: entries.count)
        var open = Array(entries.indices)
        while let rule = open.popLast() {
            let (ends, called) = reach(from: entries[rule], isNullable)
            for other in called.subtracting(firsts[rule]) { callers[other].insert(rule) }
            firsts[rule] = called
            if ends, !isNullable[rule] {
                isNullable[rule] = true
                // Whoever calls it can go on behind it now.
                open += callers[rule]
            }
        }
        // What is left over after all rules that lead nowhere are taken away, again and again, is in a circle or leads to one.
        var left = firsts.map(\.count)
        var gone = entries.indices.filter { left[$0] == 0 }
        while let rule = gone.popLast() {
            for caller in callers[rule] {
                left[caller] -= 1
                if left[caller] == 0 { gone.append(caller) }
            }
        }
        return entries.indices.filter { left[$0] > 0 }
            .min { (firsts[$0].contains($0) ? 0 : 1, $0) < (firsts[$1].contains($1) ? 0 : 1, $1) }
    }

    /// Without taking a byte: whether the end can be reached from `start`, and which rules are called.
    private func reach(from start: Int32, _ isNullable: [Bool]) -> (ends: Bool, called: Set<Int>) {
        var ends = false
        var called: Set<Int> = []
        var seen: Set<Int32> = [start]
        var open = [start]
        while let node = open.popLast() {
            guard isUseful[Int(node)] else { continue }
            func visit(_ next: Int32) { if seen.insert(next).inserted { open.append(next) } }
            switch nodes[Int(node)] {
            case .end: ends = true
            case .bytes: break
            case .split(let a, let b):
                visit(a)
                visit(b)
            case .call(let rule, let next):
                called.insert(Int(rule))
                if isNullable[Int(rule)] { visit(next) }
            }
        }
        return (ends, called)
    }
}
