import CLinux
import CZeroMQ
public import Core
import Glibc
import Synchronization
import Threads

/// Another worker's data link, as this one reaches it.
public struct DataPeer: Sendable, Hashable {
    /// Where it listens.
    public var endpoint: String
    /// Its CURVE public key (Z85), or empty for the cluster's.
    public var publicKey: String

    /// A peer.
    public init(endpoint: String, publicKey: String = "") {
        self.endpoint = endpoint
        self.publicKey = publicKey
    }
}

/// What a data link has done since it was made.
public struct DataCounters: Sendable, Hashable {
    /// Messages and bytes sent; its tokens are not the link's to count.
    public var traffic = Traffic()
    /// Messages of older epochs that were dropped.
    public var staleReceived: UInt64 = 0
    /// Messages that made no sense and were dropped.
    public var malformedReceived: UInt64 = 0
}

/// Tensors between workers: one PULL socket that listens, one PUSH socket a peer, made when first used. Between workers of one host tensors
/// take a ring in shared memory instead, from when the receiver has found it: a decode step has two exchanges a layer, and each would
/// wake two threads of libzmq.
///
/// It belongs to the engine's thread and blocks it, since the exchange is part of the step. Only `interrupt`,
/// `counters` and `endpoint` may be used from elsewhere. Messages may come early or late: early ones are kept, those of an
/// older epoch are dropped, so a receiver names exactly what it waits for and gets that.
public final class DataLink: @unchecked Sendable {  // sockets, stash and peers: engine thread; the rest is locked
    /// The address that peers send to.
    public let endpoint: String
    let pull: Socket
    let door = clinux_eventfd()
    private let context: Context
    private let highWater: Int
    private let privateFolder: String?
    private let interruption = Mutex<Interruption?>(nil)
    private let isInterrupted = Atomic(false)
    let totals = Mutex(DataCounters())
    private(set) var epoch: UInt32 = 0
    private var peers: [Outlet] = []
    var inlets: [RingInlet] = []
    private let usesRings: Bool
    private var stash: [DataKey: DataMessage] = [:]

    /// Early messages that are kept; a peer that is further ahead than that is broken.
    private static let mostStashed = 4096

    private struct Interruption {
        var problem: Problem
        var epoch: UInt32
    }

    /// Bytes of one part, at most.
    static let mostFrameBytes = 1 << 30

    /// The PUSH socket to one peer, and the ring when it is on the same host.
    final class Outlet {
        let peer: DataPeer
        let socket: Socket
        var isConnected = false
        var ring: Ring?

        init(peer: DataPeer, socket: consuming Socket) {
            self.peer = peer
            self.socket = socket
        }
    }

    /// Listens on `endpoint`: `tcp://HOST:0`, `ipc://PATH`, or `ipc://*` for a path in a new private folder.
    ///
    /// - Parameters:
    ///   - highWater: How many messages may wait each way before a sender waits too.
    ///   - usesRings: Whether tensors for workers of this host take shared memory.
    public init(
        context: Context, endpoint: String, insecure: Bool = false, highWater: Int = 64, usesRings: Bool = true
    ) throws {
        try Endpoint.checkBind(endpoint, security: context.security, insecure: insecure)
        let folder = endpoint == "ipc://*" ? try Endpoint.makePrivateFolder() : nil
        privateFolder = folder
        self.context = context
        self.highWater = highWater
        self.usesRings = usesRings
        pull = try Socket(context, .pull, highWater: highWater, mostFrameBytes: Self.mostFrameBytes)
        self.endpoint = try pull.bind(folder.map { "ipc://\($0)/data" } ?? endpoint)
    }

    deinit {
        if door >= 0 { close(door) }
        if let privateFolder {
            unlink("\(privateFolder)/data")
            rmdir(privateFolder)
        }
    }

    /// What the link has done so far; from any thread.
    public var counters: DataCounters { totals.withLock { $0 } }

    /// Begins a plan: messages and interruptions of older ones are forgotten, `send(to:)` counts these peers from 0.
    public func begin(epoch: UInt32, peers: [DataPeer]) throws {
        self.epoch = epoch
        inlets.removeAll { $0.epoch < epoch }
        let old = stash.filter { $0.key.epoch < epoch }
        for key in old.keys { stash[key] = nil }
        totals.withLock { $0.staleReceived += UInt64(old.count) }
        // New sockets even for old peers: what still waits in the old ones must not reach anybody.
        self.peers = try peers.map { Outlet(peer: $0, socket: try Socket(context, .push, highWater: highWater)) }
        interruption.withLock { interruption in
            if let at = interruption?.epoch, at < epoch || at == .max { interruption = nil }
            isInterrupted.store(interruption != nil, ordering: .releasing)
        }
    }

    /// Makes `send` and `receive` throw `problem`, now and until `begin`; from any thread.
    ///
    /// With an `epoch` it only ends that plan: it does nothing when a newer one has begun.
    public func interrupt(_ problem: Problem, epoch: UInt32? = nil) {
        interruption.withLock { interruption in
            interruption = Interruption(problem: problem, epoch: epoch ?? .max)
            isInterrupted.store(true, ordering: .releasing)
        }
        var one: UInt64 = 1
        _ = Glibc.write(door, &one, 8)
    }

    /// Sends `parts` to peer `index`; waits while the peer has no room or is not connected, until an interruption or
    /// `timeout`. The bytes are copied: the caller may change them afterwards.
    ///
    /// - Parameter waits: Whether it may wait until a peer of this host has read the message, which computes meanwhile: if not, what shared
    ///   memory has no room for goes through the socket.
    public func send(
        to index: Int, _ header: DataHeader, _ parts: [UnsafeRawBufferPointer], waits: Bool = true,
        timeout: Duration? = nil
    ) throws {
        precondition(header.parts <= DataHeader.mostParts && parts.count == header.parts)
        precondition(parts.allSatisfy { $0.count == header.elements * 4 })
        guard peers.indices.contains(index) else {
            throw Problem.failed("data link: there is no peer \(index) in this plan")
        }
        let outlet = peers[index]
        if !outlet.isConnected {
            try outlet.socket.connect(
                outlet.peer.endpoint, serverKey: outlet.peer.publicKey.isEmpty ? nil : outlet.peer.publicKey)
            outlet.isConnected = true
            if usesRings, Endpoint.isSameHost(outlet.peer.endpoint, endpoint) { outlet.ring = Ring() }
            if let name = outlet.ring?.name { try push(outlet, .ring(name, epoch: epoch), [], until: nil) }
        }
        let end = timeout.map { ContinuousClock.now + $0 }
        let bytes = parts.reduce(DataHeader.byteCount) { $0 + $1.count }
        if let ring = outlet.ring, ring.isAttached, waits || ring.room >= bytes {
            try write(header, parts, to: ring, of: outlet, until: end)
        } else {
            try push(outlet, header, parts, until: end)
        }
        let sent = Traffic.Sent(messages: 1, bytes: UInt64(bytes))
        totals.withLock {
            switch header.kind {
            case .hidden: $0.traffic.hidden = $0.traffic.hidden + sent
            case .roots: $0.traffic.sums = $0.traffic.sums + sent
            case .attention: $0.traffic.attention = $0.traffic.attention + sent
            case .logits: $0.traffic.draws = $0.traffic.draws + sent
            case .ring, .wake, .probe: break
            }
        }
    }

    /// What messages to peer `index` take now; what was sent first has told it.
    public func way(to index: Int) -> LinkWay {
        peers.indices.contains(index) && peers[index].ring?.isAttached == true ? .ring : .socket
    }

    /// Sends a message through the socket.
    private func push(
        _ outlet: Outlet, _ header: DataHeader, _ parts: [UnsafeRawBufferPointer], until end: ContinuousClock.Instant?
    ) throws {
        while !attempt(outlet.socket.raw, header, parts) {
            try checkInterruption()
            guard wait(until: end, toSendOn: outlet.socket.raw) else {
                throw Problem.unavailable("data link: \(outlet.peer.endpoint) took no message in time")
            }
            // The peer may wait for room on our side before it makes some on its own.
            while let message = next() { keep(message) }
        }
    }

    /// Writes a message to a ring, and waits while it is full. What is left in the middle of a message is of no more use.
    private func write(
        _ header: DataHeader, _ parts: [UnsafeRawBufferPointer], to ring: Ring, of outlet: Outlet,
        until end: ContinuousClock.Instant?
    ) throws {
        var isWhole = false
        defer { if !isWhole { outlet.ring = nil } }
        func put(_ bytes: UnsafeRawBufferPointer) throws {
            var done = 0
            while done < bytes.count {
                let count = ring.write(UnsafeRawBufferPointer(rebasing: bytes[done...]))
                done += count
                if ring.takeSleeper() { _ = attempt(outlet.socket.raw, .wake(epoch: epoch), []) }
                guard count == 0 else { continue }
                try checkInterruption()
                guard !ring.isBroken, end.map({ $0 > .now }) ?? true else {
                    throw Problem.unavailable("data link: \(outlet.peer.endpoint) took no message in time")
                }
                if let message = next() { keep(message) } else { sched_yield() }
            }
        }
        try withUnsafeTemporaryAllocation(byteCount: DataHeader.byteCount, alignment: 8) { bytes in
            header.encode(into: bytes)
            try put(UnsafeRawBufferPointer(bytes))
        }
        for part in parts { try put(part) }
        isWhole = true
    }

    /// The message that `key` names; waits for it until an interruption or `timeout`.
    public func receive(_ key: DataKey, timeout: Duration? = nil) throws -> DataMessage {
        if let message = stash.removeValue(forKey: key) { return message }
        let end = timeout.map { ContinuousClock.now + $0 }
        while true {
            while let message = next() {
                if message.header.key == key { return message }
                keep(message)
            }
            try checkInterruption()
            if spin() { continue }
            guard wait(until: end, toSendOn: nil) else {
                throw Problem.unavailable(
                    "data link: nothing came in time from stage \(key.stage) rank \(key.rank) for step \(key.step)")
            }
        }
    }

    private func checkInterruption() throws {
        guard isInterrupted.load(ordering: .acquiring) else { return }
        if let problem = interruption.withLock({ $0.flatMap { $0.epoch >= epoch ? $0.problem : nil } }) {
            throw problem
        }
    }

    private func keep(_ message: DataMessage) {
        guard message.header.epoch >= epoch else {
            totals.withLock { $0.staleReceived += 1 }
            return
        }
        guard stash.count < Self.mostStashed else {
            totals.withLock { $0.malformedReceived += 1 }
            return
        }
        stash[message.header.key] = message
    }
}
