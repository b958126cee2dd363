import Core

/// A model on disk: its configuration and its named, shaped tensors, mapped and not read.
///
/// Opening checks headers, sizes and names; whether the tensors fit the configuration is for the model to say.
public final class Checkpoint: TensorSource {
    /// How the files are written.
    public enum Format: String, Sendable, Codable {
        /// A folder with config.json and safetensors files.
        case safetensors
        /// One GGUF file, or a split one.
        case gguf
    }

    /// Where a tensor's bytes are.
    private struct Place {
        var file: Int
        var offset: Int
    }

    /// The path that was opened.
    public let path: String
    /// The folder that holds the files.
    public let folder: String
    /// The model's file or folder name.
    public let name: String
    /// How the files are written.
    public let format: Format
    /// config.json's members, or the GGUF file's metadata.
    public let config: [String: ConfigValue]
    /// Every tensor by name.
    public let tensors: [String: TensorInfo]
    private let places: [String: Place]
    private let files: [MappedFile]
    /// The bytes that `config` was read from.
    private let configBytes: [UInt8]

    /// Opens a folder with safetensors files and config.json, a folder with one GGUF model, or a .gguf file.
    public static func open(_ path: String) throws -> Checkpoint {
        if let names = MappedFile.list(path) { return try openFolder(path, names) }
        if path.hasSuffix(".safetensors") {
            throw Problem.invalid("\(path) is one file of a model; name the folder that holds it and config.json")
        }
        return try Checkpoint(gguf: path, path: path)
    }

    private static func openFolder(_ path: String, _ names: [String]) throws -> Checkpoint {
        let folder = path.hasSuffix("/") ? path : path + "/"
        if names.contains("model.safetensors") {
            return try Checkpoint(safetensors: ["model.safetensors"], index: nil, folder: folder, path: path)
        }
        let index = "model.safetensors.index.json"
        if names.contains(index) {
            let wanted = try ShardIndex(folder: folder, name: index)
            return try Checkpoint(safetensors: wanted.files, index: wanted, folder: folder, path: path)
        }
        let gguf = names.filter { $0.hasSuffix(".gguf") }
        let first = gguf.filter { (GGUFSplit(name: $0)?.number ?? 1) == 1 }
        if first.count == 1 { return try Checkpoint(gguf: folder + first[0], path: path) }
        if first.count > 1 {
            throw Problem.invalid(
                "\(path) holds \(first.count) GGUF models (\(first[0]), \(first[1])...); name one of them")
        }
        let safetensors = names.filter { $0.hasSuffix(".safetensors") }
        if safetensors.count == 1 {
            return try Checkpoint(safetensors: safetensors, index: nil, folder: folder, path: path)
        }
        throw Problem.notFound(
            "\(path) holds no model.safetensors, no \(index) and no .gguf file; is the download complete?")
    }

    private init(safetensors names: [String], index: ShardIndex?, folder: String, path: String) throws {
        configBytes = try MappedFile.read(folder + "config.json", atMost: 16 << 20)
        config = try configBytes.withUnsafeBytes { try JSONScanner.object($0, what: "\(folder)config.json") }
        var table = TensorTable()
        for name in names {
            let file = try MappedFile(folder + name)
            let header = try Safetensors(file)
            try table.add(file, header.tensors, header.offsets)
        }
        if let index {
            for (tensor, file) in index.places {
                guard let place = table.places[tensor], table.files[place.file].name == file else {
                    throw Problem.invalid("\(index.path): tensor \(tensor) is not in \(file); fetch both files again")
                }
            }
        }
        tensors = table.tensors
        places = table.places
        files = table.files
        format = .safetensors
        self.path = path
        self.folder = folder
        name = Self.name(of: folder)
    }

    private init(gguf file: String, path: String) throws {
        var table = TensorTable()
        let first = try MappedFile(file)
        let header = try GGUF(first)
        try table.add(first, header.tensors, header.offsets)
        let slash = file.lastIndex(of: "/").map { file.index(after: $0) } ?? file.startIndex
        let count = header.metadata["split.count"]?.integer ?? 1
        if count > 1 {
            guard let split = GGUFSplit(name: String(file[slash...])), split.number == 1, split.count == count else {
                throw Problem.invalid(
                    "\(file): part of a model split in \(count); name its first file, ...-00001-of-....gguf")
            }
            for number in 2...count {
                let part = try MappedFile(String(file[..<slash]) + split.name(number))
                let header = try GGUF(part)
                guard header.metadata["split.no"]?.integer == number - 1 else {
                    throw Problem.invalid("\(part.path): not part \(number) of \(file)")
                }
                try table.add(part, header.tensors, header.offsets)
            }
            if let all = header.metadata["split.tensors.count"]?.integer, all != table.tensors.count {
                throw Problem.invalid("\(file): the parts hold \(table.tensors.count) tensors, expected \(all)")
            }
        }
        config = header.metadata
        configBytes = Array(first.bytes.prefix(header.headerBytes))
        tensors = table.tensors
        places = table.places
        files = table.files
        format = .gguf
        self.path = path
        folder = slash == file.startIndex ? "./" : String(file[..<slash])
        name = String(file[slash...].dropLast(file.hasSuffix(".gguf") ? 5 : 0))
    }

    /// The last component of the folder's real path: `.` and links have none of their own.
    private static func name(of folder: String) -> String {
        let real = MappedFile.realPath(folder) ?? folder
        return real.split(separator: "/").last.map(String.init) ?? "model"
    }

    /// Bytes of all tensors.
    public var byteCount: Int { tensors.values.reduce(0) { $0 + ($1.byteCount ?? 0) } }

    /// Some rows of a tensor, as pointers into the map; the file's size is looked at again first.
    public func rows(of name: String, _ rows: Range<Int>, columns: Range<Int>?) throws -> TensorRows {
        guard let info = tensors[name], let place = places[name] else {
            throw Problem.invalid("\(path) holds no tensor \(name)")
        }
        let part = try info.part(rows: rows, columns: columns)
        let file = files[place.file]
        try file.checkSize()
        guard let base = file.bytes.baseAddress else { throw Problem.invalid("tensor \(name) has no bytes") }
        return TensorRows(
            base: base + place.offset + part.offset, rowStride: part.rowStride, rows: rows.count, type: info.type,
            columns: part.columns, owner: file)
    }

    /// The model's fingerprint: hexadecimal BLAKE2b-256 of configuration, tensor table and content.
    ///
    /// Up to 256 MB of tensors every byte counts. Beyond that, 16 pieces of 4 KiB do, spread evenly from the first byte
    /// to the last of every tensor: reading a 19 GB model whole would take longer than loading a slice of it.
    public func digest() throws -> String {
        try files.forEach { try $0.checkSize() }
        let hash = try Blake2b()
        hash.update(configBytes)
        let whole = byteCount <= 256 << 20
        for info in tensors.values.sorted(by: { $0.name < $1.name }) {
            hash.update(Array("\(info.name) \(info.type.rawValue) \(info.shape)\n".utf8))
            guard let place = places[info.name], let count = info.byteCount else { continue }
            let bytes = UnsafeRawBufferPointer(rebasing: files[place.file].bytes[place.offset..<place.offset + count])
            let piece = 4096
            let pieces = 16
            if whole || count <= pieces * piece {
                hash.update(bytes)
            } else {
                for i in 0..<pieces {
                    let start = i * ((count - piece) / (pieces - 1))
                    let end = i == pieces - 1 ? count : start + piece
                    hash.update(UnsafeRawBufferPointer(rebasing: bytes[end - piece..<end]))
                }
            }
        }
        return hash.hexadecimal()
    }

    /// Collects the tensors of several files.
    private struct TensorTable {
        var tensors: [String: TensorInfo] = [:]
        var places: [String: Place] = [:]
        var files: [MappedFile] = []

        mutating func add(_ file: MappedFile, _ infos: [TensorInfo], _ offsets: [Int]) throws {
            for (info, offset) in zip(infos, offsets) {
                guard tensors.updateValue(info, forKey: info.name) == nil else {
                    throw Problem.invalid(
                        "\(file.path): tensor \(info.name) is in another file too; remove one of them")
                }
                places[info.name] = Place(file: files.count, offset: offset)
            }
            files.append(file)
        }
    }
}
