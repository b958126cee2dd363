// Integer weights times several tokens: a block is unpacked once, then tokens pass four at a time.
//
// A tile is 4 tokens x 16 rows: eight integer sums in registers; the f32 sums [token][16] stay in the L1 cache. Nibbles
// add up in int16 for a whole block. Products of bytes do not fit int16, and vpsignb would crowd the multipliers, so
// signs are moved over with an exclusive or: for w < 0, w a = |w| (-a - 1) + |w|, and the sum of those last |w| is a
// constant of the weights, from which the int32 sums start. (2 x 128 x -128 is just an int16.)

#if arch(x86_64)
    import Core
    import _Builtin_intrinsics.intel

    /// An unpacked block: bytes of nibbles, or magnitudes [k 0..<8][16 rows][4] and then masks of signs as large; then
    /// f32 scales, and minima or the int32 constants of the weights.
    private let masksAt = 512
    private let scalesAt = 1024
    private let minimaAt = 1088

    /// Blocks of one panel times `tokens` tokens, added to `y` [token][16].
    func integerTiles(
        _ weights: UnsafeRawPointer, type: WeightType, _ a: BlockRun, blocks: Int, tokens: Int,
        into y: UnsafeMutablePointer<Float>, _ scratch: UnsafeMutableRawPointer
    ) {
        switch type {
        case .q4: Nibbles<0>.add(weights, a, blocks, tokens, y, scratch)
        case .q4m: Nibbles<1>.add(weights, a, blocks, tokens, y, scratch)
        default: addBytes(weights, a, blocks, tokens, y, scratch)
        }
    }

    /// Blocks of nibbles, minus eight (`M` 0) or with a minimum (`M` 1).
    ///
    /// A parameter of the type, not an argument: the compiler folds copies that differ in an argument only into one.
    private enum Nibbles<let M: Int> {
        @inline(never)
        static func add(
            _ weights: UnsafeRawPointer, _ a: BlockRun, _ blocks: Int, _ tokens: Int, _ y: UnsafeMutablePointer<Float>,
            _ scratch: UnsafeMutableRawPointer
        ) {
            for b in 0..<blocks {
                let w = weights + b &* (M == 1 ? 320 : 288)
                for k in 0..<4 {
                    for half in 0..<2 {
                        let r = bytes(w, 64 &* k &+ 32 &* half)
                        let at = 128 &* k &+ 32 &* half
                        scratch.storeBytes(of: lowNibbles(r), toByteOffset: at, as: ByteLanes.self)
                        scratch.storeBytes(of: highNibbles(r), toByteOffset: at &+ 64, as: ByteLanes.self)
                    }
                }
                unpackHalves(w + 256, into: scratch + scalesAt)
                if M == 1 { unpackHalves(w + 288, into: scratch + minimaAt) }
                let i = b &* a.stride
                var t = 0
                while t &+ 4 <= tokens {
                    Tile<4, M>.addNibbles(scratch, a, i &+ t, y + t &* 16)
                    t &+= 4
                }
                switch tokens &- t {
                case 3: Tile<3, M>.addNibbles(scratch, a, i &+ t, y + t &* 16)
                case 2: Tile<2, M>.addNibbles(scratch, a, i &+ t, y + t &* 16)
                case 1: Tile<1, M>.addNibbles(scratch, a, i &+ t, y + t &* 16)
                default: break
                }
            }
        }
    }

    @inline(never)
    private func addBytes(
        _ weights: UnsafeRawPointer, _ a: BlockRun, _ blocks: Int, _ tokens: Int, _ y: UnsafeMutablePointer<Float>,
        _ scratch: UnsafeMutableRawPointer
    ) {
        for b in 0..<blocks {
            let w = weights + b &* 544
            for half in 0..<2 {
                var constant = ByteLanes.zero
                for k in 0..<8 {
                    let at = 64 &* k &+ 32 &* half
                    let r = bytes(w, at)
                    let magnitude = _mm256_abs_epi8(r)
                    let mask = _mm256_cmpgt_epi8(.zero, r)
                    scratch.storeBytes(of: magnitude, toByteOffset: at, as: ByteLanes.self)
                    scratch.storeBytes(of: mask, toByteOffset: masksAt &+ at, as: ByteLanes.self)
                    constant = add16(constant, bytePairs(magnitude & mask, _mm256_set1_epi8(1)))
                }
                scratch.storeBytes(
                    of: widenedPairs(constant), toByteOffset: minimaAt &+ 32 &* half, as: ByteLanes.self)
            }
            unpackHalves(w + 512, into: scratch + scalesAt)
            let i = b &* a.stride
            var t = 0
            while t &+ 4 <= tokens {
                Tile<4, 0>.addBytes(scratch, a, i &+ t, y + t &* 16)
                t &+= 4
            }
            switch tokens &- t {
            case 3: Tile<3, 0>.addBytes(scratch, a, i &+ t, y + t &* 16)
            case 2: Tile<2, 0>.addBytes(scratch, a, i &+ t, y + t &* 16)
            case 1: Tile<1, 0>.addBytes(scratch, a, i &+ t, y + t &* 16)
            default: break
            }
        }
    }

    /// Sixteen half-precision numbers as floats.
    @inline(__always)
    private func unpackHalves(_ w: UnsafeRawPointer, into u: UnsafeMutableRawPointer) {
        u.storeBytes(of: eightHalves(w, 0), as: SIMD8<Float>.self)
        u.storeBytes(of: eightHalves(w, 16), toByteOffset: 32, as: SIMD8<Float>.self)
    }

    /// `N` tokens by 16 rows of one unpacked block; `i` is the first token's cell in `a`.
    private enum Tile<let N: Int, let M: Int> {
        /// Adds a block of nibbles to `y` [token][16].
        @inline(__always)
        static func addNibbles(
            _ unpacked: UnsafeMutableRawPointer, _ a: BlockRun, _ i: Int,
            _ y: UnsafeMutablePointer<Float>
        ) {
            let u = UnsafeRawPointer(unpacked)
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
            for t in 0..<N {
                var d0 = widenedPairs(low[t])
                var d1 = widenedPairs(high[t])
                if M == 0 {
                    let offset = eightTimes(a.sums + (i &+ t))
                    d0 = subtract32(d0, offset)
                    d1 = subtract32(d1, offset)
                }
                finish(d0, d1, u, a, i &+ t, y + 16 &* t)
            }
        }

        /// Adds a block of bytes to `y` [token][16].
        @inline(__always)
        static func addBytes(
            _ unpacked: UnsafeMutableRawPointer, _ a: BlockRun, _ i: Int, _ y: UnsafeMutablePointer<Float>
        ) {
            let u = UnsafeRawPointer(unpacked)
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
            for t in 0..<N { finish(low[t], high[t], u, a, i &+ t, y + 16 &* t) }
        }

        /// Int32 dot products of one token into the f32 sums of 16 rows.
        @inline(__always)
        private static func finish(
            _ d0: ByteLanes, _ d1: ByteLanes, _ u: UnsafeRawPointer, _ a: BlockRun, _ i: Int,
            _ y: UnsafeMutablePointer<Float>
        ) {
            let scale = SIMD8<Float>(repeating: a.scales[i])
            var y0 = eightFloats(y).addingProduct(converted(d0), eightFloats(u, scalesAt) * scale)
            var y1 = eightFloats(y, 32).addingProduct(converted(d1), eightFloats(u, scalesAt + 32) * scale)
            if M == 1 {
                let s = SIMD8<Float>(repeating: a.scaledSums[i])
                y0.addProduct(eightFloats(u, minimaAt), s)
                y1.addProduct(eightFloats(u, minimaAt + 32), s)
            }
            UnsafeMutableRawPointer(y).storeBytes(of: y0, as: SIMD8<Float>.self)
            UnsafeMutableRawPointer(y).storeBytes(of: y1, toByteOffset: 32, as: SIMD8<Float>.self)
        }
    }
#endif
