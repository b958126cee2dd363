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
    public let layout: Layout?
    /// How many workers to wait for.
    public let expected: Int
    /// How far the plan is.
    public private(set) var phase = Phase.waiting
    /// The plan, from `assign` to `tearDown`.
    public private(set) var plan: Plan?
    /// The last plan's number.
    public private(set) var epoch: UInt32
    /// Why there is no plan although enough workers are here.
    public private(set) var problem: Problem?
    private let needs: ModelNeeds
    private var offers: [WorkerID: Offer] = [:]
    private var ready: Set<WorkerID> = []
    private var broken: [WorkerID: Problem] = [:]

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
    public var missing: Int { max(0, expected - offers.keys.count { broken[$0] == nil }) }

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
        guard plan?.place(of: worker) != nil else { return [] }
        let end = ended(.failed("worker \(worker) \(reason); the job was lost with it, submit it again"))
        return end + (replans ? plannedIfPossible() : [])
    }

    /// `worker` holds its slice of plan `epoch`.
    public mutating func readied(_ worker: WorkerID, epoch: UInt32) -> [Action] {
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
        plan = nil
        phase = .waiting
        ready = []
        return [.tearDown(problem)]
    }

    private mutating func plannedIfPossible() -> [Action] {
        guard plan == nil else { return [] }
        let usable = workers.filter { broken[$0] == nil }.compactMap { offers[$0] }
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
