import ArgumentParser
import Core
import Tokenization

/// `glm top`: the cluster at work, live.
struct Top: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "top", abstract: "Watch the cluster at work: workers, tokens a second, KV cache, jobs.",
        discussion: "q or Ctrl-C ends it. Where standard output is no terminal one page is printed.")

    @Option(help: "Seconds between two looks.")
    var interval = 1.0

    @Flag(help: "Print one page and leave.")
    var once = false

    @Flag(help: "Print one JSON object, the status with the rates of one interval, and leave.")
    var json = false

    @OptionGroup var gateway: GatewayOptions

    func run() async throws {
        guard (0.1...3600).contains(interval) else {
            throw Problem.invalid("--interval \(interval): use 0.1 to 3600 seconds")
        }
        let client = try gateway.client()
        guard !once, !json, Terminal.showsOutput, Terminal.asksInput else { return try await page(client) }
        let seconds = interval
        let screen = try Screen()
        defer { screen.close() }
        do {
            try await Interrupt.cancelling { try await Self.watch(client, every: seconds, on: screen) }
        } catch is CancellationError {
            return
        }
    }

    /// One page, or one object: two looks, an interval apart.
    private func page(_ client: GatewayClient) async throws {
        var look = try await Look(client, withJobs: !json)
        let first = look
        try await Task.sleep(for: .seconds(interval))
        look = try await Look(client, withJobs: !json)
        let rates = look.rates(since: first)
        guard json else {
            var view = TopView(width: 200, height: .max, hasStyle: false)
            view.add(rates)
            return Terminal.write(view.page(look.status, jobs: look.jobs).joined(separator: "\n") + "\n")
        }
        var members = look.status.members ?? []
        members.append(.init("rates", rates.json))
        Terminal.write(JSONValue.object(members).text() + "\n")
    }

    private static func watch(_ client: GatewayClient, every interval: Double, on screen: Screen) async throws {
        var view = TopView(width: 80, height: 24, hasStyle: screen.hasStyle)
        var last: Look?
        while true {
            (view.width, view.height) = screen.size
            do {
                let look = try await Look(client, withJobs: true)
                if let last { view.add(look.rates(since: last)) }
                last = look
                screen.show(view.page(look.status, jobs: look.jobs))
            } catch let problem as Problem {
                // The last page stays: the gateway may come back.
                let page = last.map { view.page($0.status, jobs: $0.jobs) } ?? []
                screen.show(["\(problem.message); trying again"] + page.dropLast())
            }
            let next = ContinuousClock.now + .seconds(interval)
            while ContinuousClock.now < next {
                if screen.wantsToLeave { return }
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }

    /// The cluster at one moment.
    private struct Look {
        let status: JSONValue
        let jobs: [JSONValue]
        let time = ContinuousClock.now

        init(_ client: GatewayClient, withJobs: Bool) async throws {
            status = try await client.json(.GET, "/v1/status")
            jobs = withJobs ? try await client.json(.GET, "/v1/jobs?limit=40")["data"]?.elements ?? [] : []
        }

        func rates(since earlier: Look) -> Rates {
            Rates(from: earlier.status, to: status, seconds: (time - earlier.time) / .seconds(1))
        }
    }
}
