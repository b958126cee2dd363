import Glibc

/// The time of day, for people and logs; durations are measured with `ContinuousClock`.
enum EpochClock {
    /// Seconds since 1970.
    static var seconds: Int { time(nil) }
}
