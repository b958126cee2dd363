import CWire
import Core

/// What is told to those who watch a cluster: its totals and its last steps.
extension Decoder {
    func totals(_ totals: Wire__Totals) throws -> ClusterTotals {
        var ended: [FinishReason: Int] = [:]
        for (reason, number) in [
            (FinishReason.stop, totals.stopped), (.length, totals.at_length), (.cancelled, totals.cancelled),
            (.error, totals.failed),
        ] where number > 0 { ended[reason] = try count(number) }
        return ClusterTotals(
            promptTokens: try count(totals.prompt_tokens), cachedTokens: try count(totals.cached_tokens),
            lookedUpTokens: try count(totals.looked_up_tokens), generatedTokens: try count(totals.generated_tokens),
            accepted: try count(totals.accepted), ended: ended)
    }

    func stepRecords(_ records: Wire__StepRecords) throws -> [StepRecord] {
        var steps: [StepRecord] = []
        for i in 0..<records.n_steps { steps.append(try stepRecord(the(records.steps[i]))) }
        return steps
    }

    private func stepRecord(_ record: Wire__StepRecord) throws -> StepRecord {
        var parts: [StepRecord.Part] = []
        for i in 0..<(try count(UInt64(record.n_parts), most: Self.mostMembers)) {
            let part = try the(record.parts[i])
            parts.append(
                StepRecord.Part(
                    worker: WorkerID(try name(part.worker)), stage: try small(part.stage), rank: try small(part.rank),
                    end: try duration(part.end_microseconds), inputWait: try duration(part.input_wait_microseconds),
                    rankWait: try duration(part.rank_wait_microseconds),
                    compute: try duration(part.compute_microseconds)))
        }
        return StepRecord(
            epoch: record.epoch, number: record.number, sent: try duration(record.sent_microseconds),
            done: record.is_done != 0 ? try duration(record.done_microseconds) : nil,
            promptTokens: try count(record.prompt_tokens), decodes: try count(record.decodes), parts: parts)
    }
}
