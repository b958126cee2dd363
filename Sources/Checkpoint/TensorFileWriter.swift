import Core
import Glibc

/// Writes a file of tensors one after another: what is in memory is the table, never a tensor.
///
/// The tensors are declared first and their bytes follow in the same order. The file appears under its name when it is
/// whole; until then it is `NAME.part`.
public final class TensorFileWriter {
    /// The file's path.
    public let path: String
    private let tensors: [TensorInfo]
    private let byteCounts: [Int]
    private let alignment: Int
    private let descriptor: Int32
    /// The tensor that is being written, and how many of its bytes were.
    private var current = 0
    private var written = 0
    private var isFinished = false

    /// Begins a safetensors file; `metadata` is its `__metadata__`.
    public convenience init(
        safetensors path: String, tensors: [TensorInfo], metadata: [String: String] = [:]
    ) throws {
        let counts = try Self.byteCounts(tensors)
        for info in tensors where StoredType.safetensors[info.type.rawValue] != info.type {
            throw Problem.invalid("\(info.type.rawValue) cannot be written to a safetensors file; write a GGUF file")
        }
        try self.init(
            path, tensors, counts, alignment: 1,
            header: SafetensorsHeader.bytes(tensors, byteCounts: counts, metadata: metadata))
    }

    /// Begins a GGUF file, version 3.
    public convenience init(
        gguf path: String, tensors: [TensorInfo], metadata: [(key: String, value: GGUFField)]
    ) throws {
        let counts = try Self.byteCounts(tensors)
        let header = try GGUFHeader.bytes(tensors, byteCounts: counts, metadata: metadata)
        try self.init(path, tensors, counts, alignment: GGUFHeader.alignment, header: header)
    }

    private init(
        _ path: String, _ tensors: [TensorInfo], _ byteCounts: [Int], alignment: Int, header: [UInt8]
    ) throws {
        self.path = path
        self.tensors = tensors
        self.byteCounts = byteCounts
        self.alignment = alignment
        descriptor = open(path + ".part", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw Self.problem(path, errno) }
        try header.withUnsafeBytes { try put($0) }
        skipEmpty()
    }

    deinit {
        if !isFinished, descriptor >= 0 {
            close(descriptor)
            unlink(path + ".part")
        }
    }

    private static func byteCounts(_ tensors: [TensorInfo]) throws -> [Int] {
        try tensors.map { info in
            guard let count = info.byteCount else {
                throw Problem.invalid(
                    "tensor \(info.name) of shape \(info.shape) cannot be stored as \(info.type.rawValue): rows are blocks of \(info.type.blockElements)"
                )
            }
            return count
        }
    }

    private static func problem(_ path: String, _ code: Int32) -> Problem {
        Problem.failed("\(path): cannot write: \(String(cString: strerror(code)))")
    }

    /// Writes the next bytes; they may end inside a tensor or run on into the next ones.
    public func write(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes
        while !rest.isEmpty {
            guard current < tensors.count else { throw Problem.failed("\(path): more bytes than its tensors have") }
            let count = min(rest.count, byteCounts[current] - written)
            try put(UnsafeRawBufferPointer(rebasing: rest.prefix(count)))
            written += count
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
            if written == byteCounts[current] {
                try pad(after: written)
                current += 1
                written = 0
                skipEmpty()
            }
        }
    }

    /// Writes the next bytes.
    public func write(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try write($0) } }

    /// Gives the file its name. Every declared byte must have been written.
    public func finish() throws {
        guard current == tensors.count else {
            throw Problem.failed("\(path): tensor \(tensors[current].name) was not written whole")
        }
        isFinished = true
        guard close(descriptor) == 0, rename(path + ".part", path) == 0 else {
            let code = errno
            unlink(path + ".part")
            throw Self.problem(path, code)
        }
    }

    private func skipEmpty() {
        while current < tensors.count, byteCounts[current] == 0 { current += 1 }
    }

    private func pad(after count: Int) throws {
        let padding = [UInt8](repeating: 0, count: (alignment - count % alignment) % alignment)
        try padding.withUnsafeBytes { try put($0) }
    }

    private func put(_ bytes: UnsafeRawBufferPointer) throws {
        var rest = bytes
        while let base = rest.baseAddress, !rest.isEmpty {
            let count = Glibc.write(descriptor, base, rest.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw Self.problem(path, errno)
            }
            rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
        }
    }
}

/// The header of a safetensors file.
private enum SafetensorsHeader {
    static func bytes(_ tensors: [TensorInfo], byteCounts: [Int], metadata: [String: String]) -> [UInt8] {
        var members: [String] = []
        if !metadata.isEmpty {
            let entries = metadata.sorted { $0.key < $1.key }.map { "\(quoted($0.key)):\(quoted($0.value))" }
            members.append("\"__metadata__\":{\(entries.joined(separator: ","))}")
        }
        var at = 0
        for (info, count) in zip(tensors, byteCounts) {
            let shape = info.shape.map(String.init).joined(separator: ",")
            members.append(
                "\(quoted(info.name)):{\"dtype\":\"\(info.type.rawValue)\",\"shape\":[\(shape)],\"data_offsets\":[\(at),\(at + count)]}"
            )
            at += count
        }
        var json = Array("{\(members.joined(separator: ","))}".utf8)
        while json.count % 8 != 0 { json.append(UInt8(ascii: " ")) }
        return withUnsafeBytes(of: UInt64(json.count).littleEndian) { Array($0) } + json
    }

    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}

/// A metadata value to be written to a GGUF file.
public enum GGUFField: Sendable {
    /// A whole number of 32 bits.
    case u32(UInt32)
    /// A 32-bit float.
    case f32(Float)
    /// True or false.
    case bool(Bool)
    /// Text.
    case string(String)
    /// An array of whole numbers.
    case i32s([Int32])
    /// An array of texts.
    case strings([String])
}

/// Metadata and tensor table of a GGUF file.
private enum GGUFHeader {
    static let alignment = 32

    static func bytes(
        _ tensors: [TensorInfo], byteCounts: [Int], metadata: [(key: String, value: GGUFField)]
    ) throws -> [UInt8] {
        var bytes: [UInt8] = [0x47, 0x47, 0x55, 0x46]
        append(UInt32(3), to: &bytes)
        append(UInt64(tensors.count), to: &bytes)
        append(UInt64(metadata.count), to: &bytes)
        for (key, value) in metadata {
            append(key, to: &bytes)
            append(value, to: &bytes)
        }
        var at = 0
        for (info, count) in zip(tensors, byteCounts) {
            guard let number = info.type.ggufNumber else {
                throw Problem.invalid("\(info.type.rawValue) cannot be written to a GGUF file")
            }
            append(info.name, to: &bytes)
            append(UInt32(info.shape.count), to: &bytes)
            for size in info.shape.reversed() { append(UInt64(size), to: &bytes) }
            append(number, to: &bytes)
            append(UInt64(at), to: &bytes)
            at += (count + alignment - 1) / alignment * alignment
        }
        while bytes.count % alignment != 0 { bytes.append(0) }
        return bytes
    }

    private static func append(_ number: some FixedWidthInteger, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }

    private static func append(_ text: String, to bytes: inout [UInt8]) {
        append(UInt64(text.utf8.count), to: &bytes)
        bytes.append(contentsOf: text.utf8)
    }

    private static func append(_ value: GGUFField, to bytes: inout [UInt8]) {
        switch value {
        case .u32(let number):
            append(UInt32(4), to: &bytes)
            append(number, to: &bytes)
        case .f32(let number):
            append(UInt32(6), to: &bytes)
            append(number.bitPattern, to: &bytes)
        case .bool(let truth):
            append(UInt32(7), to: &bytes)
            append(UInt8(truth ? 1 : 0), to: &bytes)
        case .string(let text):
            append(UInt32(8), to: &bytes)
            append(text, to: &bytes)
        case .i32s(let numbers):
            append(UInt32(9), to: &bytes)
            append(UInt32(5), to: &bytes)
            append(UInt64(numbers.count), to: &bytes)
            for number in numbers { append(number, to: &bytes) }
        case .strings(let texts):
            append(UInt32(9), to: &bytes)
            append(UInt32(8), to: &bytes)
            append(UInt64(texts.count), to: &bytes)
            for text in texts { append(text, to: &bytes) }
        }
    }
}
