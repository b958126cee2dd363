import Core
import Synchronization
import Threads
import Wire

/// What a heartbeat says: the engine's thread writes it, the control thread reads it.
final class Vitals: Sendable {
    private struct State {
        var epoch: UInt32 = 0
        var activity = "idle"
        var kvUsed = 0
        var kvSpilled = 0
        var diskTrouble = ""
        var stepsDone: UInt64 = 0
        var tokens: UInt64 = 0
    }

    private let state = Mutex(State())

    func set(epoch: UInt32) { state.withLock { $0.epoch = epoch } }
    func set(activity: String) { state.withLock { $0.activity = activity } }

    func set(kvUsed: Int) { state.withLock { $0.kvUsed = kvUsed } }
    func set(diskTrouble: String) { state.withLock { $0.diskTrouble = diskTrouble } }

    func stepDone(tokens: Int, kvUsed: Int, kvSpilled: Int) {
        state.withLock {
            $0.stepsDone += 1
            $0.tokens += UInt64(tokens)
            $0.kvUsed = kvUsed
            $0.kvSpilled = kvSpilled
            $0.activity = "idle"
        }
    }

    /// The heartbeat of this moment.
    func heartbeat(_ traffic: Traffic) -> WorkerHeartbeat {
        state.withLock {
            var traffic = traffic
            traffic.tokens = $0.tokens
            return WorkerHeartbeat(
                epoch: $0.epoch, activity: $0.activity, kvUsed: $0.kvUsed, kvSpilled: $0.kvSpilled,
                stepsDone: $0.stepsDone,
                traffic: traffic, diskTrouble: $0.diskTrouble,
                peakMemoryBytes: Topology.peakMemory())
        }
    }
}
