import Core

/// A walk over a vocabulary's tree from one configuration, which has an open stack: the loop that a mask costs.
///
/// It runs on the automaton's tables as they are and stops where an entry is missing, to go on when that is found out.
struct VocabularyWalk {
    /// The bits of the tokens that fit whatever the open stack is.
    private(set) var words: [UInt64]
    /// Places of tokens that go on behind the open stack.
    private(set) var dependent: [Int32] = []
    /// What the automaton has to find out first.
    private(set) var missing: (configuration: Int32, byteClass: Int)?
    private var node = 0
    /// By depth, the configuration there; and whether what is behind the open stack could have gone on, there or before.
    private var path: [Int32]
    private var hasEscaped: [Bool]

    /// A walk that adds to the bits that are known already.
    init(start: Int32, words: [UInt64], deepest: Int) {
        self.words = words
        path = [Int32](repeating: start, count: deepest + 1)
        hasEscaped = [Bool](repeating: false, count: deepest + 1)
    }

    func isOver(_ nodes: [TokenTrie.Node]) -> Bool { node >= nodes.count }

    /// Goes on to the end, or to an entry that is missing.
    mutating func run(_ automaton: Automaton, _ nodes: [TokenTrie.Node], _ tokens: [TokenID]) {
        missing = nil
        // Local names, so that the loop asks nobody where they are.
        let (rows, escapes, classes, width) = (
            automaton.rows, automaton.escapes, automaton.classOfByte, automaton.width
        )
        var at = node
        defer { node = at }
        while at < nodes.count {
            let node = nodes[at]
            let depth = Int(node.depth)
            let before = path[depth - 1]
            let escaped = hasEscaped[depth - 1]
            var next = Automaton.dead
            if before >= 0 {
                let byteClass = Int(classes[Int(node.byte)])
                next = rows[Int(before) * width + byteClass]
                if next == Automaton.unknown {
                    missing = (before, byteClass)
                    return
                }
            }
            if next >= 0 {
                hasEscaped[depth] = escaped || escapes[Int(next)]
                if node.place >= 0 {
                    let token = Int(tokens[Int(node.place)])
                    words[token >> 6] |= 1 << UInt64(token & 63)
                }
            } else if escaped {
                hasEscaped[depth] = true
                if node.place >= 0 { dependent.append(node.place) }
            } else {
                at = Int(node.end)
                continue
            }
            path[depth] = next
            at += 1
        }
    }
}
