import Kernels
import Synchronization
import Threads

/// What a token costs at the least: every weight is read once.
extension Stage {
    /// Reads all packed weights once and does nothing with them, each of the team's threads its share of each matrix.
    ///
    /// An answer's step that took as long would be as fast as this memory lets it be.
    ///
    /// - Returns: bytes read; what does not fill a kilobyte of a share is left out.
    public func readWeights() -> Int {
        let bytes = Atomic<Int>(0)
        team.run { rank in
            var own = 0
            var check: Int64 = 0
            for matrix in weights.matrices {
                let share = team.share(of: matrix.panelBytes / 1024, rank: rank)
                check ^= Limits.read(matrix.matrix.base + share.lowerBound * 1024, byteCount: share.count * 1024)
                own += share.count * 1024
            }
            // Only the bytes themselves can say that their sum is not this one: the reads cannot be left out.
            bytes.wrappingAdd(check == .min ? 0 : own, ordering: .relaxed)
        }
        return bytes.load(ordering: .relaxed)
    }
}
