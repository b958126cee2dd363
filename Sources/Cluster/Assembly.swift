public import Core

/// When there is a plan, and which: from who joined, left, is ready or failed.
///
/// A plain value. A plan is made when the workers it takes are here, runs when all of them hold their slices, and ends
/// with the first of them that is lost or fails; then the next one, under a higher epoch, is made from who is left.
public struct Assembly: Sendable {
    /// What the host must do next, in order.
    public enum Action: Hashable, Sendable {
        /// Give everybody in the plan its slice.
        case assign(Plan)
        /// All are ready: steps may run.
        case activate(Plan)
        /// The plan is over: jobs that run on it fail with this problem.
        case tearDown(Problem)
        /// No plan can be made of the workers that are here.
        case report(Problem)
        /// Give everybody in the plan its slice, to be loaded while the plan in force runs on.
        case prepare(Plan)
        /// Everybody holds its slice of the next plan: it takes over when the steps that are on their way are done.
        case takeOver(Plan)
        /// The next plan will not be: the one in force goes on.
        case abandon(Plan, Problem)
    }

    /// How far the plan is.
    public enum Phase: Hashable, Sendable {
        /// There is none.
        case waiting
        /// Workers load their slices.
        case loading
        /// Steps run.
        case active
    }

    /// The grid to form, or nil to choose one.
    public private(set) var layout: Layout?
    /// How many workers to wait for.
    public private(set) var expected: Int
    /// How far the plan is.
    public private(set) var phase = Phase.waiting
    /// The plan, from `assign` to `tearDown`.
    public private(set) var plan: Plan?
    /// The plan that is being loaded while `plan` runs.
    public private(set) var next: Plan?
    /// The last plan's number.
    public private(set) var epoch: UInt32
    /// Why there is no plan although enough workers are here.
    public private(set) var problem: Problem?
    private let needs: ModelNeeds
    private var offers: [WorkerID: Offer] = [:]
    private var ready: Set<WorkerID> = []
    private var broken: [WorkerID: Problem] = [:]
    private var nextReady: Set<WorkerID> = []
    /// Workers that are to leave: they are in no plan that is made from now on.
    public private(set) var draining: Set<WorkerID> = []

    /// Waits for `layout.workers` workers, or for `expected` of them to choose a grid for; refuses a grid that the model
    /// cannot be cut into. The first plan's epoch is `epoch + 1`.
    public init(layout: Layout?, expected: Int = 1, needs: ModelNeeds, epoch: UInt32 = 0) throws {
        if let layout { try Plan.check(layout, needs) }
        self.layout = layout
        self.expected = layout?.workers ?? max(1, expected)
        self.needs = needs
        self.epoch = epoch
    }

    /// Workers that could be in a plan, by name.
    public var workers: [WorkerID] { offers.keys.sorted() }

    /// What `worker` brought.
    public func offer(of worker: WorkerID) -> Offer? { offers[worker] }

    /// Why `worker` is in no plan although it is here.
    public func problem(of worker: WorkerID) -> Problem? { broken[worker] }

    /// Whether `worker` holds its slice of the plan.
    public func isReady(_ worker: WorkerID) -> Bool { ready.contains(worker) }

    /// How many workers are still awaited.
    public var missing: Int { max(0, expected - offers.keys.count { broken[$0] == nil && !draining.contains($0) }) }

    /// A worker came, or came back: one that was in the plan lost its state, and the plan ends.
    public mutating func joined(_ offer: Offer) -> [Action] {
        var actions = offers[offer.worker] == nil ? [] : left(offer.worker, because: "started anew", replans: false)
        offers[offer.worker] = offer
        broken[offer.worker] = nil
        actions += plannedIfPossible()
        return actions
    }

    /// A worker is gone.
    public mutating func left(_ worker: WorkerID, because reason: String) -> [Action] {
        left(worker, because: reason, replans: true)
    }

    private mutating func left(_ worker: WorkerID, because reason: String, replans: Bool) -> [Action] {
        guard offers.removeValue(forKey: worker) != nil else { return [] }
        broken[worker] = nil
        draining.remove(worker)
        var actions: [Action] = []
        if next?.place(of: worker) != nil {
            actions += abandonedNext(.failed("worker \(worker) \(reason) while the next layout was loaded"))
        }
        guard plan?.place(of: worker) != nil else { return actions }
        actions += ended(.failed("worker \(worker) \(reason); the job was lost with it, submit it again"))
        return actions + (replans ? plannedIfPossible() : [])
    }

    private mutating func abandonedNext(_ problem: Problem) -> [Action] {
        guard let plan = next else { return [] }
        next = nil
        nextReady = []
        return [.abandon(plan, problem)]
    }

    /// `worker` holds its slice of plan `epoch`.
    public mutating func readied(_ worker: WorkerID, epoch: UInt32) -> [Action] {
        if let next, next.epoch == epoch, next.place(of: worker) != nil {
            nextReady.insert(worker)
            return nextReady.count == next.layout.workers ? [.takeOver(next)] : []
        }
        guard phase == .loading, let plan, plan.epoch == epoch, plan.place(of: worker) != nil else { return [] }
        ready.insert(worker)
        guard ready.count == plan.layout.workers else { return [] }
        phase = .active
        return [.activate(plan)]
    }

    /// `worker` could not load its slice, or could not run a step of plan `epoch`.
    ///
    /// One that could not load would not load again: it stays out until it comes back.
    public mutating func failed(_ worker: WorkerID, epoch: UInt32, problem: Problem) -> [Action] {
        if let next, next.epoch == epoch, next.place(of: worker) != nil {
            return abandonedNext(Problem(problem.kind, "worker \(worker): \(problem.message)"))
        }
        guard let plan, plan.epoch == epoch, plan.place(of: worker) != nil else { return [] }
        if phase == .loading { broken[worker] = problem }
        var inWords = problem
        inWords.message = "worker \(worker): \(problem.message)"
        return ended(inWords) + plannedIfPossible()
    }

    /// The plan that is being loaded turned out not to fit; another is made when somebody comes or goes.
    public mutating func abandoned(because problem: Problem) -> [Action] {
        guard phase == .loading else { return [] }
        self.problem = problem
        return ended(problem)
    }

    private mutating func ended(_ problem: Problem) -> [Action] {
        let abandoned = abandonedNext(problem)
        plan = nil
        phase = .waiting
        ready = []
        return abandoned + [.tearDown(problem)]
    }

    // MARK: Another layout while jobs run

    /// The plan that another layout would give now; nil chooses one for all workers that are here and do not leave.
    public func planned(for layout: Layout?, without leaving: Set<WorkerID> = []) throws -> Plan {
        let usable = workers.filter { broken[$0] == nil && !draining.contains($0) && !leaving.contains($0) }
            .compactMap { offers[$0] }
        return if let layout {
            try Plan(epoch: epoch + 1, layout: layout, offers: usable, needs: needs)
        } else {
            try Plan(epoch: epoch + 1, choosingFor: usable, needs: needs)
        }
    }

    /// Begins to load another plan, one of `planned`, while the one in force runs on.
    public mutating func prepare(_ plan: Plan) throws -> [Action] {
        guard phase == .active, let current = self.plan else {
            throw Problem.unavailable("the layout can be changed when the cluster is ready")
        }
        guard next == nil else {
            throw Problem.unavailable("layout \(next?.layout.description ?? "") is being loaded; wait for it")
        }
        guard plan.layout != current.layout || plan.allPlaces.map(\.worker) != current.allPlaces.map(\.worker) else {
            throw Problem.invalid("the layout is \(plan.layout) already, of the same workers")
        }
        epoch += 1
        var plan = plan
        plan.epoch = epoch
        next = plan
        nextReady = []
        return [.prepare(plan)]
    }

    /// `worker` is to be in no plan from now on; false when it is not here.
    public mutating func drain(_ worker: WorkerID) -> Bool {
        guard offers[worker] != nil else { return false }
        draining.insert(worker)
        return true
    }

    /// `worker` stays after all.
    public mutating func undrain(_ worker: WorkerID) { draining.remove(worker) }

    /// The next plan is in force.
    public mutating func tookOver() {
        guard let next else { return }
        plan = next
        layout = next.layout
        expected = next.layout.workers
        ready = nextReady
        self.next = nil
        nextReady = []
    }

    private mutating func plannedIfPossible() -> [Action] {
        guard plan == nil else { return [] }
        let usable = workers.filter { broken[$0] == nil && !draining.contains($0) }.compactMap { offers[$0] }
        guard usable.count >= expected else { return [] }
        do {
            let next =
                if let layout {
                    try Plan(epoch: epoch + 1, layout: layout, offers: usable, needs: needs)
                } else {
                    try Plan(epoch: epoch + 1, choosingFor: usable, needs: needs)
                }
            epoch += 1
            plan = next
            phase = .loading
            problem = nil
            return [.assign(next)]
        } catch let found as Problem {
            problem = found
            return [.report(found)]
        } catch {
            return []
        }
    }
}
