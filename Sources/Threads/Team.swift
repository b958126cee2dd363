import CLinux

/// A fixed crew of threads that run one closure together, each on its own share.
///
/// `run` returns when all have finished. Whoever waits spins for some 30 us and then sleeps on a futex: a forward pass
/// has hundreds of runs, microseconds apart, but between passes a spinning crew would starve the ZeroMQ thread and
/// the other processes of a small host. One thread at a time may call `run`; it is rank 0 itself.
public final class Team: Sendable {
    /// Members, the caller of `run` included.
    public let size: Int
    private let crew: Crew
    private let helpers: [Thread]

    /// A team of `size`; its helpers are called `name` and their rank.
    ///
    /// `pin` gives the processor of each rank, the caller's first, or nil for one that is not pinned; by default nobody
    /// is, since several workers of one host would all choose the same processors.
    public init(size: Int, name: String = "team", pin: [Int?]? = nil) {
        precondition(size >= 1)
        self.size = size
        let processors = Topology.processors.count
        let crew = Crew(size: size, pin: pin, spinNanoseconds: size > processors ? 0 : 30_000)
        self.crew = crew
        helpers = (1..<size).map { rank in Thread(name: "\(name)-\(rank)") { crew.help(rank) } }
    }

    deinit {
        crew.dismiss()
        for helper in helpers { helper.join() }
    }

    /// Makes the calling thread fit to be rank 0: flushes denormals as every helper does, and pins it when asked to.
    ///
    /// - Returns: what `Team.restoreThread` needs to undo it on a thread that others use too.
    @discardableResult
    public func prepareThread() -> UInt32 { crew.prepare(0) }

    /// Gives a thread its way with denormals back; one of a shared pool must not keep ours.
    public static func restoreThread(_ control: UInt32) { clinux_restore_floats(control) }

    /// Runs `body` once on every member and returns when all are done; no queue, no lock.
    public func run(_ body: (_ rank: Int) -> Void) {
        if size == 1 { return body(0) }
        lend(body) { crew.run($0) }
    }

    /// Waits, inside `run`, until every member has come here.
    public func barrier() { crew.barrier() }
}

/// What the members of a team share. Helpers hold this and not the team, so that the team's end can end them.
private final class Crew: @unchecked Sendable {  // `job` and `isDismissed` are written only while no helper runs
    private let size: Int
    private let pin: [Int?]?
    private let spinNanoseconds: UInt64
    private let generation = Futex()
    private let sleepers = Futex()
    private let pending = Futex()
    private let callerSleeps = Futex()
    private let arrived = Futex()
    private let phase = Futex()
    private var job: UnsafePointer<clinux_loan>?
    private var isDismissed = false

    init(size: Int, pin: [Int?]?, spinNanoseconds: UInt64) {
        self.size = size
        self.pin = pin
        self.spinNanoseconds = spinNanoseconds
    }

    @discardableResult
    func prepare(_ rank: Int) -> UInt32 {
        if let pin, rank < pin.count, let processor = pin[rank] { _ = clinux_pin_thread(Int32(processor)) }
        return clinux_flush_denormals()
    }

    func run(_ body: UnsafePointer<clinux_loan>) {
        job = body
        start()
        clinux_call(body, 0)
        var left = pending.value
        while left > 0 {
            if !pending.spin(while: left, nanoseconds: spinNanoseconds) {
                callerSleeps.store(1)
                pending.sleep(while: left)
                callerSleeps.store(0)
            }
            left = pending.value
        }
        job = nil
    }

    func dismiss() {
        isDismissed = true
        start()
    }

    private func start() {
        pending.store(UInt32(size - 1))
        generation.increment()
        // A helper counts itself a sleeper before it looks at the generation for the last time.
        if sleepers.value > 0 { generation.wake() }
    }

    func help(_ rank: Int) {
        prepare(rank)
        var seen: UInt32 = 0
        while true {
            if !generation.spin(while: seen, nanoseconds: spinNanoseconds) {
                sleepers.increment()
                while generation.value == seen { generation.sleep(while: seen) }
                sleepers.decrement()
            }
            seen &+= 1
            if isDismissed { return }
            clinux_call(job, rank)
            if pending.decrement() == 0, callerSleeps.value > 0 { pending.wake() }
        }
    }

    func barrier() {
        let now = phase.value
        if arrived.increment() == UInt32(size) {
            arrived.store(0)
            phase.increment()
            phase.wake()
            return
        }
        if phase.spin(while: now, nanoseconds: spinNanoseconds) { return }
        while phase.value == now { phase.sleep(while: now) }
    }
}
