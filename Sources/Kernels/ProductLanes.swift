// The few vector operations that the AVX2 products are made of, named for what they do.

#if arch(x86_64)
    import _Builtin_intrinsics.intel

    /// 32 bytes in a register (`__m256i`).
    typealias ByteLanes = SIMD4<Int64>

    @inline(__always) func bytes(_ p: UnsafeRawPointer, _ offset: Int = 0) -> ByteLanes {
        p.loadUnaligned(fromByteOffset: offset, as: ByteLanes.self)
    }
    /// Four activations in every lane.
    @inline(__always) func fourBytes(_ p: UnsafeRawPointer, _ offset: Int) -> ByteLanes {
        unsafeBitCast(
            SIMD8<Int32>(repeating: p.loadUnaligned(fromByteOffset: offset, as: Int32.self)), to: ByteLanes.self)
    }
    /// Pairs of unsigned times signed bytes, added in int16.
    @inline(__always) func bytePairs(_ unsigned: ByteLanes, _ signed: ByteLanes) -> ByteLanes {
        _mm256_maddubs_epi16(unsigned, signed)
    }
    @inline(__always) func add16(_ a: ByteLanes, _ b: ByteLanes) -> ByteLanes {
        unsafeBitCast(
            unsafeBitCast(a, to: SIMD16<Int16>.self) &+ unsafeBitCast(b, to: SIMD16<Int16>.self), to: ByteLanes.self)
    }
    @inline(__always) func add32(_ a: ByteLanes, _ b: ByteLanes) -> ByteLanes {
        unsafeBitCast(
            unsafeBitCast(a, to: SIMD8<Int32>.self) &+ unsafeBitCast(b, to: SIMD8<Int32>.self), to: ByteLanes.self)
    }
    @inline(__always) func subtract32(_ a: ByteLanes, _ b: ByteLanes) -> ByteLanes {
        unsafeBitCast(
            unsafeBitCast(a, to: SIMD8<Int32>.self) &- unsafeBitCast(b, to: SIMD8<Int32>.self), to: ByteLanes.self)
    }
    /// A number, times a power of two, in every lane.
    @inline(__always) func shifted(_ p: UnsafePointer<Int32>, by bits: Int) -> ByteLanes {
        unsafeBitCast(SIMD8<Int32>(repeating: p.pointee) &<< Int32(bits), to: ByteLanes.self)
    }
    /// Pairs of int16 added in int32.
    @inline(__always) func widenedPairs(_ a: ByteLanes) -> ByteLanes { _mm256_madd_epi16(a, _mm256_set1_epi16(1)) }
    /// Pairs of int16 times pairs of int16, added in int32.
    @inline(__always) func scaledPairs(_ a: ByteLanes, _ b: ByteLanes) -> ByteLanes { _mm256_madd_epi16(a, b) }
    @inline(__always) func lowNibbles(_ a: ByteLanes) -> ByteLanes {
        a & unsafeBitCast(SIMD32<UInt8>(repeating: 15), to: ByteLanes.self)
    }
    @inline(__always) func highNibbles(_ a: ByteLanes) -> ByteLanes {
        lowNibbles(unsafeBitCast(unsafeBitCast(a, to: SIMD16<UInt16>.self) &>> 4, to: ByteLanes.self))
    }
    @inline(__always) func converted(_ dot: ByteLanes) -> SIMD8<Float> { _mm256_cvtepi32_ps(dot) }
    /// Eight half-precision numbers.
    @inline(__always) func eightHalves(_ p: UnsafeRawPointer, _ offset: Int) -> SIMD8<Float> {
        _mm256_cvtph_ps(p.loadUnaligned(fromByteOffset: offset, as: SIMD2<Int64>.self))
    }
    @inline(__always) func eightFloats(_ p: UnsafeRawPointer, _ offset: Int = 0) -> SIMD8<Float> {
        p.loadUnaligned(fromByteOffset: offset, as: SIMD8<Float>.self)
    }
#endif
