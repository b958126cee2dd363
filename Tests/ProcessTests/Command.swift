import CLinux
import FoundationEssentials
import Glibc
import Synchronization

/// The real binary `glm`, run as processes. Every process started here is ended and reaped here, by its id.
enum Command {
    /// Stands beside the running test program: one folder holds every product.
    static let binary: String = {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
        let path = String(decoding: buffer.prefix(max(count, 0)).map(UInt8.init(bitPattern:)), as: UTF8.self)
        return path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/") + "/glm"
    }()

    /// How a process ended and what it said.
    struct Outcome {
        /// The exit status, or 128 and the signal that ended it.
        var status: Int32
        /// Standard output.
        var output: String
        /// Standard error.
        var errors: String

        /// The lines of standard error.
        /// What a role logs before it gives up (`connected to ...`) is no error.
        var errorLines: [Substring] { errors.split(separator: "\n").filter { $0.hasPrefix("error:") } }
        /// Whether it ended as bad input must: with `status` and one line that begins with `error:`.
        func isOneError(status wanted: Int32) -> Bool {
            status == wanted && errorLines.count == 1 && errors.split(separator: "\n").last == errorLines[0]
        }
    }

    /// Runs `glm`, or another program, to its end, or ends it after `limit`.
    static func run(
        _ arguments: [String], program: String = binary, environment: [String] = [], limit: Duration = .seconds(60)
    ) async throws -> Outcome {
        let process = try Running(arguments, program: program, environment: environment)
        return try await process.wait(limit: limit)
    }
}

/// A process that runs; its output goes to files in `folder`.
final class Running {
    /// What could not be done.
    struct Failure: Error, CustomStringConvertible {
        var description: String
    }

    /// Its id.
    let id: pid_t
    /// The words after the program's name.
    let arguments: [String]
    private let program: String
    private let folder: Scratch
    private var status: Int32?

    /// Starts `glm`, or another program, with `arguments`; `environment` is added to this process's own.
    init(_ arguments: [String], program: String = Command.binary, environment: [String] = []) throws {
        self.arguments = arguments
        self.program = program
        folder = try Scratch()
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, folder.path + "/out", O_WRONLY | O_CREAT, 0o600)
        posix_spawn_file_actions_addopen(&actions, 2, folder.path + "/err", O_WRONLY | O_CREAT, 0o600)
        // Other tests' connections: as long as this process had them too, nobody would see that a test closed one.
        clinux_close_from(&actions, 3)
        let words = ([program] + arguments).map { strdup($0) } + [nil]
        let added = environment.map { strdup($0) }
        defer { (words + added).forEach { free($0) } }
        var inherited = 0
        while environ[inherited] != nil { inherited += 1 }
        let variables = added + UnsafeBufferPointer(start: environ, count: inherited) + [nil]
        var id: pid_t = 0
        let failed = posix_spawnp(&id, program, &actions, nil, words, variables)
        guard failed == 0 else { throw Failure(description: "\(program) cannot be started: error \(failed)") }
        self.id = id
    }

    deinit {
        guard status == nil else { return }
        kill(id, SIGKILL)
        waitpid(id, nil, 0)
    }

    /// What it wrote to standard output so far.
    var output: String { folder.text("out") }
    /// What it wrote to standard error so far.
    var errors: String { folder.text("err") }

    /// Whether it has not ended.
    var isRunning: Bool {
        if status != nil { return false }
        var raw: Int32 = 0
        guard waitpid(id, &raw, WNOHANG) == id else { return true }
        status = raw & 0x7f == 0 ? (raw >> 8) & 0xff : 128 + raw & 0x7f
        return false
    }

    /// Sends a signal.
    func send(_ signal: Int32) {
        if isRunning { kill(id, signal) }
    }

    /// Waits for its end; after `limit` it is killed.
    func wait(limit: Duration = .seconds(20)) async throws -> Command.Outcome {
        let end = ContinuousClock.now + limit
        while isRunning {
            if ContinuousClock.now > end {
                kill(id, SIGKILL)
                throw Failure(
                    description: "\(program) \(arguments.joined(separator: " ")) did not end in \(limit): \(errors)")
            }
            try await Task.sleep(for: .milliseconds(10))
        }
        return Command.Outcome(status: status ?? -1, output: output, errors: errors)
    }

    /// Asks it to end as Ctrl-C does, and waits.
    @discardableResult
    func stop() async throws -> Command.Outcome {
        send(SIGINT)
        return try await wait()
    }
}

/// A folder of its own, deleted with its last user.
final class Scratch {
    /// Where it is.
    let path: String

    init() throws {
        var template = Array("/tmp/glm-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Running.Failure(description: "no folder in /tmp") }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file; returns its path.
    func write(_ name: String, _ text: String) throws -> String {
        try Data(text.utf8).write(to: URL(filePath: "\(path)/\(name)"))
        return "\(path)/\(name)"
    }

    /// The text of one of its files, empty while there is none.
    func text(_ name: String) -> String {
        (try? String(contentsOf: URL(filePath: "\(path)/\(name)"), encoding: .utf8)) ?? ""
    }
}

/// Waits until `condition` holds; says what was waited for when it does not within `limit`.
func eventually(
    _ what: String, within limit: Duration = .seconds(20), _ condition: () async throws -> Bool
) async throws {
    let end = ContinuousClock.now + limit
    while try await !condition() {
        guard ContinuousClock.now < end else { throw Running.Failure(description: "waited \(limit) for \(what)") }
        try await Task.sleep(for: .milliseconds(50))
    }
}

/// The next port to try: each is handed out once, below those that the system hands out by itself.
private let nextPort = Atomic<Int>(20_000 + Int(getpid()) % 100 * 100)

/// A TCP port of this machine that nobody uses at the moment, and that no other test of this run gets.
func freePort() throws -> Int {
    for _ in 0..<1000 {
        let port = nextPort.wrappingAdd(1, ordering: .relaxed).oldValue
        // A process that another test starts at this moment must not inherit it.
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        defer { close(listener) }
        var address = loopback(port: port)
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        if bound { return port }
    }
    throw Running.Failure(description: "no free port")
}

/// 127.0.0.1 with `port`.
func loopback(port: Int) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return address
}

/// Sends raw bytes to a port of this machine and hangs up.
func throwBytes(_ bytes: [UInt8], atPort port: Int) {
    let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(client) }
    var address = loopback(port: port)
    let connected = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(client, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
        }
    }
    if connected { _ = send(client, bytes, bytes.count, Int32(MSG_NOSIGNAL)) }
}

/// The processes whose parent is `id`.
func children(of id: pid_t) -> [pid_t] {
    var found: [pid_t] = []
    guard let folder = opendir("/proc") else { return [] }
    defer { closedir(folder) }
    while let entry = readdir(folder) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { raw in
            String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
        }
        guard let child = pid_t(name), let file = fopen("/proc/\(name)/stat", "r") else { continue }
        defer { fclose(file) }
        var line = [UInt8](repeating: 0, count: 1024)
        let count = fread(&line, 1, line.count, file)
        // "pid (name) state parent ...": the name may hold anything, so count from its last parenthesis.
        let text = String(decoding: line[..<count], as: UTF8.self)
        let words = text.split(separator: ")").last?.split(separator: " ") ?? []
        if words.count > 1, pid_t(words[1]) == id { found.append(child) }
    }
    return found
}
