// The products in plain loops, for processors that have no tiles of their own.

#if !arch(x86_64)
    import Core

    let panelsAtOnce = 1
    let integerTokensAtOnce = 64
    let floatTokensAtOnce = 64
    let leafScratchBytes = 64

    /// y[token][16] <- the sum over `blocks` of one panel.
    func integerLeaf(
        _ panel: UnsafeRawPointer, type: WeightType, _ x: Activations, tokens: Range<Int>, blocks: Range<Int>,
        into y: UnsafeMutablePointer<Float>, scratch: UnsafeMutableRawPointer, instructions: InstructionSet
    ) {
        guard let quants = x.quants, let scales = x.scales, let sums = x.sums, let scaledSums = x.scaledSums else {
            preconditionFailure("integer weights meet int8 activations")
        }
        let scaleOffset = type == .q8 ? 512 : 256
        for t in 0..<tokens.count {
            for row in 0..<16 {
                var sum: Float = 0
                for b in blocks {
                    let block = panel + b * type.panelBlockBytes
                    let i = b * x.tokens + tokens.lowerBound + t
                    var dot: Int32 = 0
                    for k in 0..<32 {
                        dot &+= weight(block, type: type, row: row, column: k) &* Int32(quants[i * 32 + k])
                    }
                    if type == .q4 { dot &-= 8 &* sums[i] }
                    let d = Float(block.load(fromByteOffset: scaleOffset + 2 * row, as: Float16.self))
                    sum.addProduct(Float(dot), d * scales[i])
                    if type == .q4m {
                        let m = Float(block.load(fromByteOffset: scaleOffset + 32 + 2 * row, as: Float16.self))
                        sum.addProduct(m, scaledSums[i])
                    }
                }
                y[t * 16 + row] = sum
            }
        }
    }

    /// One quant of a panel's block.
    private func weight(_ block: UnsafeRawPointer, type: WeightType, row: Int, column: Int) -> Int32 {
        if type == .q8 {
            return Int32(block.load(fromByteOffset: column / 4 * 64 + row * 4 + column % 4, as: Int8.self))
        }
        let byte = block.load(fromByteOffset: column / 8 * 64 + row * 4 + column % 4, as: UInt8.self)
        return Int32(column % 8 < 4 ? byte & 15 : byte >> 4)
    }

    /// y[panel][token][16] <- the sum over `columns` of some panels.
    func floatLeaf(
        _ w: PanelMatrix, panels: Range<Int>, _ x: Activations, tokens: Range<Int>, columns: Range<Int>,
        into y: UnsafeMutablePointer<Float>, scratch: UnsafeMutableRawPointer
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
#endif
