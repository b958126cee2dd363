import CLinux
import Glibc
import Synchronization

/// A ring of bytes in memory that two processes of one host share: one writes, the other reads, neither ever locks.
///
/// It lives in a file without a name, which the reader opens through the writer's open files: nothing is left behind by a process that is
/// killed. What the other side writes is not trusted: positions that cannot be break the ring, and nothing outside it is touched.
final class Ring: @unchecked Sendable {  // one thread of each process uses it; what both touch is atomic
    /// How a reader finds the ring.
    struct Name: Hashable, Sendable {
        /// The writer's process.
        var process: UInt32
        /// Its number for the file.
        var file: Int
        /// Stands in the ring: a file that only happens to be there has another number.
        var number: UInt64
    }

    /// Bytes that the ring holds: a writer seldom waits, and they stay in a processor's cache.
    static let capacity = 1 << 20

    let name: Name
    private let file: Int32
    private let memory: UnsafeMutableRawPointer
    /// How far this side is, in bytes since the beginning.
    private var position: UInt64 = 0
    /// The other side has made no sense: the ring is of no more use.
    private(set) var isBroken = false

    private static let headBytes = 4096
    private static let byteCount = headBytes + capacity

    /// What both sides touch, each on cache lines of its own.
    private enum Field: Int {
        case number = 0
        case written = 128
        case read = 256
        case isAttached = 384
        case isReaderAsleep = 512
    }

    /// A new ring, to write to; nil when the system has no memory for it.
    init?() {
        var number: UInt64 = 0
        let file = clinux_memory_file("glm-ring", Int64(Self.byteCount))
        guard clinux_random(&number, 8) == 0, file >= 0, let memory = Self.map(file) else {
            if file >= 0 { close(file) }
            return nil
        }
        self.file = file
        self.memory = memory
        name = Name(process: UInt32(getpid()), file: Int(file), number: number)
        store(.number, number)
    }

    /// The reading side of a ring; nil when there is none of that name on this host, or it is another user's.
    init?(opening name: Name) {
        guard let number = Int32(exactly: name.file) else { return nil }
        let file = open("/proc/\(name.process)/fd/\(number)", O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard file >= 0 else { return nil }
        var status = stat()
        guard fstat(file, &status) == 0, status.st_uid == geteuid(), status.st_size == Self.byteCount,
            let memory = Self.map(file)
        else {
            close(file)
            return nil
        }
        self.file = file
        self.memory = memory
        self.name = name
        guard load(.number) == name.number else { return nil }
        store(.isAttached, 1)
    }

    deinit {
        munmap(memory, Self.byteCount)
        close(file)
    }

    private static func map(_ file: Int32) -> UnsafeMutableRawPointer? {
        let memory = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
        return memory == MAP_FAILED ? nil : memory
    }

    private func word(_ field: Field) -> UnsafeMutablePointer<Atomic<UInt64>> {
        (memory + field.rawValue).assumingMemoryBound(to: Atomic<UInt64>.self)
    }

    private func load(_ field: Field) -> UInt64 { word(field).pointee.load(ordering: .sequentiallyConsistent) }

    private func store(_ field: Field, _ value: UInt64) {
        word(field).pointee.store(value, ordering: .sequentiallyConsistent)
    }

    /// Bytes between this side and the other, which must be no more than the ring has.
    private func distance(_ from: UInt64, _ to: UInt64) -> Int {
        let bytes = to &- from
        if bytes > UInt64(Self.capacity) { isBroken = true }
        return isBroken ? 0 : Int(bytes)
    }

    /// Calls `body` with the one or two places of `count` bytes from this side's position on, and the bytes before each.
    private func places(_ count: Int, _ body: (UnsafeMutableRawPointer, _ before: Int, _ count: Int) -> Void) {
        let at = Int(position % UInt64(Self.capacity))
        let first = min(count, Self.capacity - at)
        let data = memory + Self.headBytes
        body(data + at, 0, first)
        if count > first { body(data, first, count - first) }
    }
}

// MARK: - The writer

extension Ring {
    /// Whether a reader has found it.
    var isAttached: Bool { load(.isAttached) == 1 }

    /// Bytes that there is room for now.
    var room: Int { Self.capacity - distance(load(.read), position) }

    /// Writes as many of the bytes as there is room for; returns how many.
    func write(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard let base = bytes.baseAddress else { return 0 }
        let count = isBroken ? 0 : min(bytes.count, room)
        guard count > 0 else { return 0 }
        places(count) { place, before, count in place.copyMemory(from: base + before, byteCount: count) }
        position &+= UInt64(count)
        store(.written, position)
        return count
    }

    /// Whether the reader sleeps.
    var isReaderAsleep: Bool { load(.isReaderAsleep) == 1 }

    /// Whether the reader sleeps and has to be woken another way, which it is told once.
    func takeSleeper() -> Bool {
        guard isReaderAsleep else { return false }
        store(.isReaderAsleep, 0)
        return true
    }
}

// MARK: - The reader

extension Ring {
    /// Bytes that can be read now.
    var available: Int { distance(position, load(.written)) }

    /// Reads as many bytes as are there and fit; returns how many.
    func read(into bytes: UnsafeMutableRawBufferPointer) -> Int {
        guard let base = bytes.baseAddress else { return 0 }
        let count = min(bytes.count, available)
        guard count > 0 else { return 0 }
        places(count) { place, before, count in (base + before).copyMemory(from: place, byteCount: count) }
        position &+= UInt64(count)
        store(.read, position)
        return count
    }

    /// Says that this side will sleep until it is woken; false when there is something to read first.
    func fallAsleep() -> Bool {
        store(.isReaderAsleep, 1)
        guard available > 0 || isBroken else { return true }
        wakeUp()
        return false
    }

    /// This side looks at the ring again by itself.
    func wakeUp() { store(.isReaderAsleep, 0) }
}
