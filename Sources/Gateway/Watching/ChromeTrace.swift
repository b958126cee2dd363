import Core
import Tokenization

/// Steps as a file of Chrome's trace viewer (also ui.perfetto.dev): a process a stage, a thread a rank.
///
/// All times are the coordinator's: a part ends when it heard of it. A worker says how long it waited for the stage before, which is at
/// its beginning, how long for other ranks, which is in many pieces between its computing, and how long it computed. So the waiting
/// for ranks is drawn in one piece, at the end.
enum ChromeTrace {
    /// The trace of these steps.
    static func json(_ steps: [StepRecord]) -> JSONValue {
        var events: [JSONValue] = [name("process", 0, 0, "coordinator")]
        var stages: Set<Int> = []
        var places: Set<[Int]> = []
        for step in steps {
            events += flight(step)
            for part in step.parts {
                if stages.insert(part.stage).inserted {
                    events.append(name("process", part.stage + 1, 0, "stage \(part.stage)"))
                }
                if places.insert([part.stage, part.rank]).inserted {
                    events.append(name("thread", part.stage + 1, part.rank, "rank \(part.rank): \(part.worker)"))
                }
                events += slices(part, of: step)
            }
        }
        return .record(["displayTimeUnit": .string("ms"), "traceEvents": .array(events)])
    }

    private static func name(_ what: String, _ process: Int, _ thread: Int, _ name: String) -> JSONValue {
        .record([
            "ph": .string("M"), "name": .string("\(what)_name"), "pid": .integer(process), "tid": .integer(thread),
            "args": .record(["name": .string(name)]),
        ])
    }

    /// A step from when it is sent until its results are there; several are on their way at once.
    private static func flight(_ step: StepRecord) -> [JSONValue] {
        guard let done = step.done else { return [] }
        return [("b", step.sent), ("e", done)].map { phase, time in
            .record([
                "ph": .string(phase), "cat": .string("step"), "id": .string("\(step.epoch).\(step.number)"),
                "name": .string("step \(step.number)"), "pid": .integer(0), "tid": .integer(0),
                "ts": .real(time.microseconds), "args": phase == "b" ? arguments(step) : nil,
            ])
        }
    }

    private static func slices(_ part: StepRecord.Part, of step: StepRecord) -> [JSONValue] {
        var start = part.end - part.inputWait - part.compute - part.rankWait
        var slices: [JSONValue] = []
        for (name, duration) in [
            ("wait for stage \(part.stage - 1)", part.inputWait), ("step \(step.number)", part.compute),
            ("wait for ranks", part.rankWait),
        ] where duration > .zero {
            slices.append(
                .record([
                    "ph": .string("X"), "name": .string(name), "pid": .integer(part.stage + 1),
                    "tid": .integer(part.rank), "ts": .real(start.microseconds), "dur": .real(duration.microseconds),
                    "args": arguments(step),
                ]))
            start += duration
        }
        return slices
    }

    private static func arguments(_ step: StepRecord) -> JSONValue {
        .record([
            "step": .integer(Int(clamping: step.number)), "epoch": .integer(Int(step.epoch)),
            "prompt_tokens": .integer(step.promptTokens), "decodes": .integer(step.decodes),
        ])
    }
}

extension Duration {
    /// Microseconds.
    fileprivate var microseconds: Double { self / .microseconds(1) }
}
