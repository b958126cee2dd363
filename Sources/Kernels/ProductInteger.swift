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

    /// y[token][16] <- the sum over `blocks` of one panel.
    func integerLeaf(
        _ w: PanelMatrix, panel: Int, _ x: Activations, tokens: Range<Int>, blocks: Range<Int>,
        into y: UnsafeMutablePointer<Float>, scratch: UnsafeMutableRawPointer, instructions: InstructionSet
    ) {
        guard let q = x.quants, let scales = x.scales, let sums = x.sums, let halfSums = x.halfSums,
            let scaledSums = x.scaledSums
        else { preconditionFailure("integer weights meet int8 activations") }
        let first = blocks.lowerBound * x.tokens + tokens.lowerBound
        let a = BlockRun(
            quants: UnsafeRawPointer(q + first * 32), scales: scales + first, sums: sums + first,
            halfSums: halfSums + first, scaledSums: scaledSums + first, stride: x.tokens)
        let index = w.skippedBlocks + blocks.lowerBound
        let offsets = w.type.offsets(ofBlock: index)
        let (block, factors, left) = (
            w.panel(panel) + offsets.block, w.panel(panel) + offsets.superblock, 8 - index % 8
        )
        if instructions == .v4 {
            KernelsV4.integerLeaf(
                block, factors: factors, left: left, type: w.type, quants: a.quants, scales: a.scales, sums: a.sums,
                halfSums: a.halfSums, scaledSums: a.scaledSums, stride: a.stride, blocks: blocks.count,
                tokens: tokens.count, into: y)
            return
        }
        @inline(__always) func add<let B: Int, let K: Int>(_ run: PackedRun<B, K>) {
            if tokens.count == 1 {
                run.vector(a, blocks: blocks.count, into: y)
            } else {
                run.tiles(a, blocks: blocks.count, tokens: tokens.count, into: y, scratch)
            }
        }
        switch w.type {
        case .q4: add(PackedRun<4, 0>(block: block, factors: factors, left: left))
        case .q4m: add(PackedRun<4, 1>(block: block, factors: factors, left: left))
        case .q4k: add(PackedRun<4, 2>(block: block, factors: factors, left: left))
        case .q5: add(PackedRun<5, 0>(block: block, factors: factors, left: left))
        case .q5m: add(PackedRun<5, 1>(block: block, factors: factors, left: left))
        case .q5k: add(PackedRun<5, 2>(block: block, factors: factors, left: left))
        case .q6k: add(PackedRun<6, 3>(block: block, factors: factors, left: left))
        default: add(PackedRun<8, 0>(block: block, factors: factors, left: left))
        }
    }

    /// How far ahead of its use a block is asked for: left alone, processors fetch one stream at about half of what
    /// memory gives.
    private let bytesAhead = 4096

    /// Asks for the `byteCount` bytes that come `bytesAhead` later.
    @inline(__always) private func fetchAhead(_ w: UnsafeRawPointer, byteCount: Int) {
        var at = 0
        while at < byteCount {
            clinux_prefetch(w + (bytesAhead &+ at))
            at &+= 64
        }
    }

    /// The activations of a leaf, from its first block and token; `stride` cells from block to block.
    struct BlockRun {
        let quants: UnsafeRawPointer
        let scales: UnsafePointer<Float>
        let sums: UnsafePointer<Int32>
        let halfSums: UnsafePointer<Int32>
        let scaledSums: UnsafePointer<Float>
        let stride: Int
    }

    // MARK: - One token

    extension PackedRun {
        /// y[16] <- one panel times one token.
        @inline(never)
        fileprivate func vector(_ a: BlockRun, blocks: Int, into y: UnsafeMutablePointer<Float>) {
            var y0 = SIMD8<Float>(repeating: 0)
            var y1 = SIMD8<Float>(repeating: 0)
            var run = self
            var q = a.quants
            var i = 0
            for _ in 0..<blocks {
                fetchAhead(run.block, byteCount: Self.blockBytes + Self.factorBytes)
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
            UnsafeMutableRawPointer(y).storeBytes(of: y0, as: SIMD8<Float>.self)
            UnsafeMutableRawPointer(y + 8).storeBytes(of: y1, as: SIMD8<Float>.self)
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
