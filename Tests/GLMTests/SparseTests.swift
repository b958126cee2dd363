import Checkpoint
import Core
import FoundationEssentials
import GLM
import Testing

/// Attention to chosen pages: another answer than exact attention's, but one answer.
@Suite("Sparse attention")
struct SparseTests {
    /// A small model with random weights, written once.
    private static let model: Result<String, any Error> = Result {
        let folder =
            FileManager.default.temporaryDirectory.path + "/glm-sparse-\(UInt64.random(in: 0...UInt64.max))"
        try RandomModel.make(folder: folder, preset: .tiny, layers: 2, type: .f32)
        return folder
    }

    /// Up to here every page is attended: the first, the last sixteen, and two in each slot.
    private static let exactUntil = 64 * (1 + 2 * 64 + 16)
    /// Logits are compared from here on: of some tokens that see everything, and of many that do not.
    private static let from = exactUntil - 64
    private static let count = from + 600

    private static func tokens(_ count: Int, seed: Int = 0) -> [TokenID] {
        (0..<count).map { TokenID(($0 * 7919 + $0 / 64 * 31 + seed) % 490) }
    }

    /// The logits of tokens `from`... of the first sequence, read in steps of `first` tokens before and of `chunk` from there on; the
    /// company shares these.
    private static func logits(
        attention: AttentionMode, first: Int = 512, chunk: Int,
        company: [(tokens: [TokenID], attention: AttentionMode)] = [],
        run: ([Segment]) throws -> [SegmentResult]
    ) throws -> [Float] {
        let tokens = tokens(count)
        let id = SequenceID(100)
        for start in stride(from: 0, to: from, by: first) {
            _ = try run([
                Segment(
                    sequence: id, start: start, tokens: Array(tokens[start..<min(start + first, from)]), output: .none,
                    attention: attention)
            ])
        }
        var logits: [Float] = []
        for start in stride(from: from, to: count, by: chunk) {
            var segments = [
                Segment(
                    sequence: id, start: start, tokens: Array(tokens[start..<min(start + chunk, count)]),
                    output: .logits, attention: attention)
            ]
            for (index, other) in company.enumerated() where start - from < other.tokens.count {
                let end = min(start - from + chunk, other.tokens.count)
                segments.append(
                    Segment(
                        sequence: SequenceID(200 + UInt64(index)), start: start - from,
                        tokens: Array(other.tokens[start - from..<end]), output: .none, attention: other.attention))
            }
            for result in try run(segments) where result.sequence == id { logits += result.logits }
        }
        return logits
    }

    /// The answer of one process, computed once.
    private static let whole: Result<[Float], any Error> = Result { try alone(.sparse) }

    private static func grid(_ layout: String, kvType: KVType? = nil) throws -> Grid {
        let checkpoint = try Checkpoint.open(model.get())
        var description = try ModelDescription(checkpoint)
        description.configuration.contextLength = 16_384
        return try Grid(
            description, source: checkpoint, layout: Layout(layout), kvType: kvType, kvTokens: 16_384)
    }

    private static func alone(
        _ attention: AttentionMode = .sparse, kvType: KVType? = nil, first: Int = 512, chunk: Int = 512
    ) throws -> [Float] {
        let grid = try grid("1x1", kvType: kvType)
        return try logits(attention: attention, first: first, chunk: chunk) { try grid.run($0) }
    }

    @Test("tokens that may attend to every page have exact attention's bits, later ones have others")
    func sameAndOther() throws {
        let vocabulary = 512
        let same = 64 * vocabulary
        let exact = try Self.alone(.exact)
        let sparse = try Self.whole.get()
        #expect(sparse.count == 600 * vocabulary)
        #expect(sparse[..<same].map(\.bitPattern) == exact[..<same].map(\.bitPattern))
        #expect(sparse[same...].map(\.bitPattern) != exact[same...].map(\.bitPattern))
        #expect(!sparse.contains { !$0.isFinite })
    }

    @Test("chunks and company change no bit", arguments: [nil, KVType.q8])
    func chunks(kvType: KVType?) throws {
        let whole = try kvType == nil ? Self.whole.get() : Self.alone(kvType: kvType)
        for (first, chunk) in [(512, 1), (448, 7), (64, 64), (9280, 600)] {
            #expect(try Self.alone(kvType: kvType, first: first, chunk: chunk).bits == whole.bits, "chunk \(chunk)")
        }
        let grid = try Self.grid("1x1", kvType: kvType)
        let company: [(tokens: [TokenID], attention: AttentionMode)] = [
            (Self.tokens(600, seed: 1), .exact), (Self.tokens(300, seed: 2), .sparse),
        ]
        let together = try Self.logits(attention: .sparse, chunk: 50, company: company) { try grid.run($0) }
        #expect(together.bits == whole.bits)
    }

    @Test("every layout gives the same bits", arguments: ["2x1", "1x2", "2x2", "1x3", "1x4", "1x8"])
    func layouts(layout: String) throws {
        let whole = try Self.whole.get()
        let grid = try Self.grid(layout)
        let company: [(tokens: [TokenID], attention: AttentionMode)] = [(Self.tokens(100, seed: 1), .exact)]
        let found = try Self.logits(attention: .sparse, first: 500, chunk: 90, company: company) { try grid.run($0) }
        #expect(found.bits == whole.bits)
    }
}
