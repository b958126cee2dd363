import Core

/// What is written down about a job: one line when it is accepted, one when it ends, with the request that it answers.
extension Coordinator {
    func record(_ what: String, of job: Job) {
        let state = job.state
        var facts: [(String, String)] = [("job", job.id.name), ("sequence", "\(job.sequence.number)")]
        if !job.request.requestID.isEmpty { facts.append(("request_id", job.request.requestID)) }
        facts.append(("prompt_tokens", "\(state.prefill.total)"))
        if let finish = state.finish {
            facts += [
                ("finish_reason", finish.rawValue), ("cached_tokens", "\(state.prefill.cached)"),
                ("completion_tokens", "\(state.tokens.count)"),
                ("queued_ms", "\(state.timings.queued.wholeMilliseconds)"),
                ("prefill_ms", "\(state.timings.prefill.wholeMilliseconds)"),
                ("decode_ms", "\(state.timings.decode.wholeMilliseconds)"),
            ]
        }
        if let problem = state.problem { facts.append(("problem", problem.message)) }
        settings.record(what, facts)
    }
}

extension Duration {
    /// Milliseconds, rounded down.
    var wholeMilliseconds: Int64 {
        components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
    }
}
