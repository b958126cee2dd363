import CLinux
import Glibc

/// Which processors a worker's threads run on, and which nodes' memory it takes, on a machine with several NUMA nodes.
///
/// A worker of one node reads its weights from the memory beside it. One of several nodes has its memory spread over
/// them page by page: decode and prefill share panels out in different ways, and q, k and v or gate and up as one run,
/// so that no thread keeps to the panels that it packed, and what is spread is at least read from all nodes at once.
public struct Placement: Hashable, Sendable, CustomStringConvertible {
    /// What somebody asked for.
    public enum Wish: Hashable, Sendable {
        /// All nodes there are.
        case auto
        /// To be left to the kernel.
        case off
        /// These nodes.
        case nodes([Int])

        /// `auto`, `off` or nodes like `0,2-3`; nil for anything else.
        public init?(_ text: String) {
            switch text {
            case "auto": self = .auto
            case "off": self = .off
            default:
                let nodes = Set(Topology.list(text)).sorted()
                guard !nodes.isEmpty, text.allSatisfy({ $0.isASCII && $0.isNumber || $0 == "," || $0 == "-" }) else {
                    return nil
                }
                self = .nodes(nodes)
            }
        }
    }

    /// The nodes' numbers.
    public let nodes: [Int]
    /// How many workers share them.
    public let sharers: Int
    /// Whether the machine has other nodes that the worker is to stay away from.
    public let isConfined: Bool
    private let cores: [Int]
    private let siblings: [Int]

    /// `node 1`, `nodes 0,1`.
    public var description: String { "node\(nodes.count == 1 ? "" : "s") \(list)" }

    /// How many processors there are for its threads: one of all nodes may also use those of nodes without memory.
    public var room: Int { isConfined ? cores.count + siblings.count : Topology.processors.count }

    /// The nodes as `--numa` has them: `0,1`.
    public var list: String { nodes.map(String.init).joined(separator: ",") }

    /// The place of worker `index` of `count`; nil where nothing is to be done: with one node, or none of those wished for.
    ///
    /// The nodes are cut into as many equal groups as workers can be dealt to evenly, and dealt in turn: ranks of a stage
    /// compute at the same time and have numbers that follow each other.
    public init?(_ wish: Wish, worker index: Int = 0, of count: Int = 1, on usable: [NumaNode] = NumaNode.usable) {
        var chosen = usable
        switch wish {
        case .auto: break
        case .off: return nil
        case .nodes(let numbers): chosen = usable.filter { numbers.contains($0.number) }
        }
        guard usable.count > 1, !chosen.isEmpty else { return nil }
        let groups = Self.greatestCommonDivisor(count, chosen.count)
        let size = chosen.count / groups
        let own = chosen[index % groups * size..<(index % groups + 1) * size]
        nodes = own.map(\.number)
        cores = own.flatMap(\.cores)
        siblings = own.flatMap(\.siblings)
        sharers = count / groups
        isConfined = own.count < usable.count
    }

    private static func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int {
        b == 0 ? a : greatestCommonDivisor(b, a % b)
    }

    /// A processor for each of `threads` but the first: one of each core, then others of some cores; nil when there are
    /// more threads than processors, or fewer than cores: others may be meant to have the rest.
    ///
    /// The first is the caller of `Team.run`, whose thread starts others: they would all inherit its one processor.
    public func pins(threads: Int) -> [Int?]? {
        let more = threads - cores.count
        guard more >= 0, more <= siblings.count else { return nil }
        var pins: [Int?] = cores + (0..<more).map { siblings[$0 * siblings.count / more] }
        pins[0] = nil
        return pins
    }

    /// Whether no other process that asked has the nodes; they are this one's until it ends.
    public func claim() -> Bool {
        var claims: [Int32] = []
        for node in nodes {
            let claim = clinux_claim("glm-numa-node-\(node)")
            guard claim >= 0 else {
                for claim in claims { close(claim) }
                return false
            }
            claims.append(claim)
        }
        return true
    }

    /// Puts the calling thread there, with the threads that it starts and the memory that they touch from then on.
    ///
    /// - Returns: what the kernel refused, as containers have it do, in words: the rest is done.
    public func apply() -> [String] {
        var refused: [String] = []
        func note(_ what: String, _ code: Int32) {
            if code != 0 { refused.append("\(what) is left to the kernel: \(String(cString: strerror(code)))") }
        }
        if isConfined {
            let kept = (cores + siblings).map { Int32($0) }
            note("where threads run", clinux_keep_thread(kept, Int32(kept.count)))
        }
        let near = nodes.map { Int32($0) }
        note("where memory lies", clinux_take_memory_of(near, Int32(near.count)))
        return refused
    }
}
