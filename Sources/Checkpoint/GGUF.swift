import Core

/// A GGUF file: metadata, the tensors' table, then the tensors' bytes.
///
/// Every count and length is compared with the bytes that are left before anything is allocated for it.
struct GGUF {
    /// Its metadata. Arrays stay packed.
    private(set) var metadata: [String: ConfigValue] = [:]
    /// Its tensors, shapes slowest first.
    private(set) var tensors: [TensorInfo] = []
    /// Where each begins in the file, in the same order.
    private(set) var offsets: [Int] = []
    /// The bytes of metadata and table, for the digest.
    private(set) var headerBytes = 0

    /// Reads and checks metadata and table.
    init(_ file: MappedFile) throws {
        var reader = GGUFReader(file)
        let counts = try reader.header()
        for _ in 0..<counts.metadata {
            let key = try reader.name("a metadata key")
            let type = try reader.integer(UInt32.self, "the type of \(key)")
            let value = try reader.value(type: type, of: key)
            if metadata.updateValue(value, forKey: key) != nil {
                throw reader.problem("the metadata key \(key) is given twice")
            }
        }
        let alignment = try Self.alignment(metadata, reader)
        var relative: [Int] = []
        var names: Set<String> = []
        for _ in 0..<counts.tensors {
            let (info, offset) = try reader.tensor()
            guard names.insert(info.name).inserted else { throw reader.problem("tensor \(info.name) is given twice") }
            guard offset % UInt64(alignment) == 0 else {
                throw reader.problem("tensor \(info.name) begins at \(offset), no multiple of \(alignment)")
            }
            tensors.append(info)
            relative.append(Int(clamping: offset))
        }
        headerBytes = reader.at
        let padded = (reader.at + alignment - 1) / alignment * alignment
        let start = counts.tensors == 0 ? min(padded, file.bytes.count) : padded
        guard start <= file.bytes.count else { throw reader.problem("the file is truncated before the first tensor") }
        let room = file.bytes.count - start
        for (info, offset) in zip(tensors, relative) {
            guard let bytes = info.byteCount else {
                throw reader.problem(
                    "tensor \(info.name) has the impossible shape \(info.shape) for \(info.type.rawValue)")
            }
            guard offset <= room, bytes <= room - offset else {
                throw reader.problem(
                    "tensor \(info.name) needs \(bytes) bytes from \(offset) of \(room): the file is truncated")
            }
            offsets.append(start + offset)
        }
        try checkOverlaps(reader)
    }

    private static func alignment(_ metadata: [String: ConfigValue], _ reader: GGUFReader) throws -> Int {
        guard let value = metadata["general.alignment"] else { return 32 }
        guard let alignment = value.integer, alignment > 0, alignment % 8 == 0, alignment <= 1 << 20 else {
            throw reader.problem("general.alignment is \(value.summary), expected a multiple of 8")
        }
        return alignment
    }

    private func checkOverlaps(_ reader: GGUFReader) throws {
        var end = 0
        var last = ""
        for (info, offset) in zip(tensors, offsets).sorted(by: { ($0.1, $0.0.name) < ($1.1, $1.0.name) }) {
            let bytes = info.byteCount ?? 0
            if bytes > 0, offset < end { throw reader.problem("tensors \(last) and \(info.name) share bytes") }
            end = max(end, offset + bytes)
            last = info.name
        }
    }
}

/// Reads the parts of a GGUF file one after another.
struct GGUFReader {
    private let file: MappedFile
    /// The next byte.
    private(set) var at = 0

    init(_ file: MappedFile) { self.file = file }

    /// A problem with this file.
    func problem(_ what: String) -> Problem {
        Problem.invalid("\(file.path): \(what); it is damaged or no GGUF file: fetch it again")
    }

    private var remaining: Int { file.bytes.count - at }

    private func need(_ count: Int, _ what: () -> String) throws {
        if count > remaining {
            throw problem("the file is truncated: \(what()) needs \(count) bytes, \(remaining) are left")
        }
    }

    /// Magic, version and the two counts.
    mutating func header() throws -> (tensors: Int, metadata: Int) {
        let magic: [UInt8] = [0x47, 0x47, 0x55, 0x46]
        guard file.bytes.count >= 4, file.bytes.prefix(4).elementsEqual(magic) else {
            throw problem("the file does not begin with GGUF")
        }
        at = 4
        let version = try integer(UInt32.self, "the version")
        if version.byteSwapped == 2 || version.byteSwapped == 3 {
            throw Problem.invalid(
                "\(file.path): a big-endian GGUF file, expected a little-endian one; convert it on a little-endian machine"
            )
        }
        guard version == 2 || version == 3 else {
            throw Problem.invalid("\(file.path): GGUF version \(version), expected 2 or 3; convert the model again")
        }
        // The least that a tensor and a metadata entry can take in the file.
        let tensors = try count(least: 24, "the tensor count")
        return (tensors, try count(least: 13, "the metadata count"))
    }

    private mutating func count(least: Int, _ what: String) throws -> Int {
        let count = try integer(UInt64.self, what)
        guard count <= UInt64(remaining / least) else {
            throw problem(
                "\(what) is \(count), more than \(remaining) bytes can hold: the file is truncated or damaged")
        }
        return Int(count)
    }

    /// A little-endian whole number. `what` is built only when it is needed for a message.
    mutating func integer<T: FixedWidthInteger & BitwiseCopyable>(
        _ type: T.Type, _ what: @autoclosure () -> String
    ) throws -> T {
        try need(MemoryLayout<T>.size, what)
        defer { at += MemoryLayout<T>.size }
        return T(littleEndian: file.bytes.loadUnaligned(fromByteOffset: at, as: T.self))
    }

    private mutating func stringRange(_ what: @autoclosure () -> String) throws -> Range<Int> {
        let length = try integer(UInt64.self, "the length of \(what())")
        guard length <= UInt64(remaining) else {
            throw problem(
                "the length of \(what()) is \(length), but \(remaining) bytes are left: the file is truncated")
        }
        defer { at += Int(length) }
        return at..<at + Int(length)
    }

    /// A text. `what` is built only when it is needed for a message.
    mutating func string(_ what: @autoclosure () -> String) throws -> String {
        let range = try stringRange(what())
        guard let text = String(validating: file.bytes[range], as: UTF8.self) else {
            throw problem("\(what()) is not UTF-8")
        }
        return text
    }

    /// A text that can name something.
    mutating func name(_ what: String) throws -> String {
        let text = try string(what)
        guard text.isSaneName else { throw problem("\(what) is \"\(text.printable)\"") }
        return text
    }

    /// A metadata value of GGUF's type number `type`.
    mutating func value(type: UInt32, of key: String) throws -> ConfigValue {
        switch type {
        case 0: return .integer(Int(try integer(UInt8.self, key)))
        case 1: return .integer(Int(try integer(Int8.self, key)))
        case 2: return .integer(Int(try integer(UInt16.self, key)))
        case 3: return .integer(Int(try integer(Int16.self, key)))
        case 4: return .integer(Int(try integer(UInt32.self, key)))
        case 5: return .integer(Int(try integer(Int32.self, key)))
        case 6: return .number(Double(Float(bitPattern: try integer(UInt32.self, key))))
        case 7: return .bool(try integer(UInt8.self, key) != 0)
        case 8: return .string(try string("the text of \(key)"))
        case 9: return .packed(try packedList(of: key))
        case 10:
            let value = try integer(UInt64.self, key)
            return Int(exactly: value).map { .integer($0) } ?? .number(Double(value))
        case 11: return .integer(Int(try integer(Int64.self, key)))
        case 12: return .number(Double(bitPattern: try integer(UInt64.self, key)))
        default: throw problem("\(key) has the unknown type \(type)")
        }
    }

    /// Steps over an array: its elements are checked now and decoded when asked for.
    private mutating func packedList(of key: String) throws -> PackedList {
        let type = try integer(UInt32.self, "the element type of \(key)")
        guard let size = Self.elementSizes[type] else {
            throw problem("\(key) is a list of the unsupported type \(type)")
        }
        let count = try count(least: size, "the count of \(key)")
        let start = at
        if type == 8 {
            for _ in 0..<count { _ = try stringRange("a text of \(key)") }
        } else {
            at += count * size
        }
        return PackedList(file: file, start: start, count: count, type: type)
    }

    /// Bytes of an array's element; of a text, its length's. Arrays in arrays occur in no model's metadata.
    private static let elementSizes: [UInt32: Int] = [
        0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 8: 8, 10: 8, 11: 8, 12: 8,
    ]

    /// A row of the tensors' table, with the offset from the first tensor.
    mutating func tensor() throws -> (TensorInfo, UInt64) {
        let name = try name("a tensor's name")
        let dimensions = try integer(UInt32.self, "the dimensions of \(name)")
        guard dimensions <= 4 else { throw problem("tensor \(name) has \(dimensions) dimensions, expected at most 4") }
        var shape: [Int] = []
        for _ in 0..<dimensions {
            let size = try integer(UInt64.self, "the shape of \(name)")
            guard let size = Int(exactly: size) else { throw problem("tensor \(name) has a dimension of \(size)") }
            shape.insert(size, at: 0)
        }
        let number = try integer(UInt32.self, "the type of \(name)")
        guard let type = StoredType.ggufNumbers[number] else {
            throw problem("tensor \(name) has the unknown type \(number)")
        }
        return (TensorInfo(name: name, type: type, shape: shape), try integer(UInt64.self, "the offset of \(name)"))
    }

    /// Goes to byte `offset`, which an earlier pass has checked.
    mutating func seek(_ offset: Int) { at = min(offset, file.bytes.count) }
}

/// A GGUF array that stays in the file until it is asked for.
public struct PackedList: Sendable {
    private let file: MappedFile
    private let start: Int
    /// Elements.
    public let count: Int
    private let type: UInt32

    init(file: MappedFile, start: Int, count: Int, type: UInt32) {
        self.file = file
        self.start = start
        self.count = count
        self.type = type
    }

    /// The elements as values.
    public var values: [ConfigValue] {
        var reader = GGUFReader(file)
        reader.seek(start)
        return (0..<count).compactMap { _ in try? reader.value(type: type, of: "an element") }
    }

    /// The elements as texts, or nil when they are none. Bytes that are no UTF-8 are replaced.
    public var strings: [String]? {
        guard type == 8 else { return nil }
        var texts: [String] = []
        texts.reserveCapacity(count)
        var at = start
        for _ in 0..<count {
            let length = Int(UInt64(littleEndian: file.bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)))
            texts.append(String(decoding: file.bytes[at + 8..<at + 8 + length], as: UTF8.self))
            at += 8 + length
        }
        return texts
    }
}
