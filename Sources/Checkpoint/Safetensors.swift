import Core

/// A safetensors file: a JSON header, then the tensors' bytes.
struct Safetensors {
    /// The reference implementation's limit for a header.
    private static let headerLimit = 100_000_000

    /// Its tensors.
    private(set) var tensors: [TensorInfo] = []
    /// Where each begins in the file, in the same order.
    private(set) var offsets: [Int] = []

    /// Reads and checks the header: every tensor's bytes are where it says, none are shared and none are left over.
    init(_ file: MappedFile) throws {
        let size = file.bytes.count
        guard size >= 8 else {
            throw Problem.invalid("\(file.path): \(size) bytes are too few for a safetensors file; fetch it again")
        }
        let length = UInt64(littleEndian: file.bytes.loadUnaligned(as: UInt64.self))
        guard length <= UInt64(Self.headerLimit), length <= UInt64(size - 8) else {
            throw Problem.invalid(
                "\(file.path): the header would be \(length) bytes long, the file has \(size); it is truncated or no safetensors file"
            )
        }
        let start = 8 + Int(length)
        let header = try JSONScanner.object(
            UnsafeRawBufferPointer(rebasing: file.bytes[8..<start]), what: "\(file.path): the header")
        var spans: [(name: String, span: Range<Int>)] = []
        for name in header.keys.sorted() where name != "__metadata__" {
            func wrong(_ what: String) -> Problem {
                Problem.invalid("\(file.path): tensor \(name) \(what); fetch the file again")
            }
            guard name.isSaneName else {
                throw Problem.invalid(
                    "\(file.path): the header names a tensor \"\(name.printable)\"; fetch the file again")
            }
            guard let entry = header[name]?.object else { throw wrong("is not described by an object") }
            guard let dtype = entry["dtype"]?.string, let type = StoredType.safetensors[dtype] else {
                throw wrong("has the unknown dtype \(entry["dtype"]?.summary ?? "(none)")")
            }
            guard let shape = entry["shape"]?.integers, shape.allSatisfy({ $0 >= 0 }) else {
                throw wrong("has no shape of whole numbers")
            }
            guard let ends = entry["data_offsets"]?.integers, ends.count == 2, ends[0] >= 0, ends[1] >= ends[0] else {
                throw wrong("has no data_offsets [begin, end]")
            }
            let info = TensorInfo(name: name, type: type, shape: shape)
            guard let bytes = info.byteCount else { throw wrong("has the impossible shape \(shape)") }
            guard bytes == ends[1] - ends[0] else {
                throw wrong(
                    "of shape \(shape) in \(dtype) needs \(bytes) bytes, its data_offsets give \(ends[1] - ends[0])")
            }
            guard ends[1] <= size - start else {
                throw wrong("ends at byte \(ends[1]) of \(size - start): the file is truncated")
            }
            tensors.append(info)
            offsets.append(start + ends[0])
            spans.append((name, ends[0]..<ends[1]))
        }
        try Self.checkCover(spans, size: size - start, path: file.path)
    }

    /// The format wants the tensors to cover the data exactly, so a gap or an overlap is damage.
    private static func checkCover(_ spans: [(name: String, span: Range<Int>)], size: Int, path: String) throws {
        let ordered = spans.sorted {
            ($0.span.lowerBound, $0.span.upperBound) < ($1.span.lowerBound, $1.span.upperBound)
        }
        // Overlaps first: the gap that a wrong offset leaves behind says less.
        for (last, next) in zip(ordered, ordered.dropFirst()) where next.span.lowerBound < last.span.upperBound {
            throw Problem.invalid("\(path): tensors \(last.name) and \(next.name) share bytes; fetch the file again")
        }
        var end = 0
        for (name, span) in ordered {
            if span.lowerBound > end {
                throw Problem.invalid(
                    "\(path): \(span.lowerBound - end) bytes before tensor \(name) belong to none; fetch the file again"
                )
            }
            end = span.upperBound
        }
        if end != size {
            throw Problem.invalid(
                "\(path): \(size - end) bytes after the last tensor belong to none; fetch the file again")
        }
    }
}
