import CLinux
import Glibc

/// What this process may use of the machine.
public enum Topology {
    /// The processors that the scheduler may put this process on.
    public static let processors: [Int] = {
        let found = allowed("Cpus_allowed_list:")
        return found.isEmpty ? Array(0..<max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))) : found
    }()

    /// A list that the process's status has.
    static func allowed(_ key: String) -> [Int] {
        lines(of: "/proc/self/status").first { $0.hasPrefix(key) }.map { list($0.dropFirst(key.count)) } ?? []
    }

    /// Whether this processor runs the instructions that the arithmetic is compiled for: AVX2, FMA and F16C on x86.
    public static let runsArithmetic = clinux_has_avx2() != 0

    /// Bytes of memory the machine has, or that the control group allows when that is less.
    public static func memoryTotal() -> Int {
        let total = meminfo("MemTotal:") ?? 0
        guard let group = groupMemory() else { return total }
        return min(total, group.limit)
    }

    /// Bytes of memory that can be had now without swapping, within the control group.
    public static func memoryAvailable() -> Int {
        let available = meminfo("MemAvailable:") ?? 0
        guard let group = groupMemory() else { return available }
        return min(available, max(0, group.limit - group.used))
    }

    /// The most memory that this process has held so far, in bytes.
    public static func peakMemory() -> Int {
        for line in lines(of: "/proc/self/status") where line.hasPrefix("VmHWM:") {
            let words = line.split { $0 == " " || $0 == "\t" }
            if words.count >= 2, let kilobytes = Int(words[1]) { return kilobytes * 1024 }
        }
        return 0
    }

    /// The numbers in `0-3,8,10-11`.
    static func list(_ text: some StringProtocol) -> [Int] {
        text.split(separator: ",").flatMap { part -> [Int] in
            let ends = part.split(separator: "-").map { Int(String($0.filter(\.isNumber))) ?? -1 }
            guard let first = ends.first, let last = ends.last, first >= 0, last >= first, last < 65_536 else {
                return []
            }
            return Array(first...last)
        }
    }

    private static func meminfo(_ key: String) -> Int? {
        for line in lines(of: "/proc/meminfo") where line.hasPrefix(key) {
            let words = line.split(separator: " ")
            if words.count >= 2, let kilobytes = Int(words[1]) { return kilobytes * 1024 }
        }
        return nil
    }

    /// The tightest memory limit of the control groups that this process is in, and what that group uses.
    private static func groupMemory() -> (limit: Int, used: Int)? {
        var tightest: (limit: Int, used: Int)?
        for line in lines(of: "/proc/self/cgroup") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let isUnified = parts[1].isEmpty
            guard isUnified || parts[1].split(separator: ",").contains("memory") else { continue }
            let root = isUnified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory"
            let (limitName, usedName) =
                isUnified ? ("memory.max", "memory.current") : ("memory.limit_in_bytes", "memory.usage_in_bytes")
            // A group is bound by all groups above it. In a container the path may not exist: then the root counts.
            var steps = parts[2].split(separator: "/")
            while true {
                let folder = ([root] + steps.map(String.init)).joined(separator: "/")
                if let limit = number(in: "\(folder)/\(limitName)"), limit < tightest?.limit ?? .max {
                    tightest = (limit, number(in: "\(folder)/\(usedName)") ?? 0)
                }
                if steps.isEmpty { break }
                steps.removeLast()
            }
        }
        return tightest
    }

    private static func number(in path: String) -> Int? { lines(of: path).first.flatMap { Int($0) } }

    /// The lines of a small text file; none when it can not be read.
    static func lines(of path: String) -> [Substring] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return [] }
        defer { close(file) }
        var text: [UInt8] = []
        while true {
            let block = [UInt8](unsafeUninitializedCapacity: 65_536) { bytes, count in
                count = max(0, read(file, bytes.baseAddress, bytes.count))
            }
            if block.isEmpty { break }
            text += block
        }
        return String(decoding: text, as: UTF8.self).split(separator: "\n")
    }
}
