import Core
import Testing

@testable import Kernels

/// A product's activations, outputs and calls, as the tests want them.
private struct Trial {
    let x: [[Float]]
    let stride: Int
    let columns: Int

    init(tokens: Int, columns: Int, seed: UInt64) {
        var numbers = Numbers(seed: seed)
        x = (0..<tokens).map { _ in (0..<columns).map { _ in numbers.float() * 3 } }
        stride = columns + 3
        self.columns = columns
    }

    /// Output of every root [root][token][rows + 5], filled with a mark where nothing was written.
    ///
    /// Every instruction set that this machine runs is tried, and all must have the same bits.
    func run(
        _ w: PanelMatrix, tree: ColumnTree, bias: [Float]? = nil, panels: [Range<Int>]? = nil,
        tokens: [Range<Int>]? = nil, isPlain: Bool = false
    ) -> [[UInt32]] {
        if isPlain { return run(w, tree: tree, bias: bias, panels: panels, tokens: tokens, instructions: nil) }
        let found = InstructionSet.available.map { instructions in
            run(w, tree: tree, bias: bias, panels: panels, tokens: tokens, instructions: instructions)
        }
        for other in found { #expect(other == found[0]) }
        return found[0]
    }

    /// With no instruction set by the plain loops, for one leaf.
    private func run(
        _ w: PanelMatrix, tree: ColumnTree, bias: [Float]?, panels: [Range<Int>]?, tokens: [Range<Int>]?,
        instructions: InstructionSet?
    ) -> [[UInt32]] {
        let outputStride = w.rows + 5
        var flat = [Float](repeating: .nan, count: x.count * stride)
        for (t, row) in x.enumerated() { flat.replaceSubrange(t * stride..<t * stride + columns, with: row) }
        let outputs = tree.roots.map { _ in
            let p = UnsafeMutablePointer<Float>.allocate(capacity: x.count * outputStride)
            p.initialize(repeating: mark, count: x.count * outputStride)
            return p
        }
        let buffer = UnsafeMutableRawPointer.allocate(
            byteCount: activationBytes(tokens: x.count, columns: columns), alignment: 64)
        let scratch = UnsafeMutableRawPointer.allocate(
            byteCount: productScratchBytes(tokens: x.count), alignment: 64)
        defer {
            outputs.forEach { $0.deallocate() }
            buffer.deallocate()
            scratch.deallocate()
        }
        flat.withUnsafeBufferPointer { floats in
            guard let base = floats.baseAddress else { return }
            var a = Activations(floats: base, stride: stride, tokens: x.count, columns: columns)
            if w.type.isInteger {
                a = Activations(buffer: buffer, tokens: x.count, columns: columns)
                for b in 0..<a.blocks {
                    quantizeActivations(
                        base, stride: stride, tokens: 0..<x.count, columns: columns, blocks: b..<b + 1, into: a)
                }
            }
            guard let instructions else { return plainLoops(w, a, into: outputs[0], outputStride: outputStride) }
            for some in tokens ?? [0..<x.count] {
                for few in panels ?? [0..<w.panelCount] {
                    product(
                        w, panels: few, a, tokens: some, tree: tree, into: outputs, outputStride: outputStride,
                        bias: bias, scratch: scratch, instructions: instructions)
                }
            }
        }
        return outputs.map { p in (0..<x.count * outputStride).map { p[$0].bitPattern } }
    }

    /// All columns as one leaf, of whole panels.
    private func plainLoops(
        _ w: PanelMatrix, _ a: Activations, into output: UnsafeMutablePointer<Float>, outputStride: Int
    ) {
        for panel in 0..<w.panelCount {
            var cells = [Float](repeating: 0, count: 16 * x.count)
            if w.type.isInteger {
                plainIntegerLeaf(
                    w, panel: panel, a, tokens: 0..<x.count, blocks: 0..<a.blocks, into: &cells, stride: 16)
            } else {
                plainFloatLeaf(
                    w, panels: panel..<panel + 1, a, tokens: 0..<x.count, columns: 0..<columns, into: &cells)
            }
            for t in x.indices {
                for row in 0..<16 { output[t * outputStride + panel * 16 + row] = cells[16 * t + row] }
            }
        }
    }

    /// What `run` must give.
    func twin(_ w: StoredMatrix, tree: ColumnTree, bias: [Float]? = nil) -> [[UInt32]] {
        let rows = (0..<w.rows).map { TwinRow(w, row: $0) }
        let tokens = x.map { TwinRow(activations: $0) }
        return tree.roots.map { leaves in
            tokens.flatMap { token in
                (0..<w.rows + 5).map { r in
                    guard r < w.rows, let sum = treeTwin(rows[r], token, leaves: leaves[...]) else {
                        return mark.bitPattern
                    }
                    return (bias.map { sum + $0[r] } ?? sum).bitPattern
                }
            }
        }
    }
}

private let mark: Float = 12345.678

@Suite struct ProductTests {
    @Test("a product has the twin's bits, for every type, row count and column count", arguments: StoredFormat.allCases)
    func shapes(format: StoredFormat) {
        for (rows, columns) in [(1, 32), (15, 64), (16, 176), (17, 176), (40, 64), (100, 33), (18, 544)] {
            let w = StoredMatrix(format, rows: rows, columns: columns, seed: UInt64(rows * columns))
            for tokens in [1, 2, 5] {
                let trial = Trial(tokens: tokens, columns: columns, seed: UInt64(tokens))
                let bias = (0..<rows).map { Float($0) / 7 - 1 }
                let tree = ColumnTree.whole(columns)
                w.withPanels(format.weightType) { panels in
                    #expect(trial.run(panels, tree: tree) == trial.twin(w, tree: tree))
                    #expect(trial.run(panels, tree: tree, bias: bias) == trial.twin(w, tree: tree, bias: bias))
                }
            }
        }
    }

    @Test("a token's product does not depend on how many tokens stand beside it", arguments: StoredFormat.allCases)
    func tokens(format: StoredFormat) {
        let w = StoredMatrix(format, rows: 81, columns: 64, seed: 5)
        let tree = ColumnTree.whole(64)
        w.withPanels(format.weightType) { panels in
            for tokens in [1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 64, 70] {
                let trial = Trial(tokens: tokens, columns: 64, seed: 9)
                #expect(trial.run(panels, tree: tree) == trial.twin(w, tree: tree), "\(tokens) tokens")
            }
        }
    }

    @Test("more tokens than pass at once have the twin's bits", arguments: StoredFormat.allCases)
    func chunks(format: StoredFormat) {
        let w = StoredMatrix(format, rows: 2, columns: 32, seed: 5)
        let trial = Trial(tokens: 400, columns: 32, seed: 9)
        let tree = ColumnTree.whole(32)
        w.withPanels(format.weightType) { panels in
            #expect(trial.run(panels, tree: tree) == trial.twin(w, tree: tree))
        }
    }

    @Test("long rows have the twin's bits", arguments: StoredFormat.allCases)
    func long(format: StoredFormat) {
        let w = StoredMatrix(format, rows: 5, columns: 4096, seed: 6)
        let tree = ColumnTree.whole(4096)
        w.withPanels(format.weightType) { panels in
            for tokens in [1, 6] {
                let trial = Trial(tokens: tokens, columns: 4096, seed: 4)
                #expect(trial.run(panels, tree: tree) == trial.twin(w, tree: tree))
            }
        }
    }

    @Test("leaves add in a balanced tree where empty leaves leave no trace", arguments: StoredFormat.allCases)
    func trees(format: StoredFormat) {
        let w = StoredMatrix(format, rows: 20, columns: 208, seed: 7)
        let trees: [[[Range<Int>]]] = [
            [[0..<32, 32..<64, 64..<96, 96..<128, 128..<160, 160..<192, 192..<192, 192..<208]],
            [[0..<0, 0..<64, 64..<64, 64..<64, 64..<128, 128..<128, 128..<192, 192..<192]],
            [[0..<0, 0..<0], [0..<64, 64..<160], [160..<208]],
            [[32..<64], [0..<0], [64..<64, 64..<96, 96..<96, 96..<176]],
        ]
        for roots in trees {
            let tree = ColumnTree(roots: roots)
            for tokens in [1, 3, 9] {
                let trial = Trial(tokens: tokens, columns: 208, seed: 3)
                w.withPanels(format.weightType) { panels in
                    let bias = (0..<20).map { Float($0) }
                    #expect(trial.run(panels, tree: tree) == trial.twin(w, tree: tree))
                    #expect(trial.run(panels, tree: tree, bias: bias) == trial.twin(w, tree: tree, bias: bias))
                }
            }
        }
    }

    @Test("splitting panels or tokens among threads changes no bit", arguments: StoredFormat.allCases)
    func splits(format: StoredFormat) {
        let w = StoredMatrix(format, rows: 200, columns: 96, seed: 8)
        let tree = ColumnTree(roots: [[0..<32, 32..<96]])
        let trial = Trial(tokens: 11, columns: 96, seed: 2)
        w.withPanels(format.weightType) { panels in
            let whole = trial.run(panels, tree: tree)
            #expect(trial.run(panels, tree: tree, panels: [0..<1, 1..<6, 6..<13, 13..<13]) == whole)
            #expect(trial.run(panels, tree: tree, tokens: [0..<1, 1..<3, 3..<10, 10..<11]) == whole)
            #expect(trial.run(panels, tree: tree, panels: [0..<9, 9..<13], tokens: [0..<7, 7..<7, 7..<11]) == whole)
        }
    }

    @Test(
        "columns that begin within a superblock have the bits they have among all", arguments: [32, 96, 256, 288, 480])
    func skippedBlocks(from: Int) {
        for format in StoredFormat.allCases {
            let columns = 800
            let w = StoredMatrix(format, rows: 17, columns: columns, seed: 21)
            for tokens in [1, 6] {
                let trial = Trial(tokens: tokens, columns: columns, seed: 22)
                let middle = from + 160
                let whole = w.withPanels(format.weightType) {
                    trial.run($0, tree: ColumnTree(roots: [[from..<middle], [middle..<columns]]))
                }
                let part = w.withPanels(format.weightType, from: from) {
                    trial.dropping(from).run(
                        $0, tree: ColumnTree(roots: [[0..<160], [160..<columns - from]]))
                }
                #expect(part == whole, "\(format), \(tokens) tokens")
            }
        }
    }

    @Test("the plain loops of other processors have the tiles' bits", arguments: StoredFormat.allCases)
    func plainLoops(format: StoredFormat) {
        let w = StoredMatrix(format, rows: 32, columns: 416, seed: 31)
        let trial = Trial(tokens: 3, columns: 320, seed: 32)
        let tree = ColumnTree.whole(320)
        w.withPanels(format.weightType, from: 96) { panels in
            #expect(trial.run(panels, tree: tree, isPlain: true) == trial.run(panels, tree: tree))
        }
    }

    @Test("the largest quants neither overflow nor saturate")
    func extremes() {
        for (format, byte) in [
            (StoredFormat.q8_0, UInt8(0x80)), (.q8_0, 0x7f), (.q4_0, 0xff), (.q4_0, 0), (.q4_1, 0xff), (.q5_0, 0xff),
            (.q5_0, 0), (.q5_1, 0xff), (.q4_k, 0xff), (.q5_k, 0xff), (.q6_k, 0xff), (.q6_k, 0), (.q6_k, 0x80),
        ] {
            var w = StoredMatrix(format, rows: 16, columns: 256, seed: 1)
            for start in stride(from: 1, to: w.bytes.count, by: format.blockBytes) {
                var block = [UInt8](repeating: byte, count: format.blockBytes)
                // The greatest small scales of Q6_K go with the greatest quants, and with the least.
                if format == .q6_k { block.replaceSubrange(192..<208, with: repeatElement(0x80, count: 16)) }
                StoredMatrix.put(0.01, in: &block, at: format.scaleAt)
                if let at = format.minimumAt { StoredMatrix.put(0.5, in: &block, at: at) }
                w.bytes.replaceSubrange(start..<start + block.count, with: block)
            }
            for sign in [Float(1), -1] {
                for tokens in [1, 2, 5] {
                    let trial = Trial(constant: sign * 0.7, tokens: tokens, columns: 256)
                    let tree = ColumnTree.whole(256)
                    w.withPanels(format.weightType) { panels in
                        #expect(trial.run(panels, tree: tree) == trial.twin(w, tree: tree))
                    }
                }
            }
        }
    }
}

extension Trial {
    /// The same without the first columns.
    fileprivate func dropping(_ count: Int) -> Trial { Trial(x: x.map { Array($0.dropFirst(count)) }) }

    private init(x: [[Float]]) {
        self.x = x
        columns = x.first?.count ?? 0
        stride = columns + 3
    }

    /// Rows of one number.
    fileprivate init(constant: Float, tokens: Int, columns: Int) {
        x = Array(repeating: Array(repeating: constant, count: columns), count: tokens)
        stride = columns
        self.columns = columns
    }
}
