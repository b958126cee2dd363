import Cluster
import Core
import Testing

@Suite("Assembly")
struct AssemblyTests {
    private let needs = ModelNeeds(
        layers: 4, kvHeads: 2, vocabulary: 2000, layerBytes: 800, embeddingBytes: 100, outputBytes: 80)

    private func offer(_ name: String, memory: Int = 100_000) -> Offer {
        Offer(worker: WorkerID(name), memory: memory, threads: 1)
    }

    @Test("a plan is made when the last worker joins and runs when the last is ready")
    func forms() throws {
        var assembly = try Assembly(layout: Layout("2x1"), needs: needs)
        #expect(assembly.joined(offer("a")).isEmpty)
        #expect(assembly.missing == 1)
        let actions = assembly.joined(offer("b"))
        let plan = try #require(assembly.plan)
        #expect(actions == [.assign(plan)] && plan.epoch == 1)
        #expect(assembly.readied(WorkerID("a"), epoch: 1).isEmpty)
        #expect(assembly.readied(WorkerID("b"), epoch: 0).isEmpty)
        #expect(assembly.readied(WorkerID("b"), epoch: 1) == [.activate(plan)])
        #expect(assembly.phase == .active)
        #expect(assembly.joined(offer("spare")).isEmpty)
    }

    @Test("a lost worker ends the plan, and the cluster serves again when one returns")
    func loses() throws {
        var assembly = try Assembly(layout: Layout("2x1"), needs: needs)
        _ = assembly.joined(offer("a"))
        _ = assembly.joined(offer("b"))
        let slice = assembly.plan?.place(of: WorkerID("a"))?.slice
        let actions = assembly.left(WorkerID("b"), because: "was silent")
        guard case .tearDown(let problem) = actions.first else {
            Issue.record("no tear-down")
            return
        }
        #expect(actions.count == 1 && problem.kind == .failed && problem.message.contains("worker b was silent"))
        _ = assembly.joined(offer("b"))
        #expect(assembly.epoch == 2 && assembly.plan?.place(of: WorkerID("a"))?.slice == slice)
    }

    @Test("a spare takes the lost worker's place at once")
    func spare() throws {
        var assembly = try Assembly(layout: Layout("2x1"), needs: needs)
        for name in ["a", "b", "c"] { _ = assembly.joined(offer(name)) }
        #expect(assembly.plan?.place(of: WorkerID("c")) == nil)
        #expect(assembly.left(WorkerID("a"), because: "was silent").count == 2)
        #expect(assembly.plan?.allPlaces.map(\.worker.name) == ["b", "c"])
    }

    @Test("a worker that starts anew ends the plan it was in and gets a place in the next")
    func restart() throws {
        var assembly = try Assembly(layout: Layout("1x1"), needs: needs)
        _ = assembly.joined(offer("a"))
        #expect(assembly.joined(offer("a")).count == 2)
        #expect(assembly.epoch == 2)
    }

    @Test("a worker that cannot load is left out until it comes back")
    func broken() throws {
        var assembly = try Assembly(layout: Layout("1x1"), needs: needs)
        _ = assembly.joined(offer("a"))
        let actions = assembly.failed(WorkerID("a"), epoch: 1, problem: .invalid("the disk is full"))
        #expect(actions == [.tearDown(.invalid("worker a: the disk is full"))])
        #expect(assembly.missing == 1)
        #expect(assembly.joined(offer("a")).count == 1 && assembly.epoch == 2)
    }

    @Test("a worker that fails a step keeps its place in the next plan")
    func failedStep() throws {
        var assembly = try Assembly(layout: Layout("1x1"), needs: needs)
        _ = assembly.joined(offer("a"))
        _ = assembly.readied(WorkerID("a"), epoch: 1)
        #expect(assembly.failed(WorkerID("a"), epoch: 1, problem: .failed("a link broke")).count == 2)
        #expect(assembly.epoch == 2 && assembly.phase == .loading)
    }

    /// A cluster of two workers that runs, with a spare.
    private func running() throws -> Assembly {
        var assembly = try Assembly(layout: Layout("2x1"), needs: needs)
        for name in ["a", "b", "c"] { _ = assembly.joined(offer(name)) }
        for name in ["a", "b"] { _ = assembly.readied(WorkerID(name), epoch: 1) }
        return assembly
    }

    @Test("another plan is loaded beside the one in force and takes over when all of its workers are ready")
    func takesOver() throws {
        var assembly = try running()
        let wished = try assembly.planned(for: Layout("3x1"))
        let prepared = try assembly.prepare(wished)
        let next = try #require(assembly.next)
        #expect(prepared == [.prepare(next)] && next.epoch == 2 && assembly.plan?.epoch == 1)
        #expect(throws: Problem.self, "one at a time") { try assembly.prepare(wished) }
        #expect(assembly.readied(WorkerID("a"), epoch: 2).isEmpty && assembly.readied(WorkerID("b"), epoch: 2).isEmpty)
        #expect(assembly.readied(WorkerID("c"), epoch: 2) == [.takeOver(next)])
        #expect(assembly.plan?.epoch == 1, "until the steps that are on their way are done")
        assembly.tookOver()
        #expect(assembly.plan == next && assembly.next == nil && assembly.layout == next.layout)
        #expect(throws: Problem.self, "the same again") { try assembly.prepare(assembly.planned(for: Layout("3x1"))) }
        // What was asked for last counts from now on: a loss waits for three workers.
        _ = assembly.left(WorkerID("c"), because: "was silent")
        #expect(assembly.plan == nil && assembly.missing == 1)
    }

    @Test("a worker that fails or is lost while the next plan is loaded costs that plan only, unless it is in both")
    func abandons() throws {
        var assembly = try running()
        _ = try assembly.prepare(try assembly.planned(for: Layout("3x1")))
        let failed = assembly.failed(WorkerID("c"), epoch: 2, problem: .failed("the disk is full"))
        guard case .abandon(_, let problem) = failed.first else { throw Problem.failed("not abandoned") }
        #expect(failed.count == 1 && problem.message == "worker c: the disk is full")
        #expect(assembly.next == nil && assembly.phase == .active)
        _ = try assembly.prepare(try assembly.planned(for: Layout("3x1")))
        #expect(assembly.left(WorkerID("c"), because: "left").count == 1 && assembly.phase == .active)
        _ = assembly.joined(offer("c"))
        _ = try assembly.prepare(try assembly.planned(for: nil))
        let both = assembly.left(WorkerID("a"), because: "left")
        guard case .abandon = both.first, case .tearDown = both.dropFirst().first else {
            throw Problem.failed("the plan goes on without a worker of it: \(both)")
        }
    }

    @Test("a worker that drains is in no plan any more")
    func drains() throws {
        var assembly = try running()
        let without = try assembly.planned(for: nil, without: [WorkerID("a")])
        #expect(without.allPlaces.allSatisfy { $0.worker.name != "a" })
        #expect(assembly.drain(WorkerID("a")) && !assembly.drain(WorkerID("nobody")))
        _ = try assembly.prepare(without)
        for place in without.allPlaces { _ = assembly.readied(place.worker, epoch: assembly.epoch) }
        assembly.tookOver()
        #expect(assembly.plan?.place(of: WorkerID("a")) == nil)
        #expect(assembly.left(WorkerID("a"), because: "left").isEmpty, "its end is nobody's loss")
    }

    @Test("a model too large for the workers is reported, and an impossible layout refused at once")
    func tooLarge() throws {
        var assembly = try Assembly(layout: Layout("1x1"), needs: needs)
        let actions = assembly.joined(offer("a", memory: 10))
        guard case .report(let problem) = actions.first else {
            Issue.record("no report")
            return
        }
        #expect(problem.message.contains("does not fit") && assembly.problem == problem)
        #expect(throws: Problem.self) { try Assembly(layout: Layout("5x1"), needs: needs) }
    }
}
