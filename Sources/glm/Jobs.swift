import ArgumentParser
import Core
import Tokenization

/// `glm jobs`: what the cluster works on and has done.
struct Jobs: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobs", abstract: "List, show, wait for and cancel jobs.",
        subcommands: [List.self, Show.self, Wait.self, Watch.self, Cancel.self], defaultSubcommand: List.self)

    /// `glm jobs list`.
    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List the jobs, the newest first.")

        @Flag(help: "Print JSON.")
        var json = false

        @OptionGroup var gateway: GatewayOptions

        func run() async throws {
            let client = try gateway.client()
            let answer = try await client.json(.GET, "/v1/jobs")
            guard let jobs = answer["data"]?.elements else { throw client.notOurs }
            Terminal.write(json ? JSONValue.array(jobs).text() + "\n" : Jobs.table(jobs))
        }
    }

    /// `glm jobs watch`.
    struct Watch: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show the jobs that wait or run, as they go on, until Ctrl-C.")

        @Flag(help: "Print a line of JSON for every change.")
        var json = false

        @OptionGroup var gateway: GatewayOptions

        func run() async throws {
            let client = try gateway.client()
            let json = json
            try await Interrupt.cancelling {
                var last = ""
                while !Task.isCancelled {
                    guard let jobs = try await client.json(.GET, "/v1/jobs")["data"]?.elements else {
                        throw client.notOurs
                    }
                    let open = jobs.filter { ["queued", "prefill", "decode"].contains($0["status"]?.string ?? "") }
                    let page =
                        json
                        ? JSONValue.array(open).text() + "\n"
                        : open.isEmpty ? "no job waits or runs\n" : Jobs.table(open)
                    if page != last {
                        // A terminal is drawn over; a file gets every change.
                        Terminal.write((Terminal.showsOutput && !json ? "\u{1B}[H\u{1B}[2J" : "") + page)
                        last = page
                    }
                    do { try await Task.sleep(for: .seconds(1)) } catch { return }
                }
            }
        }
    }

    /// The jobs as a table.
    private static func table(_ jobs: [JSONValue]) -> String {
        let rows = jobs.map { job in
            [
                job["id"]?.string ?? "?", job["status"]?.string ?? "?",
                "\(job["prefilled_tokens"]?.integer ?? 0)/\(job["prompt_tokens"]?.integer ?? 0)",
                "\(job["completion_tokens"]?.integer ?? 0)", Jobs.place(job) ?? Jobs.summary(job),
            ]
        }
        return rows.isEmpty
            ? "no jobs\n" : Terminal.table(["JOB", "STATUS", "PROMPT", "ANSWER", "TEXT"], rows, right: [2, 3])
    }

    /// Where a job that waits stands, and when it starts.
    private static func place(_ job: JSONValue) -> String? {
        guard let position = job["queue_position"]?.integer else { return nil }
        let start = job["expected_start_seconds"]?.double.map { ", starts in about \(Terminal.time($0))" } ?? ""
        return "number \(position) of those that wait\(start)"
    }

    /// `glm jobs show`.
    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Show one job with its answer so far.")

        @Argument(help: "The job's name.")
        var id: String

        @Flag(help: "Print JSON.")
        var json = false

        @OptionGroup var gateway: GatewayOptions

        func run() async throws {
            let job = try await gateway.client().json(.GET, "/v1/jobs/\(try Jobs.checked(id))")
            guard !json else { return Terminal.write(job.text() + "\n") }
            var rows = [
                ["job", job["id"]?.string ?? id], ["status", job["status"]?.string ?? "?"],
                [
                    "prompt",
                    "\(job["prefilled_tokens"]?.integer ?? 0) of \(job["prompt_tokens"]?.integer ?? 0) tokens read, \(job["cached_tokens"]?.integer ?? 0) of them found in the cache",
                ],
                ["answer", "\(job["completion_tokens"]?.integer ?? 0) tokens"],
            ]
            if let priority = job["priority"]?.integer, priority != 0 { rows.append(["priority", "\(priority)"]) }
            if let place = Jobs.place(job) { rows.append(["queue", place]) }
            if let finish = job["finish_reason"]?.string { rows.append(["finish", finish]) }
            if let problem = job["error"]?["message"]?.string { rows.append(["problem", problem]) }
            for (name, key) in [("queued", "queued_ms"), ("prefill", "prefill_ms"), ("decode", "decode_ms")] {
                guard let milliseconds = job["timings"]?[key]?.double, milliseconds > 0 else { continue }
                rows.append([name, "\(Terminal.fixed(milliseconds / 1e3, places: 2)) s"])
            }
            Terminal.write(Terminal.table(rows[0], Array(rows.dropFirst())))
            if let text = job["text"]?.string, !text.isEmpty {
                Terminal.write("\n" + text + (text.hasSuffix("\n") ? "" : "\n"))
            }
        }
    }

    /// `glm jobs wait`.
    struct Wait: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Wait for a job and print its answer, from its beginning.",
            discussion: "Ctrl-C stops the waiting, not the job.")

        @Argument(help: "The job's name.")
        var id: String

        @Flag(help: "Print one JSON object at the end.")
        var json = false

        @OptionGroup var gateway: GatewayOptions

        func run() async throws {
            var follower = JobFollower(
                client: try gateway.client(), job: try Jobs.checked(id), writesText: !json, isChat: true)
            let answer = try await follower.follow()
            if json { Terminal.write(answer.text() + "\n") }
        }
    }

    /// `glm jobs cancel`.
    struct Cancel: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "End a job.")

        @Argument(help: "The job's name.")
        var id: String

        @Flag(help: "Print JSON.")
        var json = false

        @OptionGroup var gateway: GatewayOptions

        func run() async throws {
            let job = try await gateway.client().json(.DELETE, "/v1/jobs/\(try Jobs.checked(id))")
            Terminal.write(json ? job.text() + "\n" : "\(id): \(job["status"]?.string ?? "cancelled")\n")
        }
    }

    /// A job's name that fits into a path.
    private static func checked(_ id: String) throws -> String {
        let allowed = id.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
        }
        guard allowed, !id.isEmpty else {
            throw Problem.invalid("'\(id)' is no job's name; see `glm jobs` for the jobs there are")
        }
        return id
    }

    /// The end of a job in a few words: its problem, or how its text begins.
    private static func summary(_ job: JSONValue) -> String {
        let text = job["error"]?["message"]?.string ?? job["text"]?.string ?? ""
        let line = text.split(whereSeparator: \.isNewline).first.map(String.init) ?? ""
        return line.count > 48 ? line.prefix(47) + "…" : line
    }
}
