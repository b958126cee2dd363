#if arch(x86_64)
    import _Builtin_intrinsics.intel
#endif

/// Eight floats from any address.
@inline(__always)
func lanes(_ p: UnsafePointer<Float>) -> SIMD8<Float> {
    UnsafeRawPointer(p).loadUnaligned(as: SIMD8<Float>.self)
}

/// Writes eight floats to any address.
@inline(__always)
func store(_ x: SIMD8<Float>, _ p: UnsafeMutablePointer<Float>) {
    UnsafeMutableRawPointer(p).storeBytes(of: x, as: SIMD8<Float>.self)
}

/// The first `count` (under eight) floats, and `filler` in the other lanes.
@inline(__always)
func lanes(_ p: UnsafePointer<Float>, count: Int, filler: Float) -> SIMD8<Float> {
    var x = SIMD8<Float>(repeating: filler)
    for j in 0..<count { x[j] = p[j] }
    return x
}

/// Writes the first `count` (under eight) lanes.
@inline(__always)
func store(_ x: SIMD8<Float>, _ p: UnsafeMutablePointer<Float>, count: Int) {
    for j in 0..<count { p[j] = x[j] }
}

/// The greater of each pair of lanes; `b` where either is not a number, or where both are zero.
///
/// `pointwiseMax` has the same result but stays a call, which halves the speed of attention.
@inline(__always)
func greater(_ a: SIMD8<Float>, _ b: SIMD8<Float>) -> SIMD8<Float> {
    #if arch(x86_64)
        _mm256_max_ps(a, b)
    #else
        b.replacing(with: a, where: a .> b)
    #endif
}

/// The lesser of each pair of lanes; `b` where either is not a number, or where both are zero.
@inline(__always)
func lesser(_ a: SIMD8<Float>, _ b: SIMD8<Float>) -> SIMD8<Float> {
    #if arch(x86_64)
        _mm256_min_ps(a, b)
    #else
        b.replacing(with: a, where: a .< b)
    #endif
}

/// Eight f16 numbers as f32, exactly, from any address.
@inline(__always)
func widened(_ p: UnsafeRawPointer) -> SIMD8<Float> {
    #if arch(x86_64)
        _mm256_cvtph_ps(p.loadUnaligned(as: SIMD2<Int64>.self))
    #else
        SIMD8<Float>(p.loadUnaligned(as: SIMD8<Float16>.self))
    #endif
}
