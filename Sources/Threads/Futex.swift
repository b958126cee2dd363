import CLinux
import Synchronization

/// A word that threads can count with, spin on and sleep on.
///
/// It lives in memory of its own, a cache line pair wide, since the kernel wants its address and spinning threads
/// should not share its line with anything.
final class Futex: @unchecked Sendable {  // all access is atomic; the memory lives as long as the object
    private let memory: UnsafeMutableRawPointer
    private let word: UnsafeMutablePointer<Atomic<UInt32>>

    init(_ value: UInt32 = 0) {
        memory = .allocate(byteCount: 128, alignment: 128)
        word = memory.bindMemory(to: Atomic<UInt32>.self, capacity: 1)
        word.initialize(to: Atomic(value))
    }

    deinit {
        word.deinitialize(count: 1)
        memory.deallocate()
    }

    var value: UInt32 { word.pointee.load(ordering: .sequentiallyConsistent) }

    func store(_ value: UInt32) { word.pointee.store(value, ordering: .sequentiallyConsistent) }

    /// Adds one; returns the new value.
    @discardableResult
    func increment() -> UInt32 { word.pointee.wrappingAdd(1, ordering: .sequentiallyConsistent).newValue }

    /// Subtracts one; returns the new value.
    @discardableResult
    func decrement() -> UInt32 { word.pointee.wrappingSubtract(1, ordering: .sequentiallyConsistent).newValue }

    /// Sleeps while the value is `expected`, for at most `limit`; may return early.
    func sleep(while expected: UInt32, limit: Duration? = nil) {
        var nanoseconds: Int64 = -1
        if let limit {
            let (seconds, attoseconds) = limit.components
            nanoseconds = max(0, min(seconds, 1 << 31) * 1_000_000_000 + attoseconds / 1_000_000_000)
        }
        clinux_futex_wait(UnsafeRawPointer(memory).assumingMemoryBound(to: UInt32.self), expected, nanoseconds)
    }

    func wake(_ count: Int32 = .max) {
        clinux_futex_wake(UnsafeRawPointer(memory).assumingMemoryBound(to: UInt32.self), count)
    }

    /// Spins while the value is `expected`, for about `nanoseconds`; true when it has changed.
    func spin(while expected: UInt32, nanoseconds: UInt64) -> Bool {
        if value != expected { return true }
        guard nanoseconds > 0 else { return false }
        let end = SpinClock.nanoseconds() &+ nanoseconds
        repeat {
            for _ in 0..<16 {
                clinux_relax()
                if word.pointee.load(ordering: .acquiring) != expected { return true }
            }
        } while SpinClock.nanoseconds() < end
        return false
    }
}
