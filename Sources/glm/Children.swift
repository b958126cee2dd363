import CLinux
import Coordinator
import Core
import Glibc
import Synchronization
import Threads
import Transport

/// A process of this program that another one started: watched, stopped and reaped by it.
///
/// It has a process group of its own, so that Ctrl-C reaches only who started it, and that one ends the rest in order.
/// What it says goes to a file; its last line tells why it ended.
final class Child: Sendable {
    /// What it is, for people.
    let name: String
    /// Its process.
    let id: pid_t
    /// When it was started.
    let started = ContinuousClock.now
    private let log: String
    private let status = Mutex<Int32?>(nil)

    /// Starts this program with `arguments`; output goes to a file in `folder`.
    init(_ name: String, _ arguments: [String], folder: String) throws {
        self.name = name
        log = "\(folder)/\(name).log"
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO)
        // A connection that a child has too would stay open when this process closes it.
        clinux_close_from(&actions, STDERR_FILENO + 1)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // Signals that this process ignores or handles must mean the usual thing to the child.
        var signals = sigset_t()
        sigemptyset(&signals)
        for signal in [SIGINT, SIGTERM, SIGPIPE] { sigaddset(&signals, signal) }
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF))
        let words = (["glm"] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var id: pid_t = 0
        let code = posix_spawn(&id, "/proc/self/exe", &actions, &attributes, words, environ)
        guard code == 0 else { throw Problem.failed("cannot start \(name): \(String(cString: strerror(code)))") }
        self.id = id
    }

    /// Whether it has not ended.
    var isRunning: Bool {
        status.withLock { status in
            if status != nil { return false }
            var raw: Int32 = 0
            guard waitpid(id, &raw, WNOHANG) == id else { return true }
            status = raw
            return false
        }
    }

    /// The last line that it said.
    var lastWords: String {
        let file = open(log, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return "" }
        defer { close(file) }
        let size = lseek(file, 0, SEEK_END)
        lseek(file, max(0, size - 4096), SEEK_SET)
        let bytes = [UInt8](unsafeUninitializedCapacity: 4096) { buffer, count in
            count = max(0, read(file, buffer.baseAddress, buffer.count))
        }
        let line = String(decoding: bytes, as: UTF8.self).split(separator: "\n").last ?? "it said nothing"
        return line.hasPrefix("error: ") ? String(line.dropFirst("error: ".count)) : String(line)
    }

    /// Why it ended.
    var end: Problem {
        // One that was killed, or ended because somebody asked for it, did not say why.
        if let signal { return .failed("\(name) was killed by signal \(signal)") }
        if status.withLock({ $0 }) == 0 { return .failed("\(name) was asked to end") }
        return .failed("\(name) ended: \(lastWords)")
    }

    /// The signal that ended it, or nil when it runs or ended by itself.
    var signal: Int32? {
        status.withLock { status in
            guard let status, status & 0x7f != 0 else { return nil }
            return status & 0x7f
        }
    }

    /// Asks it to end, and waits; after `grace` it is ended.
    func stop(grace: Duration = .seconds(5)) async {
        if isRunning { kill(id, SIGTERM) }
        let last = ContinuousClock.now + grace
        var isKilled = false
        while isRunning {
            if !isKilled, .now > last {
                isKilled = true
                kill(id, SIGKILL)
            }
            // Ends of children are waited for even when the task is cancelled: sleeping is then a plain pause.
            if (try? await Task.sleep(for: .milliseconds(10))) == nil { usleep(10_000) }
        }
    }

    /// Asks all to end, then waits for each.
    static func stop(_ children: [Child]) async {
        for child in children where child.isRunning { kill(child.id, SIGTERM) }
        for child in children { await child.stop() }
    }
}

/// A folder of sockets and logs that only this user can enter, removed with everything in it.
struct PrivateFolder: Sendable {
    /// Where it is.
    let path: String

    /// Makes one.
    init() throws { path = try Endpoint.makePrivateFolder() }

    /// Removes it.
    func remove() {
        if let folder = opendir(path) {
            while let entry = readdir(folder) {
                let name = withUnsafeBytes(of: &entry.pointee.d_name) { raw in
                    String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
                }
                if name != ".", name != ".." { unlink("\(path)/\(name)") }
            }
            closedir(folder)
        }
        rmdir(path)
    }
}

/// Ends a child when its parent has gone without ending it: after a `kill -9`, say.
enum ParentWatch {
    /// Watches the parent from now on, on a thread of its own; its end is a SIGTERM to this process.
    ///
    /// The kernel's own signal for that comes when the parent's *thread* ends, which may be one of a pool.
    static func start() {
        let parent = getppid()
        _ = Thread(name: "parent") {
            while getppid() == parent { usleep(200_000) }
            kill(getpid(), SIGTERM)
            usleep(5_000_000)
            _exit(1)
        }
    }
}

/// A coordinator in this process with freshly started workers: one command's own cluster, over ipc.
struct LocalCluster: Sendable {
    /// The coordinator.
    let coordinator: Coordinator
    private let serving: Task<Void, Never>
    private let children: [Child]
    private let folder: PrivateFolder

    /// Starts a worker for each place of `layout` and waits until all are ready.
    static func start(layout: Layout, model: String, type: WeightType?, kvType: KVType?, threads: Int) async throws
        -> LocalCluster
    {
        let folder = try PrivateFolder()
        var children: [Child] = []
        var serving: Task<Void, Never>?
        do {
            let control = "ipc://\(folder.path)/control"
            let coordinator = try Coordinator(
                CoordinatorSettings(
                    model: model, endpoints: [control], layout: layout, weightType: type, kvType: kvType))
            serving = Task { await coordinator.run() }
            let places = try WorkerPlaces(layout)
            let memory = places.memory
            for index in 0..<layout.workers {
                children.append(
                    try Self.worker(
                        index, memory: memory, control: control, model: model, threads: threads,
                        places: places, folder: folder.path))
            }
            while try await !coordinator.isReady() {
                if let ended = children.first(where: { !$0.isRunning }) { throw ended.end }
                try await Task.sleep(for: .milliseconds(5))
            }
            return LocalCluster(
                coordinator: coordinator, serving: serving ?? Task {}, children: children, folder: folder)
        } catch {
            serving?.cancel()
            await Child.stop(children)
            folder.remove()
            throw error
        }
    }

    /// Starts worker `index` on this machine, which offers `memory` bytes; it has the threads that go with its place unless told.
    static func worker(
        _ index: Int, memory: Int, control: String, model: String, threads: Int?, places: WorkerPlaces, folder: String,
        pool: [String] = []
    ) throws -> Child {
        let threads = threads ?? places.threads(index)
        return try Child(
            "worker-\(index)",
            [
                "worker", "--coordinator", control, "--name", "worker-\(index)", "--threads", "\(threads)", "--model",
                model, "--memory", "\(memory)", "--bind", "ipc://\(folder)/data-\(index)-\(monotonicNumber())",
                "--with-parent",
            ] + places.flags(index) + pool, folder: folder)
    }

    /// Ends the workers and the coordinator.
    func stop() async {
        await coordinator.stop()
        await serving.value
        await Child.stop(children)
        folder.remove()
    }

    /// A number that no earlier call in this process returned: a restarted worker must not find its old socket.
    private static func monotonicNumber() -> UInt64 {
        counter.wrappingAdd(1, ordering: .relaxed).newValue
    }

    private static let counter = Atomic<UInt64>(0)
}
