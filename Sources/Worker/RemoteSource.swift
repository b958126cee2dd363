import Checkpoint
import Core
import Threads
import Wire

/// Tensors of a model that this worker has no copy of: fetched from the coordinator, kept in the cache.
///
/// A part is asked for in bounded pieces, a few at a time, so that neither side holds much more than what it sends.
final class RemoteSource: TensorSource {
    let tensors: [String: TensorInfo]
    private let desk: PieceDesk
    private let store: PieceStore?

    /// Bytes of a piece, about.
    static let pieceBytes = 4 << 20
    /// Pieces that are asked for before the first is there.
    static let window = 4

    init(tensors: [String: TensorInfo], desk: PieceDesk, store: PieceStore?) {
        self.tensors = tensors
        self.desk = desk
        self.store = store
    }

    func rows(of name: String, _ rows: Range<Int>, columns: Range<Int>?) throws -> TensorRows {
        guard let info = tensors[name] else { throw Problem.invalid("the model has no tensor \(name)") }
        let part = try info.part(rows: rows, columns: columns)
        guard let rowBytes = info.type.byteCount(elements: part.columns) else {
            throw Problem.invalid("tensor \(name) has rows of an impossible size")
        }
        let (byteCount, overflow) = rowBytes.multipliedReportingOverflow(by: rows.count)
        guard !overflow else { throw Problem.invalid("tensor \(name) is larger than memory") }
        func found(_ memory: PieceMemory) -> TensorRows {
            TensorRows(
                base: UnsafeRawPointer(memory.base), rowStride: rowBytes, rows: rows.count, type: info.type,
                columns: part.columns, owner: memory)
        }
        guard byteCount > 0 else { return found(PieceMemory(byteCount: 0)) }
        guard let store else {
            let memory = PieceMemory(byteCount: byteCount)
            var at = 0
            try fetch(name, rows, columns, rowBytes: rowBytes) { bytes in
                bytes.withUnsafeBytes {
                    (memory.base + at).copyMemory(
                        from: $0.baseAddress ?? UnsafeRawPointer(memory.base), byteCount: $0.count)
                }
                at += bytes.count
            }
            return found(memory)
        }
        let path = store.path(name, rows, columns ?? 0..<info.columns)
        if let memory = store.find(path, byteCount: byteCount) { return found(memory) }
        try store.write(path) { write in try fetch(name, rows, columns, rowBytes: rowBytes, write) }
        guard let memory = store.find(path, byteCount: byteCount) else {
            throw Problem.failed("\(path) can not be read back; name another folder with --cache")
        }
        return found(memory)
    }

    /// Hands the part's bytes to `take`, in order.
    private func fetch(
        _ name: String, _ rows: Range<Int>, _ columns: Range<Int>?, rowBytes: Int, _ take: ([UInt8]) throws -> Void
    ) throws {
        let rowsAtOnce = max(1, Self.pieceBytes / rowBytes)
        var asked: [(rows: Range<Int>, answer: Mailbox<Result<Piece, Problem>>)] = []
        var next = rows.lowerBound
        while next < rows.upperBound || !asked.isEmpty {
            while next < rows.upperBound, asked.count < Self.window {
                let run = next..<min(next + rowsAtOnce, rows.upperBound)
                asked.append((run, desk.ask(Fetch(tensor: name, rows: run, columns: columns))))
                next = run.upperBound
            }
            let (run, answer) = asked.removeFirst()
            guard let result = answer.take(timeout: .seconds(120)) else {
                throw Problem.unavailable("the coordinator sent no piece of tensor \(name) for two minutes")
            }
            let piece = try result.get()
            guard piece.rows == run.count, piece.rowBytes == rowBytes, piece.bytes.count == run.count * rowBytes else {
                throw Problem.failed(
                    "tensor \(name) rows \(run): expected \(run.count) rows of \(rowBytes) bytes, got \(piece.bytes.count) bytes"
                )
            }
            try take(piece.bytes)
        }
    }
}
