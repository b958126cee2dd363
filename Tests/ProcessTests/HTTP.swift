import Glibc

/// One HTTP request over a plain socket: what a test says that no subcommand of `glm` does.
enum HTTP {
    struct Reply {
        var status = 0
        var headers = ""
        var body = ""
    }

    /// Sends a request to the gateway at `url` and reads to the end of the answer, or until `isEnough`.
    static func ask(
        _ method: String, _ url: String, _ path: String, body: String = "", headers: [String] = [],
        isEnough: (String) -> Bool = { _ in false }
    ) throws -> Reply {
        let port = url.split(separator: ":").last.flatMap { Int($0) } ?? 0
        let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        defer { close(client) }
        var address = loopback(port: port)
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(client, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard connected else { throw Running.Failure(description: "nobody listens at \(url)") }
        let head = ["\(method) \(path) HTTP/1.1", "host: 127.0.0.1:\(port)", "connection: close"]
        let all = head + headers + ["content-length: \(body.utf8.count)", "", ""]
        let bytes = Array((all.joined(separator: "\r\n") + body).utf8)
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes { send(client, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { throw Running.Failure(description: "\(url) hung up") }
            sent += count
        }
        var answer: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while !isEnough(String(decoding: answer, as: UTF8.self)) {
            let count = recv(client, &chunk, chunk.count, 0)
            guard count > 0 else { break }
            answer += chunk[..<count]
        }
        let text = String(decoding: answer, as: UTF8.self)
        guard let gap = text.firstRange(of: "\r\n\r\n") else { return Reply() }
        let status = text.split(separator: " ", maxSplits: 2).dropFirst().first.flatMap { Int($0) } ?? 0
        return Reply(status: status, headers: String(text[..<gap.lowerBound]), body: String(text[gap.upperBound...]))
    }
}
