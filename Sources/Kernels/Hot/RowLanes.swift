#if arch(x86_64)
    import _Builtin_intrinsics.intel
#endif

/// Eight vectors of eight lanes, one a row, into one vector with a lane for each row: lanes 4 apart are combined, then 2, then 1.
///
/// A row alone would take as many steps, so six rows at once cost about as much as two.
@inline(__always)
func rowLanes(
    _ rows: InlineArray<8, SIMD8<Float>>, _ combine: (SIMD8<Float>, SIMD8<Float>) -> SIMD8<Float>
) -> SIMD8<Float> {
    #if arch(x86_64)
        @inline(__always) func pairs(_ a: SIMD8<Float>, _ b: SIMD8<Float>) -> SIMD4<Double> {
            let low = SIMD8<Float>(lowHalf: a.lowHalf, highHalf: b.lowHalf)
            let high = SIMD8<Float>(lowHalf: a.highHalf, highHalf: b.highHalf)
            return unsafeBitCast(combine(low, high), to: SIMD4<Double>.self)
        }
        @inline(__always) func fours(_ a: SIMD4<Double>, _ b: SIMD4<Double>) -> SIMD8<Float> {
            let low = unsafeBitCast(_mm256_unpacklo_pd(a, b), to: SIMD8<Float>.self)
            return combine(low, unsafeBitCast(_mm256_unpackhi_pd(a, b), to: SIMD8<Float>.self))
        }
        // The rows stand so that the last step leaves them in order.
        let a = fours(pairs(rows[0], rows[4]), pairs(rows[2], rows[6]))
        let b = fours(pairs(rows[1], rows[5]), pairs(rows[3], rows[7]))
        return fours(
            unsafeBitCast(_mm256_unpacklo_ps(a, b), to: SIMD4<Double>.self),
            unsafeBitCast(_mm256_unpackhi_ps(a, b), to: SIMD4<Double>.self))
    #else
        var out = SIMD8<Float>.zero
        for r in 0..<8 {
            var x = rows[r]
            for apart in [4, 2, 1] {
                var other = x
                for i in 0..<apart { other[i] = x[i &+ apart] }
                x = combine(x, other)
            }
            out[r] = x[0]
        }
        return out
    #endif
}
