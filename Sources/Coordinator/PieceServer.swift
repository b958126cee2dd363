import Checkpoint
import Core
import Threads
import Wire

/// Serves parts of the model's tensors to workers that have no copy of it, on a thread of its own: touching a page of the
/// map may wait for a disk, and steps must not.
final class PieceServer: Sendable {
    /// Who asked, and for what.
    struct Question: Sendable {
        var fetch: Fetch
        var answer: @Sendable (Result<Piece, Problem>) -> Void
    }

    /// The most that one answer holds.
    static let mostBytes = 64 << 20
    private let questions = Mailbox<Question>()
    private let thread: Thread

    init(_ source: any TensorSource) {
        let questions = questions
        thread = Thread(name: "pieces") {
            while let question = questions.take() {
                do {
                    question.answer(.success(try Self.piece(question.fetch, of: source)))
                } catch {
                    question.answer(.failure(error as? Problem ?? .failed("\(error)")))
                }
            }
        }
    }

    func ask(_ question: Question) { questions.put(question) }

    /// Answers what was asked and ends the thread.
    func stop() {
        questions.close()
        thread.join()
    }

    static func piece(_ fetch: Fetch, of source: any TensorSource) throws -> Piece {
        guard let info = source.tensors[fetch.tensor] else {
            throw Problem.notFound("the model has no tensor \(fetch.tensor)")
        }
        let part = try info.part(rows: fetch.rows, columns: fetch.columns)
        guard let rowBytes = info.type.byteCount(elements: part.columns) else {
            throw Problem.invalid("tensor \(fetch.tensor) has rows of an impossible size")
        }
        let (byteCount, overflow) = rowBytes.multipliedReportingOverflow(by: fetch.rows.count)
        guard !overflow, byteCount <= mostBytes || fetch.rows.count == 1 else {
            throw Problem.invalid(
                "rows \(fetch.rows) of tensor \(fetch.tensor) are more than \(mostBytes) bytes; ask for fewer at once")
        }
        let rows = try source.rows(of: fetch.tensor, fetch.rows, columns: fetch.columns)
        let bytes = withExtendedLifetime(rows) {
            [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
                for row in 0..<rows.rows {
                    let source = UnsafeRawBufferPointer(start: rows.base + row * rows.rowStride, count: rowBytes)
                    UnsafeMutableRawBufferPointer(buffer).baseAddress.map {
                        ($0 + row * rowBytes).copyMemory(
                            from: rows.base + row * rows.rowStride, byteCount: source.count)
                    }
                }
                count = byteCount
            }
        }
        return Piece(rows: fetch.rows.count, rowBytes: rowBytes, bytes: bytes)
    }
}
