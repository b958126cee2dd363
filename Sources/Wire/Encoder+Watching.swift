import CWire
import Core

/// What is told to those who watch a cluster: its totals and its last steps.
extension Encoder {
    mutating func totals(_ totals: ClusterTotals) -> UnsafeMutablePointer<Wire__Totals> {
        func ended(_ reason: FinishReason) -> UInt64 { UInt64(clamping: totals.ended[reason] ?? 0) }
        let made = arena.new(wire__totals__init)
        made.pointee.prompt_tokens = UInt64(clamping: totals.promptTokens)
        made.pointee.cached_tokens = UInt64(clamping: totals.cachedTokens)
        made.pointee.looked_up_tokens = UInt64(clamping: totals.lookedUpTokens)
        made.pointee.generated_tokens = UInt64(clamping: totals.generatedTokens)
        made.pointee.accepted = UInt64(clamping: totals.accepted)
        made.pointee.stopped = ended(.stop)
        made.pointee.at_length = ended(.length)
        made.pointee.cancelled = ended(.cancelled)
        made.pointee.failed = ended(.error)
        return made
    }

    mutating func stepRecords(_ records: [StepRecord]) -> UnsafeMutablePointer<Wire__StepRecords> {
        let made = arena.new(wire__step_records__init)
        made.pointee.n_steps = records.count
        made.pointee.steps = arena.place(records.map { stepRecord($0) })
        return made
    }

    private mutating func stepRecord(_ record: StepRecord) -> UnsafeMutablePointer<Wire__StepRecord>? {
        let made = arena.new(wire__step_record__init)
        made.pointee.epoch = record.epoch
        made.pointee.number = record.number
        made.pointee.sent_microseconds = microseconds(record.sent)
        made.pointee.is_done = record.done == nil ? 0 : 1
        made.pointee.done_microseconds = record.done.map { microseconds($0) } ?? 0
        made.pointee.prompt_tokens = UInt64(clamping: record.promptTokens)
        made.pointee.decodes = UInt64(clamping: record.decodes)
        made.pointee.n_parts = record.parts.count
        made.pointee.parts = arena.place(record.parts.map { stepPart($0) })
        return made
    }

    private mutating func stepPart(_ part: StepRecord.Part) -> UnsafeMutablePointer<Wire__StepPart>? {
        let made = arena.new(wire__step_part__init)
        made.pointee.worker = arena.place(text: part.worker.name)
        made.pointee.stage = UInt32(clamping: part.stage)
        made.pointee.rank = UInt32(clamping: part.rank)
        made.pointee.end_microseconds = microseconds(part.end)
        made.pointee.input_wait_microseconds = microseconds(part.inputWait)
        made.pointee.rank_wait_microseconds = microseconds(part.rankWait)
        made.pointee.compute_microseconds = microseconds(part.compute)
        return made
    }
}
