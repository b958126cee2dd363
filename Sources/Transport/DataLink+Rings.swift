import CLinux
import Core
import Glibc
import Synchronization
import Threads

/// The data link's dealings with shared memory.
extension DataLink {
    /// Rings that a link reads from, at most: one for each of the other workers of the largest stage, and the stage before.
    private static let mostInlets = 64
    /// How long a receiver looks at its rings before it sleeps: ranks are seldom further apart, and waking takes a good part of it.
    private static let spinNanoseconds: UInt64 = 1_000_000

    /// A turn of the loop that takes so long was somebody else's.
    private static let takenNanoseconds: UInt64 = 30_000

    /// Begins to read from a ring that a peer has offered, when it is on this host; otherwise the peer goes on with its socket.
    func attach(_ header: DataHeader) {
        guard header.kind == .ring, header.epoch >= epoch, inlets.count < Self.mostInlets,
            let ring = Ring(
                opening: Ring.Name(process: header.sequence, file: header.elements, number: header.step))
        else { return }
        inlets.append(RingInlet(ring, epoch: header.epoch))
    }

    /// Nothing that comes through this ring can be understood any more: what waits for it must not wait for ever.
    func drop(_ inlet: RingInlet) {
        inlets.removeAll { $0 === inlet }
        totals.withLock { $0.malformedReceived += 1 }
        guard inlet.epoch == epoch else { return }
        interrupt(.failed("data link: a worker of this host sent something unreadable"), epoch: epoch)
    }

    /// Looks at the rings for a while; true when one has something.
    ///
    /// The processor is offered to others all the time, and when somebody took it this side goes to sleep: a small host has better uses for
    /// it, the peer that is waited for among them.
    func spin() -> Bool {
        guard !inlets.isEmpty else { return false }
        var now = SpinClock.nanoseconds()
        let end = now &+ Self.spinNanoseconds
        repeat {
            for _ in 0..<16 {
                for inlet in inlets where inlet.hasNews { return true }
                clinux_relax()
            }
            sched_yield()
            let before = now
            now = SpinClock.nanoseconds()
            if now &- before > Self.takenNanoseconds { return false }
        } while now < end
        return false
    }

    /// Says to all rings' writers that this side sleeps; false when one has something first.
    func fallAsleep() -> Bool {
        for inlet in inlets where !inlet.ring.fallAsleep() { return false }
        return true
    }

    /// This side looks at its rings again.
    func wakeUp() { for inlet in inlets { inlet.ring.wakeUp() } }
}

extension DataHeader {
    /// An offer of a ring.
    static func ring(_ name: Ring.Name, epoch: UInt32) -> DataHeader {
        DataHeader(
            kind: .ring, epoch: epoch, step: name.number, sequence: name.process, stage: 0, rank: 0, parts: 0,
            elements: name.file)
    }

    /// Wakes a reader that sleeps.
    static func wake(epoch: UInt32) -> DataHeader {
        DataHeader(kind: .wake, epoch: epoch, step: 0, sequence: 0, stage: 0, rank: 0, parts: 0, elements: 0)
    }
}
