// Integer weights times several tokens: a block is unpacked once, then tokens pass four at a time.
//
// A tile is 4 tokens x 16 rows: eight sums in registers, and for four columns two loads of weights and four of
// activations feed eight vpmaddubsw. The f32 sums [token][16] stay in the L1 cache: one load and one store a block.

#if arch(x86_64)
    import Core
    import _Builtin_intrinsics.intel

    /// Blocks of nibbles times `tokens` tokens, added to `y` [token][16].
    func q4Tiles(
        _ weights: UnsafeRawPointer, _ a: BlockRun, blocks: Int, tokens: Int, minima: Bool,
        into y: UnsafeMutablePointer<Float>, _ scratch: UnsafeMutableRawPointer
    ) {
        let unpacked = UnsafeRawPointer(scratch)
        for b in 0..<blocks {
            unpackNibbles(weights + b * (minima ? 320 : 288), minima: minima, into: scratch)
            let i = b * a.stride
            var t = 0
            while t &+ 4 <= tokens {
                q4Tile4(unpacked, a, i &+ t, minima: minima, y + t &* 16)
                t &+= 4
            }
            while t < tokens {
                q4Tile1(unpacked, a, i &+ t, minima: minima, y + t &* 16)
                t &+= 1
            }
        }
    }

    /// A block with a byte a weight (for four columns 16 rows of 4 bytes), then scales and minima as floats.
    @inline(__always)
    private func unpackNibbles(_ w: UnsafeRawPointer, minima: Bool, into u: UnsafeMutableRawPointer) {
        for k in 0..<4 {
            let r = bytes(w, 64 &* k), s = bytes(w, 64 &* k &+ 32)
            u.storeBytes(of: lowNibbles(r), toByteOffset: 128 &* k, as: ByteLanes.self)
            u.storeBytes(of: lowNibbles(s), toByteOffset: 128 &* k &+ 32, as: ByteLanes.self)
            u.storeBytes(of: highNibbles(r), toByteOffset: 128 &* k &+ 64, as: ByteLanes.self)
            u.storeBytes(of: highNibbles(s), toByteOffset: 128 &* k &+ 96, as: ByteLanes.self)
        }
        u.storeBytes(of: eightHalves(w, 256), toByteOffset: 512, as: SIMD8<Float>.self)
        u.storeBytes(of: eightHalves(w, 272), toByteOffset: 544, as: SIMD8<Float>.self)
        if minima {
            u.storeBytes(of: eightHalves(w, 288), toByteOffset: 576, as: SIMD8<Float>.self)
            u.storeBytes(of: eightHalves(w, 304), toByteOffset: 608, as: SIMD8<Float>.self)
        }
    }

    /// Finishes one token of one block: int32 dot products into the f32 sums of 16 rows.
    @inline(__always)
    private func finish(
        _ d0: ByteLanes, _ d1: ByteLanes, _ u: UnsafeRawPointer, _ a: BlockRun, _ i: Int, minima: Bool,
        _ y: UnsafeMutablePointer<Float>
    ) {
        let scale = SIMD8<Float>(repeating: a.scales[i])
        var y0 = eightFloats(y).addingProduct(converted(d0), eightFloats(u, 512) * scale)
        var y1 = eightFloats(y, 32).addingProduct(converted(d1), eightFloats(u, 544) * scale)
        if minima {
            let s = SIMD8<Float>(repeating: a.scaledSums[i])
            y0.addProduct(eightFloats(u, 576), s)
            y1.addProduct(eightFloats(u, 608), s)
        }
        UnsafeMutableRawPointer(y).storeBytes(of: y0, as: SIMD8<Float>.self)
        UnsafeMutableRawPointer(y).storeBytes(of: y1, toByteOffset: 32, as: SIMD8<Float>.self)
    }

    /// Int16 sums of nibbles to int32 dot products of nibbles minus eight (or of nibbles, where minima follow).
    @inline(__always)
    private func finishNibbles(
        _ s0: ByteLanes, _ s1: ByteLanes, _ u: UnsafeRawPointer, _ a: BlockRun, _ i: Int, minima: Bool,
        _ y: UnsafeMutablePointer<Float>
    ) {
        var d0 = widenedPairs(s0)
        var d1 = widenedPairs(s1)
        if !minima {
            let offset = unsafeBitCast(SIMD8<Int32>(repeating: -8 &* a.sums[i]), to: ByteLanes.self)
            d0 = add32(d0, offset)
            d1 = add32(d1, offset)
        }
        finish(d0, d1, u, a, i, minima: minima, y)
    }

    @inline(__always)
    private func q4Tile4(
        _ u: UnsafeRawPointer, _ a: BlockRun, _ i: Int, minima: Bool, _ y: UnsafeMutablePointer<Float>
    ) {
        let q = a.quants + i &* 32
        let w0 = bytes(u), w1 = bytes(u, 32)
        var x = fourBytes(q, 0)
        var s00 = bytePairs(w0, x), s01 = bytePairs(w1, x)
        x = fourBytes(q, 32)
        var s10 = bytePairs(w0, x), s11 = bytePairs(w1, x)
        x = fourBytes(q, 64)
        var s20 = bytePairs(w0, x), s21 = bytePairs(w1, x)
        x = fourBytes(q, 96)
        var s30 = bytePairs(w0, x), s31 = bytePairs(w1, x)
        for k in 1..<8 {
            let w0 = bytes(u, 64 &* k), w1 = bytes(u, 64 &* k &+ 32)
            var x = fourBytes(q, 4 &* k)
            s00 = add16(s00, bytePairs(w0, x))
            s01 = add16(s01, bytePairs(w1, x))
            x = fourBytes(q, 4 &* k &+ 32)
            s10 = add16(s10, bytePairs(w0, x))
            s11 = add16(s11, bytePairs(w1, x))
            x = fourBytes(q, 4 &* k &+ 64)
            s20 = add16(s20, bytePairs(w0, x))
            s21 = add16(s21, bytePairs(w1, x))
            x = fourBytes(q, 4 &* k &+ 96)
            s30 = add16(s30, bytePairs(w0, x))
            s31 = add16(s31, bytePairs(w1, x))
        }
        finishNibbles(s00, s01, u, a, i, minima: minima, y)
        finishNibbles(s10, s11, u, a, i &+ 1, minima: minima, y + 16)
        finishNibbles(s20, s21, u, a, i &+ 2, minima: minima, y + 32)
        finishNibbles(s30, s31, u, a, i &+ 3, minima: minima, y + 48)
    }

    @inline(__always)
    private func q4Tile1(
        _ u: UnsafeRawPointer, _ a: BlockRun, _ i: Int, minima: Bool, _ y: UnsafeMutablePointer<Float>
    ) {
        let q = a.quants + i &* 32
        var s0 = ByteLanes.zero
        var s1 = ByteLanes.zero
        for k in 0..<8 {
            let x = fourBytes(q, 4 &* k)
            s0 = add16(s0, bytePairs(bytes(u, 64 &* k), x))
            s1 = add16(s1, bytePairs(bytes(u, 64 &* k &+ 32), x))
        }
        finishNibbles(s0, s1, u, a, i, minima: minima, y)
    }

    /// Blocks of bytes times `tokens` tokens, added to `y` [token][16].
    func q8Tiles(
        _ weights: UnsafeRawPointer, _ a: BlockRun, blocks: Int, tokens: Int, into y: UnsafeMutablePointer<Float>,
        _ scratch: UnsafeMutableRawPointer
    ) {
        let unpacked = UnsafeRawPointer(scratch)
        for b in 0..<blocks {
            let w = weights + b * 544
            for k in 0..<16 {
                scratch.storeBytes(of: _mm256_abs_epi8(bytes(w, 32 &* k)), toByteOffset: 32 &* k, as: ByteLanes.self)
            }
            scratch.storeBytes(of: eightHalves(w, 512), toByteOffset: 512, as: SIMD8<Float>.self)
            scratch.storeBytes(of: eightHalves(w, 528), toByteOffset: 544, as: SIMD8<Float>.self)
            let i = b * a.stride
            var t = 0
            while t &+ 4 <= tokens {
                q8Tile4(w, unpacked, a, i &+ t, y + t &* 16)
                t &+= 4
            }
            while t < tokens {
                q8Tile1(w, unpacked, a, i &+ t, y + t &* 16)
                t &+= 1
            }
        }
    }

    /// Sixteen products of four bytes from magnitudes and signs of the weights, added in int32.
    @inline(__always) private func signedPairs(_ magnitude: ByteLanes, _ w: ByteLanes, _ x: ByteLanes) -> ByteLanes {
        widenedPairs(bytePairs(magnitude, _mm256_sign_epi8(x, w)))
    }

    @inline(__always)
    private func q8Tile4(
        _ w: UnsafeRawPointer, _ u: UnsafeRawPointer, _ a: BlockRun, _ i: Int, _ y: UnsafeMutablePointer<Float>
    ) {
        let q = a.quants + i &* 32
        var d00 = ByteLanes.zero, d01 = ByteLanes.zero, d10 = ByteLanes.zero, d11 = ByteLanes.zero
        var d20 = ByteLanes.zero, d21 = ByteLanes.zero, d30 = ByteLanes.zero, d31 = ByteLanes.zero
        for k in 0..<8 {
            let w0 = bytes(w, 64 &* k), w1 = bytes(w, 64 &* k &+ 32)
            let m0 = bytes(u, 64 &* k), m1 = bytes(u, 64 &* k &+ 32)
            var x = fourBytes(q, 4 &* k)
            d00 = add32(d00, signedPairs(m0, w0, x))
            d01 = add32(d01, signedPairs(m1, w1, x))
            x = fourBytes(q, 4 &* k &+ 32)
            d10 = add32(d10, signedPairs(m0, w0, x))
            d11 = add32(d11, signedPairs(m1, w1, x))
            x = fourBytes(q, 4 &* k &+ 64)
            d20 = add32(d20, signedPairs(m0, w0, x))
            d21 = add32(d21, signedPairs(m1, w1, x))
            x = fourBytes(q, 4 &* k &+ 96)
            d30 = add32(d30, signedPairs(m0, w0, x))
            d31 = add32(d31, signedPairs(m1, w1, x))
        }
        finish(d00, d01, u, a, i, minima: false, y)
        finish(d10, d11, u, a, i &+ 1, minima: false, y + 16)
        finish(d20, d21, u, a, i &+ 2, minima: false, y + 32)
        finish(d30, d31, u, a, i &+ 3, minima: false, y + 48)
    }

    @inline(__always)
    private func q8Tile1(
        _ w: UnsafeRawPointer, _ u: UnsafeRawPointer, _ a: BlockRun, _ i: Int, _ y: UnsafeMutablePointer<Float>
    ) {
        let q = a.quants + i &* 32
        var d0 = ByteLanes.zero
        var d1 = ByteLanes.zero
        for k in 0..<8 {
            let x = fourBytes(q, 4 &* k)
            d0 = add32(d0, signedPairs(bytes(u, 64 &* k), bytes(w, 64 &* k), x))
            d1 = add32(d1, signedPairs(bytes(u, 64 &* k &+ 32), bytes(w, 64 &* k &+ 32), x))
        }
        finish(d0, d1, u, a, i, minima: false, y)
    }
#endif
