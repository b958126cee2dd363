/// Processors of this machine, and the memory that is near to them.
public struct NumaNode: Hashable, Sendable {
    /// The kernel's number.
    public var number: Int
    /// One processor of each core.
    public var cores: [Int]
    /// The other processors, of cores that have several.
    public var siblings: [Int]

    /// A node.
    public init(_ number: Int, cores: [Int], siblings: [Int] = []) {
        self.number = number
        self.cores = cores
        self.siblings = siblings
    }

    /// The nodes with processors and memory that this process may use; one or none where there is nothing to choose.
    public static let usable = read(processors: Topology.processors, memory: Topology.allowed("Mems_allowed_list:"))

    private static let system = "/sys/devices/system"

    /// The nodes below `system`, with those of the given processors and memory nodes.
    static func read(system: String = system, processors: [Int], memory: [Int]) -> [NumaNode] {
        let allowed = Set(processors)
        func numbers(_ path: String) -> [Int] { Topology.lines(of: "\(system)/\(path)").first.map(Topology.list) ?? [] }
        return numbers("node/has_memory").filter(memory.contains).compactMap { node in
            var found = NumaNode(node, cores: [])
            for processor in numbers("node/node\(node)/cpulist") where allowed.contains(processor) {
                // Where the core's first processor is not allowed, its next one stands for it.
                let core = numbers("cpu/cpu\(processor)/topology/thread_siblings_list").filter(allowed.contains)
                if core.first ?? processor == processor {
                    found.cores.append(processor)
                } else {
                    found.siblings.append(processor)
                }
            }
            return found.cores.isEmpty ? nil : found
        }
    }

    /// Bytes of memory of some nodes that can be had now: what is free there, and what files left in it.
    public static func memoryAvailable(of nodes: [Int]) -> Int { memoryAvailable(of: nodes, system: system) }

    static func memoryAvailable(of nodes: [Int], system: String) -> Int {
        var kilobytes = 0
        for node in nodes {
            // Node 0 MemFree:       18186744 kB
            for line in Topology.lines(of: "\(system)/node/node\(node)/meminfo") {
                let words = line.split(separator: " ")
                guard words.count >= 4, ["MemFree:", "Active(file):", "Inactive(file):"].contains(words[2]) else {
                    continue
                }
                kilobytes += Int(words[3]) ?? 0
            }
        }
        return kilobytes * 1024
    }
}
