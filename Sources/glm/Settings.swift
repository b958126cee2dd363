import Core
import Glibc
import TOMLKit

/// What a command was told besides its flags: `GLM_*` variables, then the configuration file, then defaults.
///
/// A key has one name everywhere: flag `--max-tokens`, variable `GLM_MAX_TOKENS`, key `max-tokens` in the file. Commands
/// ask for `flag ?? settings.string("key") ?? default`. Secrets are files: only their paths are ever configured.
struct Settings: Sendable {
    /// Every key that the file may have.
    static let keys: Set<String> = [
        "allow-origin", "api-key", "attention", "bind", "cache", "chunk", "coordinator", "gateway", "insecure", "keys",
        "kv-disk", "kv-memory",
        "kv-spill",
        "kv-tokens",
        "kv-type", "layout", "listen",
        "log-format", "log-level", "max-tokens", "memory", "model", "name", "numa", "priority", "queue", "retention",
        "scale",
        "seed",
        "stop",
        "store", "system",
        "temperature",
        "threads", "top-k", "top-p", "traces", "type", "workers",
    ]

    /// A value as the file has it.
    private enum Value: Sendable {
        case string(String)
        case int(Int)
        case double(Double)
        case bool(Bool)
    }

    private let file: [String: Value]
    /// The file that was read, when there was one.
    let path: String?

    /// Reads the file `config`, or else `./glm.toml`, or else `~/.config/glm/glm.toml`; only the first must exist.
    static func load(config: String? = nil) throws -> Settings {
        if let config { return try Settings(path: config) }
        var places = ["glm.toml"]
        if let home = environment("HOME") { places.append(home + "/.config/glm/glm.toml") }
        for place in places where access(place, F_OK) == 0 { return try Settings(path: place) }
        return Settings(file: [:], path: nil)
    }

    private init(file: [String: Value], path: String?) {
        self.file = file
        self.path = path
    }

    private init(path: String) throws {
        let bytes = try FileBytes.read(path, remedy: "name a configuration file with --config")
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Problem.invalid("\(path) is not UTF-8 text; expected a configuration file in TOML")
        }
        let table: TOMLTable
        do {
            table = try TOMLTable(string: text)
        } catch let error as TOMLParseError {
            throw Problem.invalid("\(path) line \(error.source.begin.line): not TOML: \(error.description)")
        }
        var values: [String: Value] = [:]
        for (key, value) in table {
            guard Self.keys.contains(key) else {
                let hint = Self.nearest(key).map { "; did you mean '\($0)'?" } ?? ""
                throw Problem.invalid("\(path): unknown key '\(key)'\(hint)")
            }
            if let bool = value.bool {
                values[key] = .bool(bool)
            } else if let int = value.int {
                values[key] = .int(int)
            } else if let double = value.double {
                values[key] = .double(double)
            } else if let string = value.string {
                values[key] = .string(string)
            } else {
                throw Problem.invalid("\(path): '\(key)' is neither text, a number, true nor false")
            }
        }
        self.init(file: values, path: path)
    }

    /// A text.
    func string(_ key: String) -> String? {
        if let text = Self.environment(Self.variable(key)) { return text }
        switch file[key] {
        case .string(let text): return text
        case .int(let number): return "\(number)"
        case .double(let number): return "\(number)"
        case .bool(let flag): return "\(flag)"
        case nil: return nil
        }
    }

    /// A whole number.
    func int(_ key: String) throws -> Int? { try read(key, "a whole number") { Int($0) } }

    /// A number.
    func double(_ key: String) throws -> Double? { try read(key, "a number") { Double($0) } }

    /// A switch.
    func bool(_ key: String) throws -> Bool? {
        try read(key, "true or false") { ["true": true, "1": true, "false": false, "0": false][$0] }
    }

    private func read<T>(_ key: String, _ wanted: String, _ convert: (String) -> T?) throws -> T? {
        guard let text = string(key) else { return nil }
        guard let value = convert(text) else {
            let variable = Self.variable(key)
            let place =
                Self.environment(variable) != nil ? "the variable \(variable)" : "'\(key)' in \(path ?? "the file")"
            throw Problem.invalid("\(place): expected \(wanted), found '\(text)'")
        }
        return value
    }

    /// The variable that stands for a key.
    private static func variable(_ key: String) -> String {
        "GLM_" + key.uppercased().map { $0 == "-" ? "_" : String($0) }.joined()
    }

    /// A variable of the environment, unless it is missing or empty.
    private static func environment(_ name: String) -> String? {
        guard let value = getenv(name) else { return nil }
        let text = String(cString: value)
        return text.isEmpty ? nil : text
    }

    /// The known key that takes the fewest edits, when it is close enough to be what was meant.
    static func nearest(_ key: String) -> String? {
        let best = keys.sorted().map { (distance(key, $0), $0) }.min { $0.0 < $1.0 }
        guard let best, best.0 <= max(2, key.count / 3) else { return nil }
        return best.1
    }

    /// Levenshtein's distance.
    private static func distance(_ a: String, _ b: String) -> Int {
        let a = Array(a), b = Array(b)
        var row = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, y) in b.enumerated() {
                let substituted = diagonal + (x == y ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(substituted, row[j] + 1, diagonal + 1)
            }
        }
        return row[b.count]
    }
}
