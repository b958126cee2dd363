import Cluster
public import Core
import GLM
import Router
import Scheduler
import Wire

/// Another layout while jobs run: slices are loaded in the background, then steps pause, the next plan takes over, and every
/// job goes on with the tokens that it has. What the KV cache held is computed again, or read from disk.
extension Coordinator {
    /// Begins to load another layout while jobs run on; nil chooses one for all workers.
    public func scale(to layout: Layout?) throws {
        try begin(try assembly.planned(for: layout))
    }

    /// Takes a worker out of the layout, without a loss.
    public func drain(_ worker: WorkerID) throws {
        guard members[worker] != nil else {
            throw Problem.notFound("there is no worker \(worker); see glm status")
        }
        guard !assembly.draining.contains(worker) else { return }
        guard assembly.phase != .active || assembly.plan?.place(of: worker) != nil else {
            _ = assembly.drain(worker)
            return
        }
        let next = try assembly.planned(for: nil, without: [worker])
        _ = assembly.drain(worker)
        do {
            try begin(next)
        } catch {
            assembly.undrain(worker)
            throw error
        }
    }

    /// Loads a plan beside the one in force, when everything that runs or waits has room in it.
    private func begin(_ plan: Plan) throws {
        let room = room(in: plan)
        guard router.longest <= room else {
            throw Problem.invalid(
                "a job needs KV cache for \(router.longest) tokens, layout \(plan.layout) would have room for \(room); wait for it, cancel it, or use more workers"
            )
        }
        act(try assembly.prepare(plan))
    }

    /// Tokens of the longest sequence that a plan would have room for.
    private func room(in plan: Plan) -> Int {
        settings.kvTokens ?? plan.capacity(description, kvType: kvType) { assembly.offer(of: $0) }
    }

    /// A layout of the workers that are here in which so many tokens fit, when there is one and layouts change by themselves.
    func layoutThatFits(_ shortage: Router.Shortage) -> Bool {
        guard settings.scalesItself, settings.kvTokens == nil else { return false }
        if let next = assembly.next { return room(in: next) >= shortage.neededTokens }
        guard let plan = try? assembly.planned(for: nil), room(in: plan) >= shortage.neededTokens else { return false }
        do {
            try begin(plan)
            return true
        } catch {
            return false
        }
    }

    /// Every worker of the next plan has its slice: steps pause, and it takes over when none is on its way.
    func prepared() {
        guard let next = assembly.next, isTakingOver else { return }
        guard scheduler?.stepsInFlight ?? 0 == 0 else { return }
        isTakingOver = false
        let leaving = assembly.plan?.allPlaces.map(\.worker).filter { next.place(of: $0) == nil } ?? []
        assembly.tookOver()
        for worker in leaving {
            tell(worker, .activate(epoch: next.epoch))
            members[worker]?.ready = nil
        }
        for place in next.allPlaces {
            members[place.worker]?.ready = nextReady[place.worker]
            tell(place.worker, .activate(epoch: next.epoch))
        }
        nextReady = [:]
        sentAt = [:]
        restoring = [:]
        let over = Problem.unavailable("the layout has changed; ask again")
        failLogits(over)
        endMeasurement(over)
        scheduler = Scheduler(
            settings: Scheduler.Settings(
                chunk: settings.chunk, latency: settings.latency, stages: next.layout.stages,
                stagesAtOnce: next.stagesAtOnce(offer: assembly.offer(of:))), epoch: next.epoch)
        let (admitted, refused) = router.replan(places(of: next), keepsRunning: true)
        say("coordinator: plan \(next.epoch): layout \(next.layout) took over")
        for (sequence, shortage) in refused { fail(sequence, problem(shortage)) }
        begin(admitted)
        placeThoseThatWaitedForRoom()
    }

    /// The next plan will not be; those that waited for its room hear why.
    func abandoned(_ plan: Plan, _ problem: Problem) {
        say("coordinator: layout \(plan.layout) will not be: \(problem)")
        isTakingOver = false
        nextReady = [:]
        // Whoever has loaded a slice of it lets go of that.
        if let epoch = assembly.plan?.epoch {
            for place in plan.allPlaces { tell(place.worker, .activate(epoch: epoch)) }
        }
        for worker in assembly.draining where assembly.plan?.place(of: worker) != nil { assembly.undrain(worker) }
        placeThoseThatWaitedForRoom()
        pump()
    }

    /// Asks room for the jobs that were accepted because another layout has room for them.
    private func placeThoseThatWaitedForRoom() {
        let waiting = waitingForRoom
        waitingForRoom = []
        for (sequence, total) in waiting {
            guard let id = table.job(of: sequence), let job = table[id] else { continue }
            do {
                begin(
                    try router.place(
                        sequence, tokens: job.request.prompt, total: total,
                        reuses: job.request.options.sharesPages, attention: job.request.options.attention,
                        priority: job.request.options.priority))
            } catch {
                fail(
                    sequence,
                    (error as? Router.Shortage).map { problem($0) } ?? error as? Problem ?? .failed("\(error)"))
            }
        }
    }
}
