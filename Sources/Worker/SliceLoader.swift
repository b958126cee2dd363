import Checkpoint
import Core
import GLM
import Threads
import Wire

/// Loads the weights of a slice: from this worker's own copy of the model, or from the coordinator's.
struct SliceLoader: Sendable {
    let parts: Engine.Parts

    private func check(_ assignment: Assignment, _ configuration: Configuration) throws {
        let slice = assignment.slice
        let layout = assignment.layout
        guard slice.stageCount == layout.stages, (0..<slice.stageCount).contains(slice.stage),
            slice.rankCount == layout.ranks, (0..<slice.rankCount).contains(slice.rank),
            slice.vocabularyByRank.count == layout.ranks, !slice.layers.isEmpty, slice.layers.lowerBound >= 0,
            slice.layers.upperBound <= configuration.layers, slice.leavesByRank.first?.lowerBound == 0,
            slice.leavesByRank.last?.upperBound == Leaves.count,
            slice.vocabularyByRank.first?.lowerBound == 0,
            slice.vocabularyByRank.last?.upperBound == configuration.vocabulary,
            zip(slice.leavesByRank, slice.leavesByRank.dropFirst()).allSatisfy({ $0.upperBound == $1.lowerBound }),
            zip(slice.vocabularyByRank, slice.vocabularyByRank.dropFirst()).allSatisfy({
                $0.upperBound == $1.lowerBound
            })
        else { throw Problem.failed("the slice that was assigned does not fit the model") }
    }

    /// Where packed weights of a model are kept: beside it, or with what came from the coordinator; nil when nowhere, or when it is small.
    private func cache(_ assignment: Assignment, _ description: ModelDescription) -> PackedCache? {
        let bytes = description.tensors.values.reduce(0) { $0 + ($1.byteCount ?? 0) }
        guard bytes >= PackedCache.leastBytes else { return nil }
        return parts.packedFolders.lazy.compactMap { PackedCache(folder: $0, digest: assignment.digest) }.first
    }

    /// Writes behind what was packed; a start that is not the first then only maps it.
    func keep(_ stage: Stage, _ assignment: Assignment) throws {
        let description = try ModelDescription(decoding: assignment.modelDescription)
        guard let cache = cache(assignment, description) else { return }
        let log = parts.log
        _ = Thread(name: "keeper") {
            do {
                try stage.keepWeights(in: cache)
            } catch {
                log("packed weights are not kept for the next start: \(error.asProblem)")
            }
        }
    }

    /// Loads the slice of an assignment; takes as long as it takes.
    func stage(_ assignment: Assignment) throws -> Stage {
        let description = try ModelDescription(decoding: assignment.modelDescription)
        try check(assignment, description.configuration)
        let source: any TensorSource
        if let checkpoint = parts.checkpoint {
            guard parts.digest == assignment.digest else {
                throw Problem.refused(
                    "this worker's model is another one than the cluster's; give it the same, or none")
            }
            source = checkpoint
        } else {
            let store = try parts.cache.map { try PieceStore(cache: $0, digest: assignment.digest) }
            source = RemoteSource(tensors: description.tensors, desk: parts.desk, store: store)
        }
        let slice = assignment.slice
        parts.log(
            "plan \(assignment.epoch): loading layers \(slice.layers) leaves \(slice.leaves) as stage \(slice.stage) rank \(slice.rank)"
        )
        var lastTold = ContinuousClock.now
        let stage = try Stage(
            description: description, slice: slice, source: source, type: assignment.weightType,
            kvType: assignment.kvType,
            kvPages: assignment.kvPages, kvMemoryPages: assignment.kvMemoryPages, spillFolder: parts.spillFolder,
            cache: cache(assignment, description), threads: parts.threads,
            pins: parts.pins
        ) { fraction in
            parts.vitals.set(activity: "loading \(Int(fraction * 100))%")
            guard lastTold.duration(to: .now) > .milliseconds(250) else { return }
            lastTold = .now
            parts.send(.loading(epoch: assignment.epoch, fraction: fraction))
        }
        if let drawable = assignment.drawableTokens { stage.drawableTokens = min(drawable, stage.drawableTokens) }
        return stage
    }
}

extension Error {
    /// The same as a problem.
    var asProblem: Problem { self as? Problem ?? .failed("\(self)") }
}
