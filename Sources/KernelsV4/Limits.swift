#if AVX512
    import _Builtin_intrinsics.intel

    // The same loops as `Limits` in Kernels, in registers twice as wide.

    /// Fused multiply-adds of floats. `seed` only keeps the result unknown to the compiler.
    @inline(never)
    public func multiplyAddLimit(rounds: Int, seed: Float) -> (operations: Int, check: Float) {
        let a = SIMD16<Float>(repeating: 0.5 + seed * 0)
        let b = SIMD16<Float>(repeating: seed)
        var x = InlineArray<12, SIMD16<Float>> { b + SIMD16(repeating: Float($0)) }
        for _ in 0..<rounds {
            for i in 0..<12 { x[i] = b.addingProduct(x[i], a) }
        }
        var sum = x[0]
        for i in 1..<12 { sum += x[i] }
        return (rounds * 12 * 32, sum[0] + sum[15])
    }

    /// Products of bytes added in int32: vpdpbusd.
    @inline(never)
    public func byteProductLimit(rounds: Int, seed: Int64) -> (operations: Int, check: Int64) {
        let c = SIMD8<Int64>(repeating: seed)
        var x = InlineArray<12, SIMD8<Int64>> { c &+ SIMD8(repeating: Int64($0)) }
        for _ in 0..<rounds {
            for i in 0..<12 { x[i] = _mm512_dpbusd_epi32(x[i], c, c) }
        }
        var all = x[0]
        for i in 1..<12 { all ^= x[i] }
        return (rounds * 12 * 128, all[0] ^ all[7])
    }
#endif
