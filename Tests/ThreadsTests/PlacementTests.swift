import FoundationEssentials
import Glibc
import Testing

@testable import Threads

/// A folder laid out as /sys/devices/system is.
struct MadeUpSystem {
    let path: String

    /// Nodes with their processors; `siblings` says which processors are one core.
    init(nodes: [Int: String], memory: String, siblings: [[Int]] = []) throws {
        path = FileManager.default.temporaryDirectory.path + "/glm-system-\(UUID().uuidString)"
        try write(memory, "node/has_memory")
        for (node, processors) in nodes {
            try write(processors, "node/node\(node)/cpulist")
            let meminfo = """
                Node \(node) MemTotal:       9000 kB
                Node \(node) MemFree:        \(node + 1)000 kB
                Node \(node) Active(anon):   400 kB
                Node \(node) Active(file):   20 kB
                Node \(node) Inactive(file): 3 kB
                """
            try write(meminfo, "node/node\(node)/meminfo")
        }
        for core in siblings {
            for processor in core {
                try write(
                    core.map(String.init).joined(separator: ","), "cpu/cpu\(processor)/topology/thread_siblings_list")
            }
        }
    }

    private func write(_ text: String, _ file: String) throws {
        let url = URL(filePath: "\(path)/\(file)")
        try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data((text + "\n").utf8).write(to: url)
    }

    func remove() throws { try FileManager.default.removeItem(atPath: path) }
}

@Suite("NUMA nodes")
struct NumaNodeTests {
    @Test("two sockets of four cores with two processors each, and a node of memory alone")
    func sockets() throws {
        let system = try MadeUpSystem(
            nodes: [0: "0-3,8-11", 1: "4-7,12-15", 2: ""], memory: "0-2", siblings: (0..<8).map { [$0, $0 + 8] })
        defer { try? system.remove() }
        func nodes(_ processors: some Sequence<Int>, _ memory: [Int]) -> [NumaNode] {
            NumaNode.read(system: system.path, processors: Array(processors), memory: memory)
        }
        let first = NumaNode(0, cores: [0, 1, 2, 3], siblings: [8, 9, 10, 11])
        let second = NumaNode(1, cores: [4, 5, 6, 7], siblings: [12, 13, 14, 15])
        #expect(nodes(0..<16, [0, 1, 2]) == [first, second])
        // What a container may not use does not count.
        #expect(nodes(0..<16, [0]) == [first])
        #expect(nodes([1, 2, 9, 10, 11], [0, 1]) == [NumaNode(0, cores: [1, 2, 11], siblings: [9, 10])])
        #expect(nodes(12..<16, [0, 1]) == [NumaNode(1, cores: [12, 13, 14, 15])])
        #expect(NumaNode.memoryAvailable(of: [0, 1], system: system.path) == (1023 + 2023) * 1024)
    }

    @Test("a node without memory does not count, nor does a machine that tells nothing")
    func nothingToChoose() throws {
        let system = try MadeUpSystem(nodes: [0: "0-1", 1: "2-3"], memory: "1")
        defer { try? system.remove() }
        #expect(NumaNode.read(system: system.path, processors: [0, 1, 2, 3], memory: [0, 1]).map(\.number) == [1])
        #expect(NumaNode.read(system: "\(system.path)/none", processors: [0, 1], memory: [0]).isEmpty)
    }

    @Test("this machine's nodes have this process's processors")
    func here() {
        let processors = NumaNode.usable.flatMap { $0.cores + $0.siblings }
        #expect(Set(processors).count == processors.count)
        #expect(Set(processors).isSubset(of: Topology.processors))
    }
}

@Suite("Placement")
struct PlacementTests {
    /// `count` nodes of two cores with two processors each.
    private static func machine(_ count: Int) -> [NumaNode] {
        (0..<count).map { NumaNode($0, cores: [4 * $0, 4 * $0 + 1], siblings: [4 * $0 + 2, 4 * $0 + 3]) }
    }

    @Test(
        "workers of one machine get equal shares of its nodes",
        arguments: [
            (2, 1, ["0,1"]), (2, 2, ["0", "1"]), (2, 4, ["0", "1", "0", "1"]), (2, 3, ["0,1", "0,1", "0,1"]),
            (4, 2, ["0,1", "2,3"]), (4, 4, ["0", "1", "2", "3"]), (4, 1, ["0,1,2,3"]),
            (4, 6, ["0,1", "2,3", "0,1", "2,3", "0,1", "2,3"]),
        ])
    func shares(nodes: Int, workers: Int, expected: [String]) throws {
        let places = try (0..<workers).map {
            try #require(Placement(.auto, worker: $0, of: workers, on: Self.machine(nodes)))
        }
        #expect(places.map(\.list) == expected)
        for place in places {
            #expect(place.sharers == expected.filter { $0 == place.list }.count)
            #expect(place.isConfined == (place.nodes.count < nodes))
            if place.isConfined { #expect(place.room == 4 * place.nodes.count) }
        }
    }

    @Test("nodes that were asked for are divided alike, and nothing is done where nothing is to choose")
    func wishes() throws {
        let machine = Self.machine(4)
        #expect(Placement(.nodes([1, 3]), worker: 1, of: 2, on: machine)?.nodes == [3])
        #expect(Placement(.nodes([1, 3]), on: machine)?.description == "nodes 1,3")
        #expect(Placement(.nodes([2]), worker: 1, of: 2, on: machine)?.sharers == 2)
        #expect(Placement(.nodes([7]), on: machine) == nil)
        #expect(Placement(.off, on: machine) == nil)
        #expect(Placement(.auto, on: Self.machine(1)) == nil)
        #expect(Placement(.nodes([0]), on: Self.machine(1)) == nil)
        #expect(Placement(.auto, on: []) == nil)
    }

    @Test("what may be asked for")
    func wishWords() {
        #expect(Placement.Wish("auto") == .auto)
        #expect(Placement.Wish("off") == .off)
        #expect(Placement.Wish("3,0-1") == .nodes([0, 1, 3]))
        for text in ["", "on", "-", "2-1", "0;1", "one", "0 1"] { #expect(Placement.Wish(text) == nil, "\(text)") }
    }

    @Test("each core has a thread, then some a second one; the first is not pinned, nor are fewer than cores")
    func pins() throws {
        let place = try #require(Placement(.auto, on: Self.machine(2)))  // cores 0 1 4 5, others 2 3 6 7
        #expect(place.pins(threads: 3) == nil)
        #expect(place.pins(threads: 4) == [nil, 1, 4, 5])
        #expect(place.pins(threads: 6) == [nil, 1, 4, 5, 2, 6])
        #expect(place.pins(threads: 8) == [nil, 1, 4, 5, 2, 3, 6, 7])
        #expect(place.pins(threads: 9) == nil)
    }

    @Test("one process at a time has a node")
    func claims() throws {
        // Numbers that no machine has, and other runs of this test have not.
        let base = 1 << 20 + Int(getpid()) * 4
        func place(_ nodes: [Int]) throws -> Placement {
            try #require(Placement(.nodes(nodes), on: (base..<base + 3).map { NumaNode($0, cores: [0]) }))
        }
        #expect(try place([base + 1]).claim())
        #expect(try !place([base + 1]).claim())
        // What was free is left free when all of it cannot be had.
        #expect(try !place([base, base + 1]).claim())
        #expect(try place([base, base + 2]).claim())
    }

    /// What a thread at `place` finds about itself after it has been put there.
    private struct Found {
        var refused: [String] = []
        var processors: [Int] = []
        var policies: Set<String> = []
        var teamProcessors: [[Int]] = []

        init(at place: Placement, pins: [Int?]? = nil) {
            final class Box: @unchecked Sendable {  // written by one thread, read when that has ended
                var refused: [String] = []
                var processors: [Int] = []
                var policies: Set<String> = []
                var team: [[Int]] = []
            }
            let box = Box()
            Thread(name: "placed") {
                box.refused = place.apply()
                box.processors = Self.ownProcessors()
                for line in Topology.lines(of: "/proc/thread-self/numa_maps") {
                    box.policies.insert(String(line.split(separator: " ")[1]))
                }
                let team = Team(size: 2, pin: pins)
                team.prepareThread()
                box.team = [[], []]
                // One after the other, so that nobody writes at the same time.
                for rank in 0..<2 { team.run { if $0 == rank { box.team[rank] = Self.ownProcessors() } } }
            }.join()
            refused = box.refused
            self.processors = box.processors
            policies = box.policies
            teamProcessors = box.team
        }

        /// The processors that the calling thread may run on.
        private static func ownProcessors() -> [Int] {
            let key = "Cpus_allowed_list:"
            let line = Topology.lines(of: "/proc/thread-self/status").first { $0.hasPrefix(key) } ?? ""
            return Topology.list(line.dropFirst(key.count))
        }
    }

    @Test("a thread is put on a node, with the threads that it starts")
    func applied() throws {
        let last = try #require(Topology.processors.last)
        let machine = [NumaNode(0, cores: [last]), NumaNode(1, cores: [0])]
        let place = try #require(Placement(.nodes([0]), on: machine))
        let found = Found(at: place)
        #expect(found.processors == [last])
        #expect(found.teamProcessors == [[last], [last]])
        // A container may not allow it; then that is said.
        if found.refused.isEmpty {
            #expect(found.policies.contains("prefer:0"))
        } else {
            #expect(found.refused.allSatisfy { $0.hasPrefix("where memory lies is left to the kernel: ") })
        }
        #expect(Found(at: try #require(Placement(.auto, on: machine))).processors == Topology.processors)
    }

    @Test("memory is spread over several nodes, and each helper has its processor")
    func spread() throws {
        let processors = Topology.processors
        let machine = [NumaNode(0, cores: processors), NumaNode(1, cores: [1000])]
        let place = try #require(Placement(.auto, on: machine))
        let last = try #require(processors.last)
        let found = Found(at: place, pins: [nil, last])
        if found.refused.isEmpty { #expect(found.policies.contains { $0.hasPrefix("interleave:0") }) }
        #expect(found.teamProcessors == [processors, [last]])
    }

    @Test("what the kernel refuses is said, and the rest is done")
    func refused() throws {
        let last = try #require(Topology.processors.last)
        // No kernel has so many nodes.
        let place = try #require(
            Placement(.nodes([5000]), on: [NumaNode(0, cores: [0]), NumaNode(5000, cores: [last])]))
        let found = Found(at: place)
        #expect(found.refused == ["where memory lies is left to the kernel: Invalid argument"])
        #expect(found.processors == [last])
    }
}
