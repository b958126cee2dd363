import Core
import GRDB
import Threads

/// The thread that writes the journal: takes what there is, commits it, tells those who wait.
struct Scribe: Sendable {
    let database: Database
    let served: String
    let log: @Sendable (String) -> Void

    /// Writes until the mailbox is closed and empty.
    func write(from inbox: Mailbox<JobEntry>, patience: Duration) {
        var entries: [JobEntry] = []
        var trouble: Problem?
        while true {
            // What could not be written is tried again, once a second.
            guard let first = inbox.take(timeout: trouble == nil ? nil : .seconds(1)) else {
                if inbox.isClosed, inbox.isEmpty {
                    if !entries.isEmpty { trouble = commit(&entries, trouble) }
                    return
                }
                trouble = commit(&entries, trouble)
                continue
            }
            var isUrgent = first.isUrgent
            entries.append(first)
            let end = ContinuousClock.now + patience
            while !isUrgent, !inbox.isClosed, let next = inbox.take(timeout: end - .now) {
                isUrgent = next.isUrgent
                entries.append(next)
            }
            while let next = inbox.poll() { entries.append(next) }
            trouble = commit(&entries, trouble)
        }
    }

    /// Commits `entries` together; those that must be tried again stay in it. Returns what went wrong.
    private func commit(_ entries: inout [JobEntry], _ earlier: Problem?) -> Problem? {
        guard !entries.isEmpty else { return earlier }
        do {
            try database.write { database in
                for entry in entries { try put(entry, database) }
            }
        } catch {
            let problem = error as? Problem ?? .failed("\(error)")
            if problem != earlier {
                log("journal: \(problem); what happens to jobs is not written down until that is mended")
            }
            // Who waits hears it: that job was not accepted, and nothing of it is kept.
            var lost: Set<JobID> = []
            for case .accepted(let job, let written) in entries {
                lost.insert(job.id)
                written?(Problem(.failed, "the job was not accepted: \(problem)"))
            }
            entries.removeAll { entry in
                switch entry {
                case .accepted: true
                case .happened(let id, _, _, _): lost.contains(id)
                case .forgotten: false
                }
            }
            return problem
        }
        if earlier != nil { log("journal: the disk can be written again") }
        for case .accepted(_, let written?) in entries { written(nil) }
        entries = []
        return nil
    }

    private func put(_ entry: JobEntry, _ database: GRDB.Database) throws {
        switch entry {
        case .accepted(let job, _):
            guard let number = JobStore.number(job.id) else { return }
            if number + JobStore.reserve / 2 >= (try JobStore.firstNumber(database)) {
                try JobStore.setAside(database, from: number)
            }
            let (header, prompt) = JobCodec.encode(job.request)
            try database.execute(
                sql: """
                    INSERT INTO jobs (number, served, accepted, owner, tag, answer_limit, request, prompt)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    number, served, job.accepted, job.request.owner, job.request.tag, job.limit, header.blob,
                    prompt.blob,
                ])
        case .happened(let id, let first, let events, let end):
            guard let number = JobStore.number(id) else { return }
            if !events.isEmpty {
                // A job whose acceptance could not be written is not there.
                try database.execute(
                    sql: """
                        INSERT OR REPLACE INTO events (job, first, events)
                        SELECT number, ?, ? FROM jobs WHERE number = ?
                        """, arguments: [first, JobCodec.encode(id, first: first, events).blob, number])
            }
            guard let end else { return }
            try database.execute(
                sql: "UPDATE jobs SET state = ?, ended = ?, ends_with_client = ?, prompt = NULL WHERE number = ?",
                arguments: [JobCodec.encode(end.state).blob, end.at, end.endsWithClient, number])
            try count(end, database)
        case .forgotten(let ids):
            for number in ids.compactMap({ JobStore.number($0) }) {
                try database.execute(sql: "DELETE FROM jobs WHERE number = ?", arguments: [number])
            }
        }
    }

    /// Adds a job to what its key has used, by day.
    private func count(_ end: JobEnd, _ database: GRDB.Database) throws {
        guard !end.state.owner.isEmpty else { return }
        try database.execute(
            sql: """
                INSERT INTO used VALUES (?, ?, 1, ?, ?) ON CONFLICT (key, day) DO UPDATE SET jobs = jobs + 1,
                prompt_tokens = prompt_tokens + excluded.prompt_tokens,
                completion_tokens = completion_tokens + excluded.completion_tokens
                """,
            arguments: [end.state.owner, Int(end.at) / 86_400, end.state.prefill.total, end.state.tokens.count])
    }
}
