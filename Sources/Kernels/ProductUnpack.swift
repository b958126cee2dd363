// A packed block as the AVX2 products compute with it: quants as unsigned bytes, scales as floats.

#if arch(x86_64)
    import _Builtin_intrinsics.intel

    extension PackedRun {
        /// Unsigned quants of columns 4k..<4k+4 of eight rows, from their halves of the block's lines.
        @inline(__always)
        static func quants(_ k: Int, _ line: (Int) -> ByteLanes) -> ByteLanes {
            let low = k & 1 == 0 ? lowNibbles(line(k / 2)) : highNibbles(line(k / 2))
            if B == 4 { return low }
            // What the nibbles lack lies in two bits, or one, for each k.
            let bits = B &- 4
            let high = unsafeBitCast(line(4 &+ k &* bits / 8), to: SIMD16<UInt16>.self)
            let place = 4 &- k &* bits % 8
            let moved = place > 0 ? high &<< UInt16(place) : high &>> UInt16(0 &- place)
            let mask = SIMD32<UInt8>(repeating: B == 5 ? 0x10 : 0x30)
            return low | unsafeBitCast(moved, to: ByteLanes.self) & unsafeBitCast(mask, to: ByteLanes.self)
        }

        /// Eight rows' half of a line of the block: those of the first or (`half` 1) the last rows.
        @inline(__always)
        func line(_ n: Int, half: Int) -> ByteLanes { bytes(block, 64 &* n &+ 32 &* half) }

        /// What the sums of eight rows are multiplied by.
        @inline(__always)
        func scale(half: Int) -> SIMD8<Float> {
            switch K {
            case 0, 1: eightHalves(scales, 16 &* half)
            // Exact: six bits times eleven.
            case 2: eightBytes(scales, 8 &* half) * eightHalves(factors, 16 &* half)
            default: eightHalves(factors, 16 &* half)
            }
        }

        /// What is added to eight rows for each unit of the activations' sum.
        @inline(__always)
        func minima(half: Int) -> SIMD8<Float> {
            K == 1
                ? eightHalves(scales, 32 &+ 16 &* half)
                : eightBytes(scales, 16 &+ 8 &* half) * eightHalves(factors, 32 &+ 16 &* half)
        }

        /// Of eight rows with two scales each: every scale twice, for pairs of int16; and both times -32, which is what the
        /// halves' sums of activations are multiplied by, since the quants are 32 too large.
        @inline(__always)
        func pairedScales(half: Int) -> (first: ByteLanes, second: ByteLanes, surplus: ByteLanes) {
            let first = signedBytes(scales, 8 &* half)
            let second = signedBytes(scales, 16 &+ 8 &* half)
            let low = SIMD8<Int32>(repeating: 0xffff)
            let both = first & low | second &<< 16
            return (
                twice(first), twice(second),
                unsafeBitCast(unsafeBitCast(both, to: SIMD16<Int16>.self) &* -32, to: ByteLanes.self)
            )
        }
    }

    /// Eight unsigned bytes as floats.
    @inline(__always) private func eightBytes(_ p: UnsafeRawPointer, _ offset: Int) -> SIMD8<Float> {
        let eight = SIMD2(p.loadUnaligned(fromByteOffset: offset, as: Int64.self), 0)
        return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(eight))
    }

    /// The lower halves of eight numbers, each also in place of its upper half.
    @inline(__always) private func twice(_ x: SIMD8<Int32>) -> ByteLanes {
        let order = SIMD32<Int8>(
            0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13, 0, 1, 0, 1, 4, 5, 4, 5, 8, 9, 8, 9, 12, 13, 12, 13)
        return _mm256_shuffle_epi8(unsafeBitCast(x, to: ByteLanes.self), unsafeBitCast(order, to: ByteLanes.self))
    }

    /// Eight signed bytes.
    @inline(__always) private func signedBytes(_ p: UnsafeRawPointer, _ offset: Int) -> SIMD8<Int32> {
        let eight = SIMD2(p.loadUnaligned(fromByteOffset: offset, as: Int64.self), 0)
        return unsafeBitCast(_mm256_cvtepi8_epi32(eight), to: SIMD8<Int32>.self)
    }
#endif
