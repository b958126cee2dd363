import ArgumentParser
import Core
import Threads

/// Which NUMA nodes workers may use; the same for `glm worker` and `glm up`.
struct NumaOptions: ParsableArguments {
    @Option(
        help:
            "NUMA nodes of this host for threads and memory: a list like 0,2-3, auto for all of them, or off; auto unless given."
    )
    var numa: String?

    /// What was asked for, by flag or else by setting.
    func wish(_ settings: Settings) throws -> Placement.Wish { try Self.chosen(settings, flag: numa) }

    /// The same for a command that has no such flag; nodes that a host of several does not have are refused.
    static func chosen(_ settings: Settings, flag: String? = nil) throws -> Placement.Wish {
        let text = flag ?? settings.string("numa") ?? "auto"
        guard let wish = Placement.Wish(text) else {
            throw Problem.invalid("--numa '\(text)' is unknown; use auto, off or nodes like 0 or 0,2-3")
        }
        let usable = NumaNode.usable.map(\.number)
        if case .nodes(let nodes) = wish, usable.count > 1, let missing = nodes.first(where: { !usable.contains($0) }) {
            throw Problem.invalid(
                "--numa \(text): this process has no processors or no memory of node \(missing); use some of \(usable.map(String.init).joined(separator: ","))"
            )
        }
        return wish
    }
}

/// Where the workers go that one command starts on this host, and how many threads each gets.
struct WorkerPlaces: Sendable {
    private let wish: Placement.Wish
    private let places: [Placement?]
    /// How many of them compute at the same time.
    private let together: Int

    /// Places for `count` workers of which `together`, whose numbers follow each other, compute at the same time.
    init(_ wish: Placement.Wish, count: Int, together: Int) {
        self.wish = wish
        self.together = together
        places = (0..<count).map { Placement(wish, worker: $0, of: count) }
    }

    /// Places for a command's own cluster, which is told of nodes by the settings alone.
    init(_ layout: Layout) throws {
        let wish = try NumaOptions.chosen(.load())
        self.init(wish, count: layout.workers, together: layout.ranks)
    }

    /// The place of a worker; nil where the host has one node.
    subscript(_ index: Int) -> Placement? { places[index] }

    /// Compute threads of a worker: the processors of its nodes, divided among those that compute there together.
    func threads(_ index: Int) -> Int {
        guard let place = places[index] else { return max(1, Topology.processors.count / together) }
        let groups = places.count / place.sharers
        return max(1, place.room / ((together + groups - 1) / groups))
    }

    /// Bytes that each worker may offer: a share of what is free.
    var memory: Int { max(Topology.memoryAvailable(at: Placement(wish)) / 10 * 8 / places.count, 1 << 20) }

    /// The flags that tell a worker its place.
    func flags(_ index: Int) -> [String] {
        guard let place = places[index] else { return wish == .off ? ["--numa", "off"] : [] }
        return ["--numa", place.list] + (place.sharers > 1 ? ["--numa-shared"] : [])
    }
}

extension Topology {
    /// Bytes of memory that can be had now on the nodes of a place that leaves others out, or on the machine.
    static func memoryAvailable(at place: Placement?) -> Int {
        guard let place, place.isConfined else { return memoryAvailable() }
        return min(NumaNode.memoryAvailable(of: place.nodes), memoryAvailable())
    }
}
