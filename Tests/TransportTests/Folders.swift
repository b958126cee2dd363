import Glibc

/// Removes a flat folder with the files in it.
func removeFolder(_ path: String) {
    for name in names(in: path) { unlink("\(path)/\(name)") }
    rmdir(path)
}

func names(in path: String) -> [String] {
    guard let folder = opendir(path) else { return [] }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
            $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
}

/// The permission bits of a file.
func mode(_ path: String) -> mode_t {
    var facts = stat()
    return stat(path, &facts) == 0 ? facts.st_mode & 0o777 : 0
}

/// Writes `text` to a new file with these permission bits.
func writeFile(_ path: String, _ text: String, mode: mode_t) {
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, mode)
    let bytes = Array(text.utf8)
    _ = write(file, bytes, bytes.count)
    fchmod(file, mode)
    close(file)
}

/// Opens a plain TCP connection to `tcp://127.0.0.1:PORT`, writes `bytes` and returns it; -1 when that failed.
func connectRaw(_ endpoint: String, _ bytes: [UInt8]) -> Int32 {
    guard let port = endpoint.split(separator: ":").last.flatMap({ UInt16($0) }) else { return -1 }
    let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let status = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard status == 0, send(file, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
        close(file)
        return -1
    }
    return file
}

/// Waits until the other side closes a plain connection, reading away what it says.
func waitForClose(_ file: Int32) {
    var block = [UInt8](repeating: 0, count: 4096)
    while read(file, &block, block.count) > 0 {}
    close(file)
}

/// Closes a plain connection.
func closeRaw(_ file: Int32) { close(file) }
