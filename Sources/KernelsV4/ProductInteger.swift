#if AVX512
    import CLinux
    public import Core
    import _Builtin_intrinsics.intel

    /// 64 bytes in a register (`__m512i`).
    private typealias WideBytes = SIMD8<Int64>

    /// y[token][16] <- the sum of integer weights times int8 activations over some blocks of one panel, with VNNI.
    ///
    /// vpdpbusd adds four products of an unsigned and a signed byte to an int32. Nibbles are unsigned, less eight; signed
    /// weights become so by adding 128. What was added comes back as 8 or 128 times the sum of the activations: all is
    /// exact in int32, so that the bits are those of `Kernels`.
    ///
    /// - Shapes: `weights` the panel's first block; `quants` [blocks][stride][32] and `scales`, `sums`, `scaledSums`
    ///   [blocks][stride], from the first block and token on.
    public func integerLeaf(
        _ weights: UnsafeRawPointer, type: WeightType, quants: UnsafeRawPointer, scales: UnsafePointer<Float>,
        sums: UnsafePointer<Int32>, scaledSums: UnsafePointer<Float>, stride: Int, blocks: Int, tokens: Int,
        into y: UnsafeMutablePointer<Float>
    ) {
        let a = BlockRun(quants: quants, scales: scales, sums: sums, scaledSums: scaledSums, stride: stride)
        switch type {
        case .q4: IntegerLeaf<3, 0>.add(weights, a, blocks: blocks, tokens: tokens, into: y)
        case .q4m: IntegerLeaf<0, 1>.add(weights, a, blocks: blocks, tokens: tokens, into: y)
        default: IntegerLeaf<7, 0>.add(weights, a, blocks: blocks, tokens: tokens, into: y)
        }
    }

    /// The activations of a leaf, from its first block and token; `stride` cells from block to block.
    private struct BlockRun {
        let quants: UnsafeRawPointer
        let scales: UnsafePointer<Float>
        let sums: UnsafePointer<Int32>
        let scaledSums: UnsafePointer<Float>
        let stride: Int
    }

    /// One type of weights: 2^`S` was added to each quant (`S` 0: nothing; 7: bytes, else nibbles); `M` is 1 where blocks have minima.
    private enum IntegerLeaf<let S: Int, let M: Int> {
        @inline(__always)
        private static var blockBytes: Int { S == 7 ? 544 : M == 1 ? 320 : 288 }

        @inline(__always)
        static func add(
            _ weights: UnsafeRawPointer, _ a: BlockRun, blocks: Int, tokens: Int, into y: UnsafeMutablePointer<Float>
        ) {
            if tokens == 1 { vector(weights, a, blocks, y) } else { matrix(weights, a, blocks, tokens, y) }
        }

        /// One token: the sums stay in a register, and memory sets the pace.
        @inline(never)
        private static func vector(
            _ weights: UnsafeRawPointer, _ a: BlockRun, _ blocks: Int, _ y: UnsafeMutablePointer<Float>
        ) {
            var sum = SIMD16<Float>.zero
            var w = weights
            var q = a.quants
            var i = 0
            for _ in 0..<blocks {
                // Left alone, processors fetch one stream at about half of what memory gives.
                for at in Swift.stride(from: 0, to: blockBytes, by: 64) { clinux_prefetch(w + (4096 &+ at)) }
                let scale = halves(w, blockBytes &- 32 &- 32 &* M)
                let minima = M == 1 ? halves(w, blockBytes &- 32) : .zero
                sum = added(sum, unpacked(w), scale, minima, q, a, i)
                w += blockBytes
                q += 32 &* a.stride
                i &+= a.stride
            }
            UnsafeMutableRawPointer(y).storeBytes(of: sum, as: SIMD16<Float>.self)
        }

        /// Several tokens: a block's unpacked weights stay in eight registers while they pass, the sums in the L1 cache.
        @inline(never)
        private static func matrix(
            _ weights: UnsafeRawPointer, _ a: BlockRun, _ blocks: Int, _ tokens: Int,
            _ y: UnsafeMutablePointer<Float>
        ) {
            y.update(repeating: 0, count: 16 &* tokens)
            for b in 0..<blocks {
                let w = weights + b &* blockBytes
                let unpacked = unpacked(w)
                let scale = halves(w, blockBytes &- 32 &- 32 &* M)
                let minima = M == 1 ? halves(w, blockBytes &- 32) : .zero
                let first = b &* a.stride
                for t in 0..<tokens {
                    // The next block's activations lie elsewhere, two tokens a line.
                    if t & 1 == 0 { clinux_prefetch(a.quants + 32 &* (first &+ t &+ a.stride)) }
                    let cell = UnsafeMutableRawPointer(y + 16 &* t)
                    let sum = added(
                        cell.loadUnaligned(as: SIMD16<Float>.self), unpacked, scale, minima,
                        a.quants + 32 &* (first &+ t), a, first &+ t)
                    cell.storeBytes(of: sum, as: SIMD16<Float>.self)
                }
            }
        }

        /// A block's weights as unsigned bytes: four columns of 16 rows in each vector.
        @inline(__always)
        private static func unpacked(_ w: UnsafeRawPointer) -> InlineArray<8, WideBytes> {
            InlineArray<8, WideBytes> { k in
                if S == 7 {
                    return w.loadUnaligned(fromByteOffset: 64 &* k, as: WideBytes.self)
                        ^ unsafeBitCast(SIMD64<UInt8>(repeating: 0x80), to: WideBytes.self)
                }
                let two = w.loadUnaligned(fromByteOffset: 64 &* (k / 2), as: WideBytes.self)
                return (k & 1 == 0 ? two : two &>> 4) & unsafeBitCast(SIMD64<UInt8>(repeating: 15), to: WideBytes.self)
            }
        }

        /// A token's sums with one block added; `i` is the token's cell.
        @inline(__always)
        private static func added(
            _ sum: SIMD16<Float>, _ w: InlineArray<8, WideBytes>, _ scale: SIMD16<Float>, _ minima: SIMD16<Float>,
            _ q: UnsafeRawPointer, _ a: BlockRun, _ i: Int
        ) -> SIMD16<Float> {
            // Two sums, since each step waits for the one before; the first begins with what was added too much.
            let surplus = S > 0 ? 0 &- a.sums[i] &<< Int32(S) : 0
            var even = unsafeBitCast(SIMD16<Int32>(repeating: surplus), to: WideBytes.self)
            var odd = WideBytes.zero
            @inline(__always) func four(_ k: Int) -> WideBytes {
                let bytes = q.loadUnaligned(fromByteOffset: 4 &* k, as: Int32.self)
                return unsafeBitCast(SIMD16<Int32>(repeating: bytes), to: WideBytes.self)
            }
            for k in 0..<4 {
                even = _mm512_dpbusd_epi32(even, w[2 &* k], four(2 &* k))
                odd = _mm512_dpbusd_epi32(odd, w[2 &* k &+ 1], four(2 &* k &+ 1))
            }
            let dot = unsafeBitCast(
                unsafeBitCast(even, to: SIMD16<Int32>.self) &+ unsafeBitCast(odd, to: SIMD16<Int32>.self),
                to: WideBytes.self)
            let step = sum.addingProduct(_mm512_cvtepi32_ps(dot), scale * SIMD16(repeating: a.scales[i]))
            return M == 1 ? step.addingProduct(minima, SIMD16(repeating: a.scaledSums[i])) : step
        }

        /// Sixteen half-precision numbers.
        @inline(__always)
        private static func halves(_ p: UnsafeRawPointer, _ offset: Int) -> SIMD16<Float> {
            _mm512_cvtph_ps(p.loadUnaligned(fromByteOffset: offset, as: SIMD4<Int64>.self))
        }
    }
#endif
