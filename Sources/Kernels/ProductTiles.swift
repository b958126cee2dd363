// Integer weights times several tokens: a block is unpacked once, then tokens pass four at a time.
//
// A tile is 4 tokens x 16 rows: eight integer sums in registers; the f32 sums [token][16] stay in the L1 cache. Nibbles
// add up in int16 for a whole block, five bits for half of one, six bits for a quarter, and those are multiplied by their scale as
// they are widened. Products of bytes do not fit int16, and vpsignb would crowd the multipliers, so
// signs are moved over with an exclusive or: for w < 0, w a = |w| (-a - 1) + |w|, and the sum of those last |w| is a
// constant of the weights, from which the int32 sums start. (2 x 128 x -128 is just an int16.)

#if arch(x86_64)
    import Core
    import _Builtin_intrinsics.intel

    /// An unpacked block: unsigned quants, or magnitudes [k 0..<8][16 rows][4]; masks of signs as large, or pairs of int16
    /// [first half, second half, surplus][16 rows]; then f32 scales, and minima or the int32 constants of the weights.
    private let masksAt = 512
    private let scalesAt = 1024
    private let minimaAt = 1088

    extension PackedRun {
        /// y[token][16] <- some blocks of one panel times `tokens` tokens, `stride` floats from token to token.
        @inline(never)
        func tiles(
            _ a: BlockRun, blocks: Int, tokens: Int, into y: UnsafeMutablePointer<Float>, stride: Int,
            _ scratch: UnsafeMutableRawPointer
        ) {
            for t in 0..<tokens { Sixteen(repeating: 0).write(y + t &* stride) }
            var run = self
            var left = left
            let bytesAhead = Self.bytesAhead(tokens: tokens)
            for b in 0..<blocks {
                run.ask(bytesAhead: bytesAhead)
                run.unpack(into: scratch)
                let i = b &* a.stride
                var t = 0
                while t &+ 4 <= tokens {
                    Tile<4, B, K>.add(scratch, a, i &+ t, y + t &* stride, stride)
                    t &+= 4
                }
                switch tokens &- t {
                case 3: Tile<3, B, K>.add(scratch, a, i &+ t, y + t &* stride, stride)
                case 2: Tile<2, B, K>.add(scratch, a, i &+ t, y + t &* stride, stride)
                case 1: Tile<1, B, K>.add(scratch, a, i &+ t, y + t &* stride, stride)
                default: break
                }
                run.advance(isLast: Self.isLast(&left))
            }
        }

        @inline(__always)
        private func unpack(into u: UnsafeMutableRawPointer) {
            for half in 0..<2 {
                if B == 8 {
                    unpackBytes(half: half, into: u)
                } else {
                    @inline(__always) func unpack(_ k: Int) {
                        let quants = Self.quants(k) { line($0, half: half) }
                        u.storeBytes(of: quants, toByteOffset: 64 &* k &+ 32 &* half, as: ByteLanes.self)
                    }
                    // No loop: the compiler leaves one as it is, with shifts by numbers that it does not know.
                    unpack(0)
                    unpack(1)
                    unpack(2)
                    unpack(3)
                    unpack(4)
                    unpack(5)
                    unpack(6)
                    unpack(7)
                }
                u.storeBytes(of: scale(half: half), toByteOffset: scalesAt &+ 32 &* half, as: SIMD8<Float>.self)
                if Self.hasMinima {
                    u.storeBytes(of: minima(half: half), toByteOffset: minimaAt &+ 32 &* half, as: SIMD8<Float>.self)
                }
                if K == 3 {
                    let paired = pairedScales(half: half)
                    let at = masksAt &+ 32 &* half
                    u.storeBytes(of: paired.first, toByteOffset: at, as: ByteLanes.self)
                    u.storeBytes(of: paired.second, toByteOffset: at &+ 64, as: ByteLanes.self)
                    u.storeBytes(of: paired.surplus, toByteOffset: at &+ 128, as: ByteLanes.self)
                }
            }
        }

        /// Signed bytes: magnitudes, masks of signs, constants.
        @inline(__always)
        private func unpackBytes(half: Int, into u: UnsafeMutableRawPointer) {
            var constant = ByteLanes.zero
            for k in 0..<8 {
                let at = 64 &* k &+ 32 &* half
                let r = line(k, half: half)
                let magnitude = _mm256_abs_epi8(r)
                let mask = _mm256_cmpgt_epi8(.zero, r)
                u.storeBytes(of: magnitude, toByteOffset: at, as: ByteLanes.self)
                u.storeBytes(of: mask, toByteOffset: masksAt &+ at, as: ByteLanes.self)
                constant = add16(constant, bytePairs(magnitude & mask, _mm256_set1_epi8(1)))
            }
            u.storeBytes(of: widenedPairs(constant), toByteOffset: minimaAt &+ 32 &* half, as: ByteLanes.self)
        }
    }

    /// `N` tokens by 16 rows of one unpacked block; `i` is the first token's cell in `a`.
    private enum Tile<let N: Int, let B: Int, let K: Int> {
        /// Adds a block to `y` [token][16], `stride` floats from token to token.
        @inline(__always)
        static func add(
            _ unpacked: UnsafeMutableRawPointer, _ a: BlockRun, _ i: Int, _ y: UnsafeMutablePointer<Float>,
            _ stride: Int
        ) {
            let u = UnsafeRawPointer(unpacked)
            switch B {
            case 4: addNibbles(u, a, i, y, stride)
            case 5: addFiveBits(u, a, i, y, stride)
            case 6: addSixBits(u, a, i, y, stride)
            default: addBytes(u, a, i, y, stride)
            }
        }

        @inline(__always)
        private static func addNibbles(
            _ u: UnsafeRawPointer, _ a: BlockRun, _ i: Int, _ y: UnsafeMutablePointer<Float>, _ stride: Int
        ) {
            let q = a.quants + i &* 32
            var low = InlineArray<N, ByteLanes>(repeating: .zero)
            var high = InlineArray<N, ByteLanes>(repeating: .zero)
            for k in 0..<8 {
                let w0 = bytes(u, 64 &* k)
                let w1 = bytes(u, 64 &* k &+ 32)
                for t in 0..<N {
                    let x = fourBytes(q, 32 &* t &+ 4 &* k)
                    low[t] = add16(low[t], bytePairs(w0, x))
                    high[t] = add16(high[t], bytePairs(w1, x))
                }
            }
            for t in 0..<N { finish(widenedPairs(low[t]), widenedPairs(high[t]), u, a, i &+ t, y + stride &* t) }
        }

        @inline(__always)
        private static func addFiveBits(
            _ u: UnsafeRawPointer, _ a: BlockRun, _ i: Int, _ y: UnsafeMutablePointer<Float>, _ stride: Int
        ) {
            let q = a.quants + i &* 32
            var lowSums = InlineArray<N, ByteLanes>(repeating: .zero)
            var highSums = InlineArray<N, ByteLanes>(repeating: .zero)
            for part in 0..<2 {
                var low = InlineArray<N, ByteLanes>(repeating: .zero)
                var high = InlineArray<N, ByteLanes>(repeating: .zero)
                for k in 4 &* part..<4 &* part &+ 4 {
                    let w0 = bytes(u, 64 &* k)
                    let w1 = bytes(u, 64 &* k &+ 32)
                    for t in 0..<N {
                        let x = fourBytes(q, 32 &* t &+ 4 &* k)
                        low[t] = add16(low[t], bytePairs(w0, x))
                        high[t] = add16(high[t], bytePairs(w1, x))
                    }
                }
                for t in 0..<N {
                    lowSums[t] = add32(lowSums[t], widenedPairs(low[t]))
                    highSums[t] = add32(highSums[t], widenedPairs(high[t]))
                }
            }
            for t in 0..<N { finish(lowSums[t], highSums[t], u, a, i &+ t, y + stride &* t) }
        }

        @inline(__always)
        private static func addSixBits(
            _ u: UnsafeRawPointer, _ a: BlockRun, _ i: Int, _ y: UnsafeMutablePointer<Float>, _ stride: Int
        ) {
            let q = a.quants + i &* 32
            var low = InlineArray<N, ByteLanes>(repeating: .zero)
            var high = InlineArray<N, ByteLanes>(repeating: .zero)
            for t in 0..<N {
                let sums = fourBytes(a.halfSums + (i &+ t), 0)
                low[t] = scaledPairs(sums, bytes(u, masksAt &+ 128))
                high[t] = scaledPairs(sums, bytes(u, masksAt &+ 160))
            }
            for k in 0..<4 {
                let w0 = bytes(u, 128 &* k)
                let w1 = bytes(u, 128 &* k &+ 32)
                let v0 = bytes(u, 128 &* k &+ 64)
                let v1 = bytes(u, 128 &* k &+ 96)
                let scales = masksAt &+ 64 &* (k / 2)
                for t in 0..<N {
                    let x = fourBytes(q, 32 &* t &+ 8 &* k)
                    let z = fourBytes(q, 32 &* t &+ 8 &* k &+ 4)
                    low[t] = add32(low[t], scaledPairs(add16(bytePairs(w0, x), bytePairs(v0, z)), bytes(u, scales)))
                    high[t] = add32(
                        high[t], scaledPairs(add16(bytePairs(w1, x), bytePairs(v1, z)), bytes(u, scales &+ 32)))
                }
            }
            for t in 0..<N { finish(low[t], high[t], u, a, i &+ t, y + stride &* t) }
        }

        @inline(__always)
        private static func addBytes(
            _ u: UnsafeRawPointer, _ a: BlockRun, _ i: Int, _ y: UnsafeMutablePointer<Float>, _ stride: Int
        ) {
            let q = a.quants + i &* 32
            var low = InlineArray<N, ByteLanes>(repeating: bytes(u, minimaAt))
            var high = InlineArray<N, ByteLanes>(repeating: bytes(u, minimaAt + 32))
            for k in 0..<8 {
                let w0 = bytes(u, 64 &* k)
                let w1 = bytes(u, 64 &* k &+ 32)
                let m0 = bytes(u, masksAt &+ 64 &* k)
                let m1 = bytes(u, masksAt &+ 64 &* k &+ 32)
                for t in 0..<N {
                    let x = fourBytes(q, 32 &* t &+ 4 &* k)
                    low[t] = add32(low[t], widenedPairs(bytePairs(w0, x ^ m0)))
                    high[t] = add32(high[t], widenedPairs(bytePairs(w1, x ^ m1)))
                }
            }
            for t in 0..<N { finish(low[t], high[t], u, a, i &+ t, y + stride &* t) }
        }

        /// Int32 dot products of one token into the f32 sums of 16 rows; what was added to small quants is taken off first.
        @inline(__always)
        private static func finish(
            _ dot0: ByteLanes, _ dot1: ByteLanes, _ u: UnsafeRawPointer, _ a: BlockRun, _ i: Int,
            _ y: UnsafeMutablePointer<Float>
        ) {
            var (d0, d1) = (dot0, dot1)
            if K == 0 && B < 8 {
                let surplus = shifted(a.sums + i, by: B &- 1)
                d0 = subtract32(d0, surplus)
                d1 = subtract32(d1, surplus)
            }
            let scale = SIMD8<Float>(repeating: a.scales[i])
            var y0 = eightFloats(y).addingProduct(converted(d0), eightFloats(u, scalesAt) * scale)
            var y1 = eightFloats(y, 32).addingProduct(converted(d1), eightFloats(u, scalesAt + 32) * scale)
            if PackedRun<B, K>.hasMinima {
                let s = SIMD8<Float>(repeating: a.scaledSums[i])
                y0.addProduct(eightFloats(u, minimaAt), s)
                y1.addProduct(eightFloats(u, minimaAt + 32), s)
            }
            UnsafeMutableRawPointer(y).storeBytes(of: y0, as: SIMD8<Float>.self)
            UnsafeMutableRawPointer(y).storeBytes(of: y1, toByteOffset: 32, as: SIMD8<Float>.self)
        }
    }
#endif
