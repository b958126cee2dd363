// Integer weights times int8 activations with AVX2: 16 rows, and one token (decode) or tokens four at a time.
//
// vpmaddubsw wants one unsigned side. Nibbles are unsigned; their minus eight is 8 x the sum of the activations.
// Signed bytes give their sign to the activation and keep their magnitude (at most 128, and 2 x 128 x 127 < 2^15).

#if arch(x86_64)
    import CLinux
    import Core
    import KernelsV4
    import _Builtin_intrinsics.intel

    /// Tokens that pass while a panel's block is unpacked: their sums stay in the L1 cache.
    let integerTokensAtOnce = 128

    /// y[token][16] <- the sum over `blocks` of one panel.
    func integerLeaf(
        _ panel: UnsafeRawPointer, type: WeightType, _ x: Activations, tokens: Range<Int>, blocks: Range<Int>,
        into y: UnsafeMutablePointer<Float>, scratch: UnsafeMutableRawPointer, instructions: InstructionSet
    ) {
        guard let q = x.quants, let scales = x.scales, let sums = x.sums, let scaledSums = x.scaledSums else {
            preconditionFailure("integer weights meet int8 activations")
        }
        let first = blocks.lowerBound * x.tokens + tokens.lowerBound
        let a = BlockRun(
            quants: UnsafeRawPointer(q + first * 32), scales: scales + first, sums: sums + first,
            scaledSums: scaledSums + first, stride: x.tokens)
        let weights = panel + blocks.lowerBound * type.panelBlockBytes
        if instructions == .v4 {
            KernelsV4.integerLeaf(
                weights, type: type, quants: a.quants, scales: a.scales, sums: a.sums, scaledSums: a.scaledSums,
                stride: a.stride, blocks: blocks.count, tokens: tokens.count, into: y)
            return
        }
        if tokens.count == 1 {
            switch type {
            case .q4: Nibbles<0>.vector(weights, a, blocks: blocks.count, into: y)
            case .q4m: Nibbles<1>.vector(weights, a, blocks: blocks.count, into: y)
            default: q8Vector(weights, a, blocks: blocks.count, into: y)
            }
            return
        }
        y.update(repeating: 0, count: tokens.count * 16)
        integerTiles(weights, type: type, a, blocks: blocks.count, tokens: tokens.count, into: y, scratch)
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
        let scaledSums: UnsafePointer<Float>
        let stride: Int
    }

    // MARK: - One token

    /// Nibbles minus eight (`M` 0) or with a minimum (`M` 1).
    private enum Nibbles<let M: Int> {
        /// One panel times one token.
        @inline(never)
        static func vector(
            _ weights: UnsafeRawPointer, _ a: BlockRun, blocks: Int, into y: UnsafeMutablePointer<Float>
        ) {
            var y0 = SIMD8<Float>(repeating: 0)
            var y1 = SIMD8<Float>(repeating: 0)
            var w = weights
            var q = a.quants
            var i = 0
            for _ in 0..<blocks {
                fetchAhead(w, byteCount: M == 1 ? 320 : 288)
                let r0 = bytes(w), r1 = bytes(w, 64), r2 = bytes(w, 128), r3 = bytes(w, 192)
                let s0 = bytes(w, 32), s1 = bytes(w, 96), s2 = bytes(w, 160), s3 = bytes(w, 224)
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
                var d0 = widenedPairs(add16(p0, p1))
                var d1 = widenedPairs(add16(p2, p3))
                if M == 0 {
                    let offset = eightTimes(a.sums + i)
                    d0 = subtract32(d0, offset)
                    d1 = subtract32(d1, offset)
                }
                let scale = SIMD8<Float>(repeating: a.scales[i])
                y0.addProduct(converted(d0), eightHalves(w, 256) * scale)
                y1.addProduct(converted(d1), eightHalves(w, 272) * scale)
                if M == 1 {
                    let s = SIMD8<Float>(repeating: a.scaledSums[i])
                    y0.addProduct(eightHalves(w, 288), s)
                    y1.addProduct(eightHalves(w, 304), s)
                }
                w += M == 1 ? 320 : 288
                q += a.stride &* 32
                i &+= a.stride
            }
            UnsafeMutableRawPointer(y).storeBytes(of: y0, as: SIMD8<Float>.self)
            UnsafeMutableRawPointer(y + 8).storeBytes(of: y1, as: SIMD8<Float>.self)
        }
    }

    /// Sixteen products of four bytes: signed weights, signed activations, added in int32.
    @inline(__always) private func signedPairs(_ w: ByteLanes, _ a: ByteLanes) -> ByteLanes {
        widenedPairs(bytePairs(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w)))
    }

    /// One panel of bytes times one token.
    private func q8Vector(
        _ weights: UnsafeRawPointer, _ a: BlockRun, blocks: Int, into y: UnsafeMutablePointer<Float>
    ) {
        var y0 = SIMD8<Float>(repeating: 0)
        var y1 = SIMD8<Float>(repeating: 0)
        var w = weights
        var q = a.quants
        var i = 0
        for _ in 0..<blocks {
            fetchAhead(w, byteCount: 544)
            var d0 = ByteLanes.zero
            var d1 = ByteLanes.zero
            for k in 0..<8 {
                let x = fourBytes(q, 4 &* k)
                d0 = add32(d0, signedPairs(bytes(w, 64 &* k), x))
                d1 = add32(d1, signedPairs(bytes(w, 64 &* k &+ 32), x))
            }
            let scale = SIMD8<Float>(repeating: a.scales[i])
            y0.addProduct(converted(d0), eightHalves(w, 512) * scale)
            y1.addProduct(converted(d1), eightHalves(w, 528) * scale)
            w += 544
            q += a.stride &* 32
            i &+= a.stride
        }
        UnsafeMutableRawPointer(y).storeBytes(of: y0, as: SIMD8<Float>.self)
        UnsafeMutableRawPointer(y + 8).storeBytes(of: y1, as: SIMD8<Float>.self)
    }
#endif
