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
        case prepare(Assignment)
        case prepared(Assignment, Result<Stage, Problem>)
        case activate(epoch: UInt32)
        case step(Step)
        case probe(Probe)
    }

    /// What it works with.
    struct Parts: Sendable {
        var link: DataLink
        var desk: PieceDesk
        var vitals: Vitals
        var threads: Int
        var checkpoint: Checkpoint?
        var digest: String
        /// The processor of each compute thread.
        var pins: [Int?]?
        var cache: String?
        var disk: DiskRoom?
        var spillFolder: String?
        /// Folders for packed weights, the best first.
        var packedFolders: [String] = []
        var send: @Sendable (Message) -> Void
        var record: @Sendable (String, [(String, String)]) -> Void
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
            var loop = StepLoop(parts: parts, latest: latest, orders: orders)
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

    /// A new plan whose slice is loaded while the one in force runs on.
    func prepare(_ assignment: Assignment) { orders.put(.prepare(assignment)) }

    /// A plan is in force.
    func activate(epoch: UInt32) { orders.put(.activate(epoch: epoch)) }

    /// A step of the plan in force.
    func run(_ step: Step) { orders.put(.step(step)) }

    /// A link of the plan in force is to be measured, between the steps before and those after.
    func measure(_ probe: Probe) { orders.put(.probe(probe)) }

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
    let orders: Mailbox<Engine.Order>
    var loaded: Loaded?
    /// The slice of a plan that is not in force yet; the stage is nil where the one in memory serves that plan too.
    private var next: (assignment: Assignment, stage: Stage?)?
    private var loading: UInt32?
    private var isUnchecked = false
    private var sequences = SequenceLog()

    init(parts: Engine.Parts, latest: LatestEpoch, orders: Mailbox<Engine.Order>) {
        self.parts = parts
        self.latest = latest
        self.orders = orders
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
        case .prepare(let assignment): prepare(assignment)
        case .prepared(let assignment, let result):
            guard loading == assignment.epoch else { return }
            loading = nil
            switch result {
            case .success(let stage): announce(assignment, stage)
            case .failure(let problem): parts.send(.failed(epoch: assignment.epoch, problem))
            }
        case .activate(let epoch):
            do {
                try activate(epoch)
            } catch {
                loaded?.isBroken = true
                fail(epoch, error)
            }
        case .step(let step): whileInForce(step.epoch) { try $0.run(step) }
        case .probe(let probe): whileInForce(probe.epoch) { try $0.measure(probe) }
        }
    }

    /// Does something that needs the plan's other workers; where it fails, this worker has no part in the plan any more.
    private mutating func whileInForce(_ epoch: UInt32, _ body: (inout StepLoop) throws -> Void) {
        guard let now = loaded, now.assignment.epoch == epoch, !now.isBroken, epoch >= latest.value else { return }
        do {
            try body(&self)
        } catch {
            loaded?.isBroken = true
            fail(epoch, error)
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

    // MARK: The next plan

    /// Loads a slice on a thread of its own; what runs goes on.
    private mutating func prepare(_ assignment: Assignment) {
        next = nil
        loading = nil
        if let now = loaded, !now.isBroken, Self.isSame(now.assignment, assignment) {
            return announce(assignment, nil)
        }
        loading = assignment.epoch
        let (loader, orders) = (SliceLoader(parts: parts), orders)
        _ = Thread(name: "loader") {
            orders.put(.prepared(assignment, Result { try loader.stage(assignment) }.mapError { $0.asProblem }))
        }
    }

    private mutating func announce(_ assignment: Assignment, _ stage: Stage?) {
        guard let described = stage ?? loaded?.stage else { return }
        if let stage { try? SliceLoader(parts: parts).keep(stage, assignment) }
        next = (assignment, stage)
        parts.send(
            .ready(
                Ready(
                    epoch: assignment.epoch, weightBytes: described.weightBytes, kvPages: described.kvPages,
                    kvPageBytes: described.kvPageBytes, stored: parts.disk == nil ? nil : [])))
    }

    /// The next plan takes over; who has no part in it lets go of everything.
    private mutating func activate(_ epoch: UInt32) throws {
        guard loaded?.assignment.epoch != epoch else {
            // The one in force goes on: another one that was being loaded will not be.
            next = nil
            loading = nil
            return
        }
        latest.raise(to: epoch)
        sequences.clear()
        parts.vitals.set(epoch: epoch)
        guard let (assignment, stage) = next, assignment.epoch == epoch else {
            loaded?.stage.store?.close()
            loaded = nil
            next = nil
            parts.vitals.set(kvUsed: 0)
            return
        }
        next = nil
        if let stage {
            loaded?.stage.store?.close()
            loaded = nil
            let description = try ModelDescription(decoding: assignment.modelDescription)
            loaded = Loaded(
                assignment: assignment, configuration: description.configuration, stage: stage,
                collective: collective(for: assignment))
        } else {
            keep(for: assignment)
        }
        guard let now = loaded?.stage else { return }
        openStore(of: now, assignment)
        try connect(assignment)
        parts.vitals.set(kvUsed: now.kvPagesUsed)
        if let keys = now.store?.keys, !keys.isEmpty {
            parts.send(.stored(epoch: epoch, keys: keys, gone: []))
        }
    }

    // MARK: A plan with nothing before it

    private mutating func load(_ assignment: Assignment) throws {
        next = nil
        loading = nil
        sequences.clear()
        parts.vitals.set(epoch: assignment.epoch)
        parts.vitals.set(activity: "loading")
        if let now = loaded, Self.isSame(now.assignment, assignment) {
            keep(for: assignment)
        } else {
            // The old weights go first: there may be no room for both.
            loaded?.stage.store?.close()
            loaded = nil
            let loader = SliceLoader(parts: parts)
            let stage = try loader.stage(assignment)
            try loader.keep(stage, assignment)
            let description = try ModelDescription(decoding: assignment.modelDescription)
            loaded = Loaded(
                assignment: assignment, configuration: description.configuration, stage: stage,
                collective: collective(for: assignment))
        }
        guard let stage = loaded?.stage else { return }
        openStore(of: stage, assignment)
        try connect(assignment)
        parts.vitals.set(activity: "idle")
        parts.vitals.set(kvUsed: stage.kvPagesUsed)
        parts.send(
            .ready(
                Ready(
                    epoch: assignment.epoch, weightBytes: stage.weightBytes, kvPages: stage.kvPages,
                    kvPageBytes: stage.kvPageBytes, stored: stage.store?.keys)))
    }

    private func connect(_ assignment: Assignment) throws {
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
    }

    /// Opens the slice's store on disk, anew for every plan: what is there then is what the plan begins with.
    private func openStore(of stage: Stage, _ assignment: Assignment) {
        stage.store?.close()
        stage.store = nil
        guard let disk = parts.disk else { return }
        let (send, log, vitals, epoch) = (parts.send, parts.log, parts.vitals, assignment.epoch)
        let folder = disk.folder(digest: assignment.digest, layout: stage.pageLayout)
        do {
            stage.store = try OtherShelves.beside(folder, limit: disk.bytes) { left in
                try PageStore(folder: folder, limit: left, pageBytes: stage.kvPageBytes) { event in
                    switch event {
                    case .stored(let keys, let gone): send(.stored(epoch: epoch, keys: keys, gone: gone))
                    case .restored(let sequence, let pages): send(.restored(epoch: epoch, sequence, pages: pages))
                    case .trouble(let words):
                        vitals.set(diskTrouble: words)
                        log(words)
                    }
                }
            }
            vitals.set(diskTrouble: "")
        } catch {
            vitals.set(diskTrouble: "\(error)")
            log("pages are not kept on disk: \(error)")
        }
    }

    /// Whether the slice of one plan serves the other too.
    private static func isSame(_ a: Assignment, _ b: Assignment) -> Bool {
        a.slice == b.slice && a.digest == b.digest && a.weightType == b.weightType && a.kvType == b.kvType
            && a.kvPages == b.kvPages && a.kvMemoryPages == b.kvMemoryPages && a.drawableTokens == b.drawableTokens
    }

    /// Goes on with the slice in memory under another plan; its KV pages are freed.
    private mutating func keep(for next: Assignment) {
        guard var now = loaded else { return }
        loaded = nil
        now.stage.store?.close()
        now.stage.store = nil
        now.stage.releasePages()
        now.assignment = next
        now.isBroken = false
        now.collective = collective(for: next)
        loaded = now
    }

    private func collective(for assignment: Assignment) -> LinkCollective {
        let slice = assignment.slice
        let ranks = assignment.peers.filter { $0.stage == slice.stage }
        return LinkCollective(
            link: parts.link, slice: slice, epoch: assignment.epoch,
            spansHosts: !Endpoint.areOnOneHost(ranks.map(\.dataEndpoint)))
    }

    private func measure(_ order: Probe) throws {
        guard let slice = loaded?.assignment.slice else { return }
        parts.vitals.set(activity: "measuring the link to stage \(order.stage) rank \(order.rank)")
        let speed = try LinkProbe(link: parts.link, slice: slice, order: order).run()
        parts.vitals.set(activity: "idle")
        if let speed { parts.send(.probed(epoch: order.epoch, number: order.number, speed)) }
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
        let inputWait = collective.waited
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
        parts.vitals.stepDone(
            tokens: tokens, kvUsed: now.stage.kvPagesUsed, kvSpilled: now.stage.kvPagesSpilled)
        let took = start.duration(to: .now)
        parts.send(
            .stepDone(
                StepDone(
                    epoch: step.epoch, number: step.number, results: results,
                    computeMicroseconds: (took - collective.waited).microseconds,
                    waitMicroseconds: collective.waited.microseconds,
                    inputWaitMicroseconds: inputWait.microseconds)))
        for facts in sequences.ran(step, computed: took - collective.waited, waited: collective.waited) {
            parts.record("sequence ended", facts)
        }
    }
}

extension Duration {
    /// Whole microseconds.
    var microseconds: Int {
        let (seconds, attoseconds) = components
        return Int(clamping: seconds) * 1_000_000 + Int(attoseconds / 1_000_000_000_000)
    }
}
