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
