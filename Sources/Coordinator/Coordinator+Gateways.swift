import Core
import Wire

/// What gateways ask over the wire.
extension Coordinator {
    func hearGateway(_ contact: Contact, _ message: Message) {
        switch message {
        case .gatewayHello(let name): say("coordinator: gateway \(name.prefix(100)) is here")
        case .model(let request): answer(contact, request) { .modelIs(request: request, try model()) }
        case .submit(let request, let wanted):
            answer(contact, request) {
                let id = try accept(wanted)
                if wanted.endsWithClient, table[id]?.isOver == false { owners[id] = contact }
                try accepted(id, .gateway(contact, request: request))
                return nil
            }
        case .events(let request, let id):
            answer(contact, request) {
                try claim(id, for: contact)
                try accepted(id, .gateway(contact, request: request))
                return nil
            }
        case .cancel(let request, let id):
            answer(contact, request) {
                try cancel(id)
                return .done(request: request)
            }
        case .jobs(let request): send(contact, .jobList(request: request, jobs()))
        case .job(let request, let id): answer(contact, request) { .jobIs(request: request, try job(id)) }
        case .scale(let request, let layout):
            answer(contact, request) {
                try scale(to: layout)
                return .done(request: request)
            }
        case .drain(let request, let worker):
            answer(contact, request) {
                try drain(worker)
                return .done(request: request)
            }
        case .links(let request):
            Task {
                do {
                    send(contact, .linksAre(request: request, try await measureLinks()))
                } catch {
                    send(contact, .problem(request: request, error as? Problem ?? .failed("\(error)")))
                }
            }
        case .steps(let request): send(contact, .stepsAre(request: request, steps()))
        case .status(let request): send(contact, .statusIs(request: request, status()))
        case .keys, .keep, .record, .records, .forget: hearStore(contact, message)
        default: break
        }
    }

    private func answer(_ contact: Contact, _ request: UInt64, _ body: () throws -> Message?) {
        do {
            if let message = try body() { send(contact, message) }
        } catch {
            send(contact, .problem(request: request, error as? Problem ?? .failed("\(error)")))
        }
    }

    /// A gateway is gone: nobody hears it any more, and the jobs that end with it are cancelled.
    func gatewayLost(_ contact: Contact) {
        for (id, all) in listeners {
            listeners[id] = all.filter {
                if case .gateway(contact, _) = $0 { false } else { true }
            }
        }
        for id in owners.filter({ $0.value == contact }).keys.sorted(by: { $0.name < $1.name }) {
            say("coordinator: \(id) is cancelled, its gateway is gone")
            try? cancel(id)
        }
    }
}
