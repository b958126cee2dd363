import Cluster
import Core
import GLM
import Router
import Scheduler
import Wire

/// What there is room for, and what would make room.
extension Coordinator {
    /// The problem of a job that can never fit: what it needs, what there is, and what would do.
    func problem(_ shortage: Router.Shortage) -> Problem {
        func amount(_ tokens: Int, _ bytes: Int) -> String { "\(tokens) tokens (\(bytesInWords(bytes)))" }
        var remedies: [String] = []
        if settings.kvTokens == nil {
            remedies += moreWorkers(for: shortage.neededTokens)
            remedies += smallerType(for: shortage.neededTokens)
            remedies.append("a --kv-spill file on the workers' disks")
        } else {
            remedies.append("a larger --kv-tokens")
        }
        let others = remedies.dropFirst().map { ", or \($0)" }.joined()
        let advice = remedies.first.map { "\($0) would do\(others), or " } ?? ""
        return .invalid(
            "the job needs KV cache for \(amount(shortage.neededTokens, shortage.neededBytes)), prompt and answer; the cluster has room for \(amount(shortage.hasTokens, shortage.hasBytes)) at once; \(advice)shorten the prompt or ask for fewer tokens"
        )
    }

    private func smallerType(for tokens: Int) -> [String] {
        guard let plan = assembly.plan else { return [] }
        let headDim = configuration.headDim
        let smaller = [KVType.f16, .q8, .q4].filter {
            $0.byteCount(headDim: headDim) < kvType.byteCount(headDim: headDim)
        }
        let first = smaller.first {
            plan.capacity(description, kvType: $0) { assembly.offer(of: $0) } >= tokens
        }
        return first.map { ["--kv-type \($0.name)"] } ?? []
    }

    /// How many more workers like the smallest one of the plan would make room.
    private func moreWorkers(for tokens: Int) -> [String] {
        guard let plan = assembly.plan else { return [] }
        let here = assembly.workers.compactMap { assembly.offer(of: $0) }
        let inPlan = here.filter { plan.place(of: $0.worker) != nil }
        guard
            let model = inPlan.min(by: {
                $0.kvBytes(besideWeights: 0) < $1.kvBytes(besideWeights: 0)
            })
        else { return [] }
        for count in 1...64 {
            let more = (0..<count).map { number in
                var offer = model
                offer.worker = WorkerID("\(model.worker.name)+\(number)")
                return offer
            }
            let all = inPlan + more
            let offers = Dictionary(all.map { ($0.worker, $0) }) { first, _ in first }
            guard let grown = try? Plan(epoch: plan.epoch, choosingFor: all, needs: needs) else { continue }
            if grown.layout.workers == all.count,
                grown.capacity(description, kvType: kvType, offer: { offers[$0] }) >= tokens
            {
                return ["\(count) more such \(count == 1 ? "worker" : "workers")"]
            }
        }
        return []
    }

    /// The router's view of a plan's workers.
    func places(of plan: Plan) -> [Router.Place] {
        plan.allPlaces.map { place in
            let ready = members[place.worker]?.ready
            return Router.Place(
                share: Stage.kvShare(configuration, slice: place.slice), pages: ready?.kvPages ?? 0,
                pageBytes: ready?.kvPageBytes ?? 0, stored: ready?.stored)
        }
    }

    /// The KV pools, in the order of the plan's places.
    func pools() -> [WorkerID: KVUse] {
        guard let plan = assembly.plan, router.places.count == plan.layout.workers else { return [:] }
        var pools: [WorkerID: KVUse] = [:]
        for (place, use) in zip(plan.allPlaces, router.uses()) {
            var use = use
            use.spilled = members[place.worker]?.kvSpilled ?? 0
            use.trouble = members[place.worker]?.diskTrouble ?? ""
            pools[place.worker] = use
        }
        return pools
    }

    /// Holds the workers' books against the router's while nobody runs.
    func checkAccounts(_ worker: WorkerID, _ used: Int, epoch: UInt32) {
        guard let plan = assembly.plan, plan.epoch == epoch, assembly.phase == .active, router.isQuiet,
            scheduler?.isQuiet == true, let at = plan.allPlaces.firstIndex(where: { $0.worker == worker }),
            router.usedPages.indices.contains(at), router.usedPages[at] != used
        else {
            members[worker]?.wrongBeats = 0
            return
        }
        // A heartbeat may be older than what was decided last; three in a row are not.
        members[worker]?.wrongBeats += 1
        guard members[worker]?.wrongBeats == 3 else { return }
        say(
            "coordinator: worker \(worker) holds \(used) pages of KV cache where the router counts \(router.usedPages[at]); report this"
        )
    }
}
