import Cluster
import Core
import GLM
import Router
import Scheduler
import Tokenization
import Transport
import Wire

/// Who is here, and the plan.
extension Coordinator {
    func hearWorker(_ contact: Contact, _ message: Message) {
        if case .workerHello(let hello) = message { return greeted(contact, hello) }
        guard let worker = workers[contact], membership.heard(from: worker, now: now) else {
            return send(contact, .refused(.unavailable("the coordinator does not know this worker any more")))
        }
        switch message {
        case .ready(let ready) where ready.epoch == assembly.next?.epoch:
            nextReady[worker] = ready
            act(assembly.readied(worker, epoch: ready.epoch))
        case .ready(let ready):
            guard ready.epoch == assembly.plan?.epoch else { return }
            members[worker]?.ready = ready
            members[worker]?.activity = "idle"
            act(assembly.readied(worker, epoch: ready.epoch))
        case .loading(let epoch, let fraction):
            guard epoch == assembly.plan?.epoch || epoch == assembly.next?.epoch, (0...1).contains(fraction) else {
                return
            }
            members[worker]?.activity = "loading \(Int(fraction * 100))%"
        case .failed(let epoch, let problem): act(assembly.failed(worker, epoch: epoch, problem: problem))
        case .stepDone(let done): stepDone(worker, done)
        case .probed(let epoch, let number, let speed): probed(worker, epoch: epoch, number: number, speed)
        case .workerHeartbeat(let beat):
            members[worker]?.activity = beat.activity
            members[worker]?.diskTrouble = beat.diskTrouble
            members[worker]?.kvSpilled = beat.kvSpilled
            members[worker]?.peakMemory = beat.peakMemoryBytes
            members[worker]?.traffic = beat.traffic
            checkAccounts(worker, beat.kvUsed, epoch: beat.epoch)
        case .stored(let epoch, let keys, let gone):
            guard epoch == assembly.plan?.epoch else { return }
            router.stored(keys, gone: gone)
        case .restored(let epoch, let sequence, let pages):
            guard epoch == assembly.plan?.epoch else { return }
            restored(sequence, pages: pages, by: worker)
        case .fetch(let request, let fetch):
            let server = servers[contact.server]
            pieces.ask(
                PieceServer.Question(fetch: fetch) { answer in
                    server.send(to: contact.peer, Message.piece(request: request, answer).encode())
                })
        case .goodbye: remove(worker, because: "left")
        default: break
        }
    }

    private func greeted(_ contact: Contact, _ hello: WorkerHello) {
        let worker = hello.worker
        func refuse(_ problem: Problem) {
            say("coordinator: worker \(worker) refused: \(problem)")
            send(contact, .refused(problem))
        }
        guard !worker.name.isEmpty, worker.name.utf8.count <= 200, hello.threads > 0, hello.memoryBytes > 0 else {
            return refuse(.refused("a worker needs a name of at most 200 bytes, threads and memory"))
        }
        guard hello.modelDigest.isEmpty || hello.modelDigest == card.digest else {
            return refuse(
                .refused(
                    "worker \(worker) has another model (digest \(hello.modelDigest.prefix(12))) than the cluster serves (\(card.name), digest \(card.digest.prefix(12))); give it the same one, or start it without --model"
                ))
        }
        if let known = members[worker], known.contact != contact, known.hello.dataEndpoint != hello.dataEndpoint,
            membership.isLive(worker, now: now)
        {
            return refuse(.unavailable("the name \(worker) is taken by a worker that is alive; choose another --name"))
        }
        if let known = members[worker] { workers[known.contact] = nil }
        workers[contact] = worker
        members[worker] = Member(contact: contact, hello: hello)
        _ = membership.greeted(by: worker, now: now)
        send(contact, .welcome(Welcome(heartbeatInterval: settings.heartbeat, model: card.name)))
        let offer = Offer(
            worker: worker, memory: hello.memoryBytes, threads: hello.threads, host: Self.host(of: hello.dataEndpoint),
            kvMemory: hello.kvMemoryBytes, kvSpill: hello.kvSpillBytes, processors: hello.processors)
        let actions = assembly.joined(offer)
        say("coordinator: worker \(worker) joined with \(hello.threads) threads; \(stateInWords)")
        act(actions)
    }

    /// The host in `tcp://HOST:PORT`; ipc is one host.
    static func host(of endpoint: String) -> String {
        guard endpoint.hasPrefix("tcp://"), let colon = endpoint.lastIndex(of: ":") else { return "" }
        return String(endpoint[..<colon].dropFirst(6))
    }

    func remove(_ worker: WorkerID, because reason: String) {
        _ = membership.left(worker)
        if let contact = members.removeValue(forKey: worker)?.contact { workers[contact] = nil }
        let actions = assembly.left(worker, because: reason)
        say("coordinator: worker \(worker) \(reason); \(stateInWords)")
        act(actions)
    }

    func tick() {
        for case .remove(let worker) in membership.tick(now: now) {
            remove(worker, because: "said nothing for \(Membership.patience) heartbeats")
        }
        for worker in members.keys.sorted() { tell(worker, .heartbeat) }
        checkMeasurement()
        tidyJobs()
    }

    func act(_ actions: [Assembly.Action]) {
        for action in actions {
            switch action {
            case .assign(let plan): assign(plan)
            case .prepare(let plan): assign(plan, inBackground: true)
            case .takeOver:
                isTakingOver = true
                prepared()
            case .abandon(let plan, let problem): abandoned(plan, problem)
            case .activate(let plan): activate(plan)
            case .tearDown(let problem): tearDown(problem)
            case .report(let problem):
                lastProblem = problem
                say("coordinator: \(problem)")
            }
        }
    }

    private func assign(_ plan: Plan, inBackground: Bool = false) {
        let kvPages: [WorkerID: (pages: Int, memory: Int)]
        do {
            kvPages = try plan.kvPages(description, kvType: kvType, kvTokens: settings.kvTokens) {
                assembly.offer(of: $0)
            }
        } catch {
            let problem = error as? Problem ?? .failed("\(error)")
            let first = plan.allPlaces[0].worker
            return act(
                inBackground
                    ? assembly.failed(first, epoch: plan.epoch, problem: problem)
                    : assembly.abandoned(because: problem))
        }
        say(
            "coordinator: plan \(plan.epoch): layout \(plan.layout)\(inBackground ? ", loading beside the one in force" : "")"
        )
        let peers = plan.allPlaces.map { place in
            let hello = members[place.worker]?.hello
            return Peer(
                stage: place.slice.stage, rank: place.slice.rank, worker: place.worker,
                dataEndpoint: hello?.dataEndpoint ?? "", dataPublicKey: hello?.dataPublicKey ?? "")
        }
        for place in plan.allPlaces {
            members[place.worker]?.activity = "loading 0%"
            if !inBackground { members[place.worker]?.ready = nil }
            tell(
                place.worker,
                .assign(
                    Assignment(
                        epoch: plan.epoch, layout: plan.layout, slice: place.slice, peers: peers,
                        modelDescription: encodedDescription, weightType: settings.weightType, kvType: settings.kvType,
                        kvPages: kvPages[place.worker]?.pages ?? 0, kvMemoryPages: kvPages[place.worker]?.memory ?? 0,
                        digest: card.digest, isInBackground: inBackground,
                        drawableTokens: settings.tokenizer?.lastTokenEnd)))
        }
    }

    private func activate(_ plan: Plan) {
        let places = plan.allPlaces
        for place in places { tell(place.worker, .activate(epoch: plan.epoch)) }
        scheduler = Scheduler(
            settings: Scheduler.Settings(
                chunk: settings.chunk, latency: settings.latency, stages: plan.layout.stages,
                stagesAtOnce: plan.stagesAtOnce(offer: assembly.offer(of:))), epoch: plan.epoch)
        lastProblem = nil
        sentAt = [:]
        restoring = [:]
        let (admitted, refused) = router.replan(self.places(of: plan))
        say("coordinator: plan \(plan.epoch): ready, room for \(router.capacity ?? 0) tokens of KV cache")
        for (sequence, shortage) in refused { fail(sequence, problem(shortage)) }
        begin(admitted)
    }

    /// How often a job may lose a worker that it runs on; one that ends them itself must not go on for ever.
    private static let mostLosses = 3

    /// The plan ends without another; what runs waits for the next one, with the tokens that it has.
    private func tearDown(_ problem: Problem) {
        say("coordinator: \(problem)")
        lastProblem = problem
        let running = (scheduler?.sequences ?? []) + restoring.keys.sorted()
        scheduler = nil
        restoring = [:]
        isTakingOver = false
        failLogits(problem)
        endMeasurement(
            .unavailable("the layout ended while its links were measured; measure again when glm status says ready"))
        _ = router.replan([], keepsRunning: true)
        for sequence in running {
            guard let id = table.job(of: sequence), let losses = update(id, { $0.lostWorker() }) else { continue }
            if losses >= Self.mostLosses {
                fail(
                    sequence,
                    Problem(problem.kind, "\(problem.message); the job ran for the \(losses). time when this happened"))
                _ = router.free(sequence)
            } else {
                say("coordinator: \(id) goes on when a plan is in force again")
            }
        }
    }
}
