// Integer weights times int8 activations with AVX2: 16 rows, and one token (decode) or tokens four at a time.
//
// vpmaddubsw wants one unsigned side. Quants of less than a byte are unsigned; what was added to make them so comes back as
// that times the sum of the activations. Signed bytes give their sign to the activation and keep their magnitude (at most
// 128, and 2 x 128 x 127 < 2^15). Sums of int16 take eight products of nibbles, four of five bits, two of six bits.

#if arch(x86_64)
    import Core
    import KernelsV4
    import _Builtin_intrinsics.intel

    /// Tokens that pass while a panel's block is unpacked: their sums stay in the L1 cache.
    let integerTokensAtOnce = 128

    /// y[token][16] <- the sum over `blocks` of one panel.
    func integerLeaf(
        _ w: PanelMatrix, panel: Int, _ x: Activations, tokens: Range<Int>, blocks: Range<Int>,
        into y: UnsafeMutablePointer<Float>, scratch: UnsafeMutableRawPointer, instructions: InstructionSet
    ) {
        let a = BlockRun(x, token: tokens.lowerBound).advanced(by: blocks.lowerBound)
        let base = w.panel(panel)
        let index = w.skippedBlocks + blocks.lowerBound
        if instructions == .v4 {
            KernelsV4.integerLeaf(
                base, index: index, type: w.type, quants: a.quants, scales: a.scales, sums: a.sums,
                halfSums: a.halfSums, scaledSums: a.scaledSums, stride: a.stride, blocks: blocks.count,
                tokens: tokens.count, into: y)
            return
        }
        @inline(__always) func add<let B: Int, let K: Int>(_ type: PackedRun<B, K>.Type) {
            type.init(panel: base, index: index)
                .tiles(a, blocks: blocks.count, tokens: tokens.count, into: y, stride: 16, scratch)
        }
        switch w.type {
        case .q4: add(PackedRun<4, 0>.self)
        case .q4m: add(PackedRun<4, 1>.self)
        case .q4k: add(PackedRun<4, 2>.self)
        case .q5: add(PackedRun<5, 0>.self)
        case .q5m: add(PackedRun<5, 1>.self)
        case .q5k: add(PackedRun<5, 2>.self)
        case .q6k: add(PackedRun<6, 3>.self)
        default: add(PackedRun<8, 0>.self)
        }
    }

    /// y[rows] <- one root's sum for one token, for the rows of some panels, plus `bias`; empty leaves leave it untouched.
    func integerToken(
        _ w: PanelMatrix, panels: Range<Int>, _ x: Activations, token: Int, leaves: UnsafeBufferPointer<Range<Int>>,
        into y: UnsafeMutablePointer<Float>, bias: UnsafePointer<Float>?, scratch: UnsafeMutableRawPointer,
        instructions: InstructionSet
    ) {
        let a = BlockRun(x, token: token)
        let panelBytes = PanelMatrix.panelBytes(type: w.type, columns: w.columns, skippedBlocks: w.skippedBlocks)
        let room = scratch.assumingMemoryBound(to: Float.self)
        if instructions == .v4 {
            KernelsV4.integerToken(
                w.base, panelBytes: panelBytes, skippedBlocks: w.skippedBlocks, rows: w.rows, type: w.type,
                panels: panels, quants: a.quants, scales: a.scales, sums: a.sums, halfSums: a.halfSums,
                scaledSums: a.scaledSums, stride: a.stride, leaves: leaves, into: y, bias: bias, scratch: room)
            return
        }
        let product = TokenProduct(
            base: w.base, panelBytes: panelBytes, skippedBlocks: w.skippedBlocks, rows: w.rows, leaves: leaves,
            activations: a, output: y, bias: bias, scratch: room)
        switch w.type {
        case .q4: PackedRun<4, 0>.write(product, panels)
        case .q4m: PackedRun<4, 1>.write(product, panels)
        case .q4k: PackedRun<4, 2>.write(product, panels)
        case .q5: PackedRun<5, 0>.write(product, panels)
        case .q5m: PackedRun<5, 1>.write(product, panels)
        case .q5k: PackedRun<5, 2>.write(product, panels)
        case .q6k: PackedRun<6, 3>.write(product, panels)
        default: PackedRun<8, 0>.write(product, panels)
        }
    }

    // MARK: - One token

    extension PackedRun {
        /// One root's sum for one token.
        @inline(never)
        fileprivate static func write(_ product: TokenProduct, _ panels: Range<Int>) {
            product.write(panels: panels) { (run: Self, a, blocks) in run.sum(a, blocks: blocks) }
        }

        /// Some blocks of one panel times one token.
        @inline(__always)
        private func sum(_ a: BlockRun, blocks: Int) -> Sixteen {
            var y0 = SIMD8<Float>(repeating: 0)
            var y1 = SIMD8<Float>(repeating: 0)
            var run = self
            var q = a.quants
            var i = 0
            for _ in 0..<blocks {
                var (d0, d1) = run.dots(q, a.halfSums + i)
                if K == 0 && B < 8 {
                    let surplus = shifted(a.sums + i, by: B &- 1)
                    d0 = subtract32(d0, surplus)
                    d1 = subtract32(d1, surplus)
                }
                let scale = SIMD8<Float>(repeating: a.scales[i])
                y0.addProduct(converted(d0), run.scale(half: 0) * scale)
                y1.addProduct(converted(d1), run.scale(half: 1) * scale)
                if Self.hasMinima {
                    let sum = SIMD8<Float>(repeating: a.scaledSums[i])
                    y0.addProduct(run.minima(half: 0), sum)
                    y1.addProduct(run.minima(half: 1), sum)
                }
                run.advance()
                q += a.stride &* 32
                i &+= a.stride
            }
            return Sixteen(y0, y1)
        }

        /// The int32 dot products of the block's rows, first and last eight; quants as they are packed.
        @inline(__always)
        private func dots(_ q: UnsafeRawPointer, _ halfSums: UnsafePointer<Int32>) -> (ByteLanes, ByteLanes) {
            switch B {
            case 4: return nibbleDots(q)
            case 5: return (fiveBitDot(q, half: 0), fiveBitDot(q, half: 1))
            case 6: return (sixBitDot(q, halfSums, half: 0), sixBitDot(q, halfSums, half: 1))
            default:
                var d0 = ByteLanes.zero
                var d1 = ByteLanes.zero
                for k in 0..<8 {
                    let x = fourBytes(q, 4 &* k)
                    d0 = add32(d0, signedPairs(bytes(block, 64 &* k), x))
                    d1 = add32(d1, signedPairs(bytes(block, 64 &* k &+ 32), x))
                }
                return (d0, d1)
            }
        }

        @inline(__always)
        private func nibbleDots(_ q: UnsafeRawPointer) -> (ByteLanes, ByteLanes) {
            let r0 = bytes(block), r1 = bytes(block, 64), r2 = bytes(block, 128), r3 = bytes(block, 192)
            let s0 = bytes(block, 32), s1 = bytes(block, 96), s2 = bytes(block, 160), s3 = bytes(block, 224)
            let a0 = fourBytes(q, 0), a1 = fourBytes(q, 4), a2 = fourBytes(q, 8), a3 = fourBytes(q, 12)
            let a4 = fourBytes(q, 16), a5 = fourBytes(q, 20), a6 = fourBytes(q, 24), a7 = fourBytes(q, 28)
            let p0 = add16(
                add16(bytePairs(lowNibbles(r0), a0), bytePairs(lowNibbles(r1), a2)),
                add16(bytePairs(lowNibbles(r2), a4), bytePairs(lowNibbles(r3), a6)))
            let p1 = add16(
                add16(bytePairs(highNibbles(r0), a1), bytePairs(highNibbles(r1), a3)),
                add16(bytePairs(highNibbles(r2), a5), bytePairs(highNibbles(r3), a7)))
            let p2 = add16(
                add16(bytePairs(lowNibbles(s0), a0), bytePairs(lowNibbles(s1), a2)),
                add16(bytePairs(lowNibbles(s2), a4), bytePairs(lowNibbles(s3), a6)))
            let p3 = add16(
                add16(bytePairs(highNibbles(s0), a1), bytePairs(highNibbles(s1), a3)),
                add16(bytePairs(highNibbles(s2), a5), bytePairs(highNibbles(s3), a7)))
            return (widenedPairs(add16(p0, p1)), widenedPairs(add16(p2, p3)))
        }

        /// Eight rows of five bits.
        @inline(__always)
        private func fiveBitDot(_ q: UnsafeRawPointer, half: Int) -> ByteLanes {
            var first = ByteLanes.zero
            var second = ByteLanes.zero
            for k in 0..<4 {
                first = add16(first, bytePairs(Self.quants(block, k, half: half), fourBytes(q, 4 &* k)))
                second = add16(second, bytePairs(Self.quants(block, k &+ 4, half: half), fourBytes(q, 4 &* k &+ 16)))
            }
            return add32(widenedPairs(first), widenedPairs(second))
        }

        /// Eight rows of six bits, each half times its scale.
        @inline(__always)
        private func sixBitDot(_ q: UnsafeRawPointer, _ halfSums: UnsafePointer<Int32>, half: Int) -> ByteLanes {
            let paired = pairedScales(half: half)
            var sum = scaledPairs(fourBytes(halfSums, 0), paired.surplus)
            for k in 0..<4 {
                let pairs = add16(
                    bytePairs(Self.quants(block, 2 &* k, half: half), fourBytes(q, 8 &* k)),
                    bytePairs(Self.quants(block, 2 &* k &+ 1, half: half), fourBytes(q, 8 &* k &+ 4)))
                sum = add32(sum, scaledPairs(pairs, k < 2 ? paired.first : paired.second))
            }
            return sum
        }
    }

    /// Sixteen products of four bytes: signed weights, signed activations, added in int32.
    @inline(__always) private func signedPairs(_ w: ByteLanes, _ a: ByteLanes) -> ByteLanes {
        widenedPairs(bytePairs(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w)))
    }
#endif
