import Glibc

/// The monotonic clock as a plain number: cheap enough for the inside of a spin.
public enum SpinClock {
    /// Nanoseconds since some moment in the past.
    public static func nanoseconds() -> UInt64 {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return UInt64(truncatingIfNeeded: now.tv_sec) &* 1_000_000_000 &+ UInt64(truncatingIfNeeded: now.tv_nsec)
    }
}
