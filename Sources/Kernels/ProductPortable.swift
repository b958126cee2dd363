// The products in plain loops, for processors that have no tiles of their own. Compiled everywhere, so that the tests see
// that their bits are those of the tiles.

import Core

#if !arch(x86_64)
    let panelsAtOnce = 1
    let integerTokensAtOnce = 64
    let floatTokensAtOnce = 64
    let leafScratchBytes = 64

    func integerLeaf(
        _ w: PanelMatrix, panels: Range<Int>, _ x: Activations, tokens: Range<Int>, blocks: Range<Int>,
        into y: UnsafeMutablePointer<Float>, scratch: UnsafeMutableRawPointer, instructions: InstructionSet
    ) {
        for panel in panels {
            plainIntegerLeaf(
                w, panel: panel, x, tokens: tokens, blocks: blocks,
                into: y + (panel - panels.lowerBound) * tokens.count * 16, stride: 16)
        }
    }

    func floatLeaf(
        _ w: PanelMatrix, panels: Range<Int>, _ x: Activations, tokens: Range<Int>, columns: Range<Int>,
        into y: UnsafeMutablePointer<Float>, scratch: UnsafeMutableRawPointer, instructions: InstructionSet
    ) { plainFloatLeaf(w, panels: panels, x, tokens: tokens, columns: columns, into: y) }
#endif

/// y[token][16] <- the sum over `blocks` of one panel, `stride` floats from token to token.
func plainIntegerLeaf(
    _ w: PanelMatrix, panel: Int, _ x: Activations, tokens: Range<Int>, blocks: Range<Int>,
    into y: UnsafeMutablePointer<Float>, stride: Int
) {
    guard let quants = x.quants, let scales = x.scales, let scaledSums = x.scaledSums else {
        preconditionFailure("integer weights meet int8 activations")
    }
    for t in 0..<tokens.count {
        for row in 0..<16 {
            var sum: Float = 0
            for b in blocks {
                let block = PackedRow(w, panel: panel, block: b, row: row)
                let i = b * x.tokens + tokens.lowerBound + t
                var dots: (Int32, Int32) = (0, 0)
                for k in 0..<16 {
                    dots.0 &+= block.quant(k) &* Int32(quants[i * 32 + k])
                    dots.1 &+= block.quant(k + 16) &* Int32(quants[i * 32 + k + 16])
                }
                let parts = block.halfScales
                sum.addProduct(Float(dots.0 &* parts.0 &+ dots.1 &* parts.1), block.scale * scales[i])
                if let minimum = block.minimum { sum.addProduct(minimum, scaledSums[i]) }
            }
            y[t * stride + row] = sum
        }
    }
}

/// A row of a panel's block of integers.
private struct PackedRow {
    let type: WeightType
    let block: UnsafeRawPointer
    let factors: UnsafeRawPointer
    let row: Int

    init(_ w: PanelMatrix, panel: Int, block: Int, row: Int) {
        let offsets = w.type.offsets(ofBlock: block + w.skippedBlocks)
        type = w.type
        self.block = w.panel(panel) + offsets.block
        factors = w.panel(panel) + offsets.superblock
        self.row = row
    }

    /// The signed integer of a column, or the unsigned one where a minimum is added.
    func quant(_ column: Int) -> Int32 {
        let (group, byte) = (column / 4, row * 4 + column % 4)
        if type == .q8 { return Int32(block.load(fromByteOffset: group * 64 + byte, as: Int8.self)) }
        func bits(_ at: Int, _ place: Int) -> Int32 {
            Int32(block.load(fromByteOffset: at + byte, as: UInt8.self)) >> Int32(place)
        }
        let nibble = bits(group / 2 * 64, group % 2 * 4) & 15
        return switch type {
        case .q4: nibble - 8
        case .q5: nibble + (bits(256, group) & 1) << 4 - 16
        case .q5m, .q5k: nibble + (bits(256, group) & 1) << 4
        case .q6k: nibble + (bits(256 + group / 4 * 64, group % 4 * 2) & 3) << 4 - 32
        default: nibble
        }
    }

    /// Integers that the dot products of both halves are multiplied by.
    var halfScales: (Int32, Int32) { type == .q6k ? (Int32(signed(0)), Int32(signed(1))) : (1, 1) }

    /// What the dot product is multiplied by.
    var scale: Float {
        switch type {
        case .q4k, .q5k: Float(UInt8(bitPattern: signed(0))) * half(factors, 0)
        case .q6k: half(factors, 0)
        default: half(block + type.quantBytes, 0)
        }
    }

    /// What is added for each unit of the activations' sum.
    var minimum: Float? {
        switch type {
        case .q4m, .q5m: half(block + type.quantBytes, 1)
        case .q4k, .q5k: Float(UInt8(bitPattern: signed(1))) * half(factors, 1)
        default: nil
        }
    }

    private func signed(_ index: Int) -> Int8 {
        block.load(fromByteOffset: type.quantBytes + 16 * index + row, as: Int8.self)
    }

    private func half(_ p: UnsafeRawPointer, _ index: Int) -> Float {
        Float(p.load(fromByteOffset: 32 * index + 2 * row, as: Float16.self))
    }
}

/// y[panel][token][16] <- the sum over `columns` of some panels.
func plainFloatLeaf(
    _ w: PanelMatrix, panels: Range<Int>, _ x: Activations, tokens: Range<Int>, columns: Range<Int>,
    into y: UnsafeMutablePointer<Float>
) {
    guard let floats = x.floats else { preconditionFailure("float weights meet float activations") }
    var cell = y
    for panel in panels {
        let base = w.panel(panel)
        for t in tokens {
            let row = floats + t * x.floatStride
            for r in 0..<16 {
                var sum: Float = 0
                for k in columns {
                    let i = k * 16 + r
                    let weight: Float =
                        switch w.type {
                        case .f32: base.load(fromByteOffset: 4 * i, as: Float.self)
                        case .bf16: widenBF16(base.load(fromByteOffset: 2 * i, as: UInt16.self))
                        default: Float(base.load(fromByteOffset: 2 * i, as: Float16.self))
                        }
                    sum.addProduct(weight, row[k])
                }
                cell[r] = sum
            }
            cell += 16
        }
    }
}
