import Checkpoint
import Core
import GLM
import KVCache
import Synchronization
import Threads
import Transport
import Wire

/// The thread that computes: it owns the slice, its KV pages and the data link's sockets, and takes orders one by one.
///
/// It blocks, since waiting for another worker is part of a step, and it never awaits. An order of a plan that is over
/// is skipped; one that hangs on a lost worker ends when the control thread interrupts the link.
final class Engine: Sendable {
    /// What it is told.
    enum Order: Sendable {
        case load(Assignment)
        case step(Step)
    }

    /// What it works with.
    struct Parts: Sendable {
        var link: DataLink
        var desk: PieceDesk
        var vitals: Vitals
        var threads: Int
        var checkpoint: Checkpoint?
        var digest: String
        var cache: String?
        var disk: DiskRoom?
        var send: @Sendable (Message) -> Void
        var log: @Sendable (String) -> Void
    }

    private let orders = Mailbox<Order>()
    private let latestEpoch: LatestEpoch
    private let parts: Parts
    private let thread: Thread

    init(_ parts: Parts) {
        let orders = orders
        let latest = LatestEpoch()
        latestEpoch = latest
        self.parts = parts
        thread = Thread(name: "engine") {
            var loop = StepLoop(parts: parts, latest: latest)
            while !orders.isClosed || !orders.isEmpty {
                if let order = orders.take(timeout: .seconds(2)) { loop.follow(order) } else { loop.rest() }
            }
            loop.end()
        }
    }

    /// A new plan: what is under way for older ones ends.
    func load(_ assignment: Assignment) {
        latestEpoch.raise(to: assignment.epoch)
        let over = Problem(.cancelled, "plan \(assignment.epoch) took the place of the one before")
        parts.link.interrupt(over, epoch: assignment.epoch - 1)
        parts.desk.giveUp(over)
        orders.put(.load(assignment))
    }

    /// A step of the plan in force.
    func run(_ step: Step) { orders.put(.step(step)) }

    /// Ends the thread and waits for it.
    func stop() {
        let end = Problem(.cancelled, "the worker ends")
        latestEpoch.raise(to: .max)
        orders.close()
        parts.link.interrupt(end)
        parts.desk.giveUp(end)
        thread.join()
    }
}

/// The highest epoch that the control thread has heard of.
final class LatestEpoch: Sendable {
    private let epoch = Atomic<UInt32>(0)

    var value: UInt32 { epoch.load(ordering: .acquiring) }
    func raise(to value: UInt32) { epoch.max(value, ordering: .acquiringAndReleasing) }
}

/// The engine's state, used by its thread alone.
private struct StepLoop {
    /// A slice that is loaded, and for which plan.
    struct Loaded {
        var assignment: Assignment
        var configuration: Configuration
        var stage: Stage
        var collective: LinkCollective
        var isBroken = false
    }

    let parts: Engine.Parts
    let latest: LatestEpoch
    var loaded: Loaded?
    private var isUnchecked = false

    init(parts: Engine.Parts, latest: LatestEpoch) {
        self.parts = parts
        self.latest = latest
    }

    mutating func follow(_ order: Engine.Order) {
        switch order {
        case .load(let assignment):
            guard assignment.epoch >= latest.value else { return }
            do {
                try load(assignment)
            } catch {
                loaded = nil
                fail(assignment.epoch, error)
            }
        case .step(let step):
            guard let now = loaded, now.assignment.epoch == step.epoch, !now.isBroken, step.epoch >= latest.value else {
                return
            }
            do {
                try run(step)
            } catch {
                loaded?.isBroken = true
                fail(step.epoch, error)
            }
        }
    }

    /// Nothing to do: time to look at one's own books, once after every work.
    mutating func rest() {
        guard isUnchecked, let now = loaded, !now.isBroken else { return }
        isUnchecked = false
        do {
            try now.stage.checkPages()
        } catch {
            loaded?.isBroken = true
            fail(now.assignment.epoch, error)
        }
    }

    /// The thread ends.
    func end() { loaded?.stage.store?.close() }

    private func fail(_ epoch: UInt32, _ error: any Error) {
        parts.vitals.set(activity: "idle")
        // When a newer plan is there, this one's failure is its end and no news.
        guard epoch >= latest.value else { return }
        let problem = error as? Problem ?? .failed("\(error)")
        parts.log("plan \(epoch): \(problem)")
        parts.send(.failed(epoch: epoch, problem))
    }

    private mutating func load(_ assignment: Assignment) throws {
        parts.vitals.set(epoch: assignment.epoch)
        parts.vitals.set(activity: "loading")
        if !(try keepsStage(for: assignment)) {
            // The old weights go first: there may be no room for both.
            loaded?.stage.store?.close()
            loaded = nil
            let description = try ModelDescription(decoding: assignment.modelDescription)
            try check(assignment, description.configuration)
            let stage = try loadStage(assignment, description)
            loaded = Loaded(
                assignment: assignment, configuration: description.configuration, stage: stage,
                collective: LinkCollective(link: parts.link, slice: assignment.slice, epoch: assignment.epoch))
        }
        guard let stage = loaded?.stage else { return }
        openStore(of: stage, assignment)
        let peers = assignment.peers.sorted { ($0.stage, $0.rank) < ($1.stage, $1.rank) }
        guard
            peers.map({ [$0.stage, $0.rank] })
                == (0..<assignment.layout.stages).flatMap({ stage in
                    (0..<assignment.layout.ranks).map { [stage, $0] }
                })
        else { throw Problem.failed("the plan's workers are not those of layout \(assignment.layout)") }
        try parts.link.begin(
            epoch: assignment.epoch,
            peers: peers.map { DataPeer(endpoint: $0.dataEndpoint, publicKey: $0.dataPublicKey) })
        parts.vitals.set(activity: "idle")
        parts.vitals.set(kvUsed: stage.kvPagesUsed)
        parts.send(
            .ready(
                Ready(
                    epoch: assignment.epoch, weightBytes: stage.weightBytes, kvPages: stage.kvPages,
                    kvPageBytes: stage.kvPageBytes, stored: stage.store?.keys)))
    }

    /// Opens the slice's store on disk, anew for every plan: what is there then is what the plan begins with.
    private func openStore(of stage: Stage, _ assignment: Assignment) {
        stage.store?.close()
        stage.store = nil
        guard let disk = parts.disk else { return }
        let (send, log, vitals, epoch) = (parts.send, parts.log, parts.vitals, assignment.epoch)
        do {
            stage.store = try PageStore(
                folder: disk.folder(digest: assignment.digest, layout: stage.pageLayout), limit: disk.bytes,
                pageBytes: stage.kvPageBytes
            ) { event in
                switch event {
                case .stored(let keys, let gone): send(.stored(epoch: epoch, keys: keys, gone: gone))
                case .restored(let sequence, let pages): send(.restored(epoch: epoch, sequence, pages: pages))
                case .trouble(let words):
                    vitals.set(diskTrouble: words)
                    log(words)
                }
            }
            vitals.set(diskTrouble: "")
        } catch {
            vitals.set(diskTrouble: "\(error)")
            log("pages are not kept on disk: \(error)")
        }
    }

    /// Whether the slice in memory serves the new plan too; its KV pages are then freed.
    private mutating func keepsStage(for next: Assignment) throws -> Bool {
        guard var now = loaded, now.assignment.slice == next.slice, now.assignment.digest == next.digest,
            now.assignment.weightType == next.weightType, now.assignment.kvType == next.kvType,
            now.assignment.kvPages == next.kvPages
        else { return false }
        now.stage.store?.close()
        now.stage.store = nil
        now.stage.releasePages()
        now.assignment = next
        now.isBroken = false
        now.collective = LinkCollective(link: parts.link, slice: next.slice, epoch: next.epoch)
        loaded = now
        return true
    }

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

    private func loadStage(_ assignment: Assignment, _ description: ModelDescription) throws -> Stage {
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
        return try Stage(
            description: description, slice: slice, source: source, type: assignment.weightType,
            kvType: assignment.kvType,
            kvPages: assignment.kvPages,
            threads: parts.threads
        ) { fraction in
            parts.vitals.set(activity: "loading \(Int(fraction * 100))%")
            guard lastTold.duration(to: .now) > .milliseconds(250) else { return }
            lastTold = .now
            parts.send(.loading(epoch: assignment.epoch, fraction: fraction))
        }
    }

    private mutating func run(_ step: Step) throws {
        guard let now = loaded else { return }
        let start = ContinuousClock.now
        let slice = now.assignment.slice
        let collective = now.collective
        let tokens = step.tokenCount
        parts.vitals.set(activity: "step \(step.number): \(tokens) tokens")
        isUnchecked = true
        collective.begin(step: step.number)
        defer { collective.end() }
        let hidden = now.configuration.hidden
        let input = slice.isFirst || tokens == 0 ? nil : try collective.take(tokens * hidden)
        let output = try withExtendedLifetime(input) {
            try now.stage.run(step, input: input?.part(0).baseAddress, collective: collective)
        }
        var results: [SegmentResult] = []
        switch output {
        case .hidden(let values):
            if tokens > 0 { try collective.pass(values) }
        case .results(let found):
            if slice.rank == 0 { results = found }
        }
        parts.vitals.stepDone(kvUsed: now.stage.kvPagesUsed)
        let took = start.duration(to: .now)
        parts.send(
            .stepDone(
                StepDone(
                    epoch: step.epoch, number: step.number, results: results,
                    computeMicroseconds: (took - collective.waited).microseconds,
                    waitMicroseconds: collective.waited.microseconds)))
    }
}

extension Duration {
    /// Whole microseconds.
    var microseconds: Int {
        let (seconds, attoseconds) = components
        return Int(clamping: seconds) * 1_000_000 + Int(attoseconds / 1_000_000_000_000)
    }
}
