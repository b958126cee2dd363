public import Core

/// Everything that coordinator, workers and gateways say to each other, except tensors between workers.
///
/// A message is frames: the first is protobuf (`proto/wire.proto`), those after it are the raw bytes of prompts,
/// logits, weights and files. `encode` makes the frames, `decode` trusts nothing in them. Answers carry the number of
/// the request they answer; who asks chooses it.
public enum Message: Sendable, Equatable {
    // Worker to coordinator.

    /// A worker is there: the first message of every connection.
    case workerHello(WorkerHello)
    /// Its slice is loaded.
    case ready(Ready)
    /// So much of its slice is loaded, 0...1.
    case loading(epoch: UInt32, fraction: Double)
    /// It can not do its part in this epoch.
    case failed(epoch: UInt32, Problem)
    /// A step is done; only the last stage's rank 0 has results.
    case stepDone(StepDone)
    /// It lives.
    case workerHeartbeat(WorkerHeartbeat)
    /// It wants rows of a tensor; `piece` answers.
    case fetch(request: UInt64, Fetch)
    /// It leaves in good order.
    case goodbye
    /// Of the pages that a sequence was to get back from disk, so many are there.
    case restored(epoch: UInt32, SequenceID, pages: Int)
    /// Pages are on its disk now, and others are not any more.
    case stored(epoch: UInt32, keys: [PageKey], gone: [PageKey])
    /// What `probe` of this number found, from the worker that began.
    case probed(epoch: UInt32, number: UInt64, LinkSpeed)

    // Coordinator to worker.

    /// The answer to `workerHello`.
    case welcome(Welcome)
    /// The answer to a hello that is not accepted; the sender says why and ends.
    case refused(Problem)
    /// What the worker is to load.
    case assign(Assignment)
    /// Everybody is ready: steps of this epoch follow.
    case activate(epoch: UInt32)
    /// One forward pass.
    case step(Step)
    /// The link to another worker is to be measured.
    case probe(Probe)
    /// The answer to `fetch`.
    case piece(request: UInt64, Result<Piece, Problem>)
    /// The coordinator lives.
    case heartbeat
    /// The worker is to end.
    case shutdown

    // Gateway to coordinator.

    /// A gateway is there: the first message of every connection.
    case gatewayHello(name: String)
    /// Asks for `modelIs`.
    case model(request: UInt64)
    /// Asks for a job: `accepted`, then its events, or `problem`.
    case submit(request: UInt64, JobRequest)
    /// Asks for a job's events from its beginning: `accepted`, `event`s with this request's number, then `eventsEnd`, or
    /// `problem`.
    case events(request: UInt64, JobID)
    /// Asks for `done` or `problem`.
    case cancel(request: UInt64, JobID)
    /// Asks for `jobList`.
    case jobs(request: UInt64)
    /// Asks for `jobIs` or `problem`.
    case job(request: UInt64, JobID)
    /// Asks for `statusIs`.
    case status(request: UInt64)
    /// Asks for `stepsAre`.
    case steps(request: UInt64)
    /// Asks to measure the links between workers: `linksAre`, after a while, or `problem`.
    case links(request: UInt64)
    /// Asks for another layout, nil to have one chosen: `done` or `problem`.
    case scale(request: UInt64, Layout?)
    /// Asks to take a worker out of the layout: `done` or `problem`.
    case drain(request: UInt64, WorkerID)
    /// Asks for `keysAre`.
    case keys(request: UInt64)
    /// Asks to keep a record: `done` or `problem`.
    case keep(request: UInt64, Record)
    /// Asks for one record: `recordsAre` with it or with none.
    case record(request: UInt64, Record.Name, withData: Bool)
    /// Asks for the records of a kind whose ids begin with the name's id, without their data: `recordsAre`.
    case records(request: UInt64, Record.Name)
    /// Asks to delete a record: `done` or `problem`.
    case forget(request: UInt64, Record.Name)

    // Coordinator to gateway.

    /// The model that is served.
    case modelIs(request: UInt64, ModelCard)
    /// The job is written down; its events follow under the same request number. One that is kept goes on when the coordinator is
    /// started again.
    case accepted(request: UInt64, JobID, isKept: Bool)
    /// The request failed.
    case problem(request: UInt64, Problem)
    /// The job's event `number`, counted from 0 without the progress of its prompt, which has the number of what follows.
    case event(request: UInt64, JobID, number: UInt64, JobEvent)
    /// No more events of this request.
    case eventsEnd(request: UInt64, JobID)
    /// The request is done.
    case done(request: UInt64)
    /// The jobs, newest first.
    case jobList(request: UInt64, [JobState])
    /// The job.
    case jobIs(request: UInt64, JobState)
    /// The cluster.
    case statusIs(request: UInt64, ClusterStatus)
    /// The API keys.
    case keysAre(request: UInt64, [APIKey])
    /// The records that were asked for.
    case recordsAre(request: UInt64, [Record])
    /// The last steps, oldest first.
    case stepsAre(request: UInt64, [StepRecord])
    /// What the links between workers can do.
    case linksAre(request: UInt64, [LinkRate])
}

extension Message {
    /// The frames of the message: the header, then raw bytes.
    public func encode() -> [[UInt8]] {
        var encoder = Encoder()
        return encoder.frames(of: self)
    }

    /// Bytes of a name, an address or a digest, at most.
    static let mostNameBytes = 1024

    /// Whether a text may be a name in a message: one line, not long. A message with another is refused whole, and nobody answers it.
    public static func canName(_ text: String) -> Bool {
        text.utf8.count <= mostNameBytes && !text.utf8.contains { $0 < 32 || $0 == 127 }
    }

    /// The message in `frames`, or a problem that says what is wrong with them.
    public static func decode(_ frames: [[UInt8]]) throws -> Message {
        try Decoder.message(in: frames)
    }
}
