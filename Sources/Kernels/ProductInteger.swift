// Integer weights times int8 activations with AVX2: 16 rows, and one token (decode) or tokens four at a time.
//
// vpmaddubsw wants one unsigned side. Quants of less than a byte are unsigned; what was added to make them so comes back as
// that times the sum of the activations. Signed bytes give their sign to the activation and keep their magnitude (at most
// 128, and 2 x 128 x 127 < 2^15). Sums of int16 take eight products of nibbles, four of five bits, two of six bits.

#if arch(x86_64)
    import CLinux
    import Core
    import KernelsV4
    import _Builtin_intrinsics.intel

    /// Tokens that pass while a panel's block is unpacked: their sums stay in the L1 cache.
    let integerTokensAtOnce = 128

    /// y[panel][token][16] <- the sum over `blocks` of some panels.
    func integerLeaf(
        _ w: PanelMatrix, panels: Range<Int>, _ x: Activations, tokens: Range<Int>, blocks: Range<Int>,
        into y: UnsafeMutablePointer<Float>, scratch: UnsafeMutableRawPointer, instructions: InstructionSet
    ) {
        let a = BlockRun(x, token: tokens.lowerBound).advanced(by: blocks.lowerBound)
        let first = w.panel(panels.lowerBound)
        let panelBytes = PanelMatrix.panelBytes(type: w.type, columns: w.columns, skippedBlocks: w.skippedBlocks)
        let index = w.skippedBlocks + blocks.lowerBound
        if instructions == .v4 {
            KernelsV4.integerLeaf(
                first, panelBytes: panelBytes, panels: panels.count, index: index, type: w.type, quants: a.quants,
                scales: a.scales, sums: a.sums, halfSums: a.halfSums, scaledSums: a.scaledSums, stride: a.stride,
                blocks: blocks.count, tokens: tokens.count, into: y)
            return
        }
        @inline(__always) func add<let B: Int, let K: Int>(_ type: PackedRun<B, K>.Type) {
            for panel in 0..<panels.count {
                let run = type.init(panel: first + panel * panelBytes, index: index)
                let y = y + panel * tokens.count * 16
                switch tokens.count {
                case 2: run.fewTokens(InlineArray<2, Void>(repeating: ()), a, blocks.count, into: y)
                case 3 where B == 8: run.fewTokens(InlineArray<3, Void>(repeating: ()), a, blocks.count, into: y)
                default: run.tiles(a, blocks: blocks.count, tokens: tokens.count, into: y, stride: 16, scratch)
                }
            }
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
            let pairs = pairs(of: panels)
            product.write(panels: pairs) { (runs: InlineArray<2, Self>, a, blocks, y) in
                sums(runs, a, blocks, into: y)
            }
            product.write(panels: pairs.upperBound..<panels.upperBound) {
                (runs: InlineArray<1, Self>, a, blocks, y) in sums(runs, a, blocks, into: y)
            }
        }

        /// y[panel][16] <- the sums of some blocks of `N` panels, one or two, for one token.
        @inline(__always)
        private static func sums<let N: Int>(
            _ first: InlineArray<N, Self>, _ a: BlockRun, _ blocks: Int, into y: UnsafeMutablePointer<Float>
        ) {
            var low = InlineArray<N, SIMD8<Float>>(repeating: .zero)
            var high = InlineArray<N, SIMD8<Float>>(repeating: .zero)
            var runs = first
            var left = first[0].left
            var q = a.quants
            var i = 0
            for _ in 0..<blocks {
                clinux_prefetch(q + BlockRun.bytesAhead &* a.stride)
                let isLast = Self.isLast(&left)
                @inline(__always) func add(_ n: Int) {
                    // One half after the other: sixteen registers have no room for both.
                    low[n] = runs[n].added(low[n], half: 0, q, a, i)
                    high[n] = runs[n].added(high[n], half: 1, q, a, i)
                    runs[n].advance(isLast: isLast)
                }
                // No loop: the compiler leaves one of this length as it is, with its sums in memory.
                add(0)
                if N == 2 { add(1) }
                q += 32 &* a.stride
                i &+= a.stride
            }
            for n in 0..<N { Sixteen(low[n], high[n]).write(y + 16 &* n) }
        }

        /// y[N][16] <- the sums of some blocks for two or three tokens, each of which unpacks a block anew: that costs less than to
        /// store it, for two tokens, and for three where a weight is a byte and its sign is stored too.
        @inline(never)
        fileprivate func fewTokens<let N: Int>(
            _ shape: InlineArray<N, Void>, _ a: BlockRun, _ blocks: Int, into y: UnsafeMutablePointer<Float>
        ) {
            var low = InlineArray<N, SIMD8<Float>>(repeating: .zero)
            var high = InlineArray<N, SIMD8<Float>>(repeating: .zero)
            var run = self
            var left = left
            var i = 0
            for _ in 0..<blocks {
                @inline(__always) func add(_ t: Int) {
                    let q = a.quants + 32 &* (i &+ t)
                    low[t] = run.added(low[t], half: 0, q, a, i &+ t)
                    high[t] = run.added(high[t], half: 1, q, a, i &+ t)
                }
                clinux_prefetch(a.quants + (32 &* i &+ BlockRun.bytesAhead &* a.stride))
                add(0)
                add(1)
                if N == 3 { add(2) }
                run.advance(isLast: Self.isLast(&left))
                i &+= a.stride
            }
            for t in 0..<N { Sixteen(low[t], high[t]).write(y + 16 &* t) }
        }

        /// A token's sums of eight rows with the block added; `i` is the token's cell.
        @inline(__always)
        private func added(
            _ before: SIMD8<Float>, half: Int, _ q: UnsafeRawPointer, _ a: BlockRun, _ i: Int
        ) -> SIMD8<Float> {
            var sums = before
            var dots = dots(q, a.halfSums + i, half: half)
            if K == 0 && B < 8 { dots = subtract32(dots, shifted(a.sums + i, by: B &- 1)) }
            sums.addProduct(converted(dots), scale(half: half) * SIMD8(repeating: a.scales[i]))
            if Self.hasMinima { sums.addProduct(minima(half: half), SIMD8(repeating: a.scaledSums[i])) }
            return sums
        }

        /// The int32 dot products of the block's first or last eight rows; quants as they are packed.
        @inline(__always)
        private func dots(_ q: UnsafeRawPointer, _ halfSums: UnsafePointer<Int32>, half: Int) -> ByteLanes {
            switch B {
            case 4: return nibbleDots(q, half: half)
            case 5: return fiveBitDots(q, half: half)
            case 6: return sixBitDots(q, halfSums, half: half)
            default:
                var dots = ByteLanes.zero
                for k in 0..<8 {
                    dots = add32(dots, signedPairs(clinux_loaded_32(line(k, half: half)), fourBytes(q, 4 &* k)))
                }
                return dots
            }
        }

        /// Eight rows of four bits.
        @inline(__always)
        private func nibbleDots(_ q: UnsafeRawPointer, half: Int) -> ByteLanes {
            @inline(__always) func pairs(_ k: Int) -> ByteLanes {
                let two = clinux_loaded_32(line(k, half: half))
                return add16(
                    bytePairs(lowNibbles(two), fourBytes(q, 8 &* k)),
                    bytePairs(highNibbles(two), fourBytes(q, 8 &* k &+ 4)))
            }
            return widenedPairs(add16(add16(pairs(0), pairs(1)), add16(pairs(2), pairs(3))))
        }

        /// Eight rows' half of all lines of the block, loaded in the order in which they lie: the higher bits, which are used first, last.
        @inline(__always)
        private func lines(half: Int) -> InlineArray<6, ByteLanes> {
            InlineArray { $0 < B ? clinux_loaded_32(line($0, half: half)) : .zero }
        }

        /// Eight rows of five bits.
        @inline(__always)
        private func fiveBitDots(_ q: UnsafeRawPointer, half: Int) -> ByteLanes {
            let lines = lines(half: half)
            @inline(__always) func pairs(_ k: Int) -> ByteLanes {
                bytePairs(Self.quants(k) { lines[$0] }, fourBytes(q, 4 &* k))
            }
            return add32(
                widenedPairs(add16(add16(pairs(0), pairs(1)), add16(pairs(2), pairs(3)))),
                widenedPairs(add16(add16(pairs(4), pairs(5)), add16(pairs(6), pairs(7)))))
        }

        /// Eight rows of six bits, each half times its scale.
        @inline(__always)
        private func sixBitDots(_ q: UnsafeRawPointer, _ halfSums: UnsafePointer<Int32>, half: Int) -> ByteLanes {
            let lines = lines(half: half)
            let paired = pairedScales(half: half)
            @inline(__always) func pairs(_ k: Int) -> ByteLanes {
                let two = add16(
                    bytePairs(Self.quants(2 &* k) { lines[$0] }, fourBytes(q, 8 &* k)),
                    bytePairs(Self.quants(2 &* k &+ 1) { lines[$0] }, fourBytes(q, 8 &* k &+ 4)))
                return scaledPairs(two, k < 2 ? paired.first : paired.second)
            }
            return add32(
                scaledPairs(fourBytes(halfSums, 0), paired.surplus),
                add32(add32(pairs(0), pairs(1)), add32(pairs(2), pairs(3))))
        }
    }

    /// Sixteen products of four bytes: signed weights, signed activations, added in int32.
    @inline(__always) private func signedPairs(_ w: ByteLanes, _ a: ByteLanes) -> ByteLanes {
        widenedPairs(bytePairs(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w)))
    }
#endif
