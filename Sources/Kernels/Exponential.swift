/// e to the power of each lane.
///
/// Our own, since a library's rounding differs from machine to machine: x = n ln 2 + r, a polynomial for e^r on
/// |r| <= ln 2 / 2, times 2^n by its bits.
///
/// - Error: at most 2 units in the last place for -87.33 <= x <= 88.37; 0 below about -87.7 (and for -infinity, exactly
///   +0), a denormal number or, when the thread flushes, 0 between; infinity above 88.38; NaN stays NaN; e^0 is exactly 1.
@inline(__always)
func exponential(_ x: SIMD8<Float>) -> SIMD8<Float> {
    // At the lower bound n is -127 and the bits of 2^n are those of zero; at the upper n is 128, those of infinity.
    let bounded = greater(SIMD8(repeating: -88), lesser(SIMD8(repeating: 89), x))
    // Adding 1.5 * 2^23 leaves the nearest whole number in the low bits.
    let magic = SIMD8<Float>(repeating: 12_582_912)
    let shifted = magic.addingProduct(bounded, SIMD8(repeating: 1.442695))
    let n = shifted - magic
    // ln 2 in two parts, the first of 15 bits: n times it is exact.
    let r =
        bounded
        .addingProduct(n, SIMD8(repeating: -0x1.62e4p-1))
        .addingProduct(n, SIMD8(repeating: -0x1.7f7d1cp-20))
    // (e^r - 1 - r) / r^2, Chebyshev fit of degree 4 on 1.01 |ln 2 / 2|, off by less than 7e-8.
    var p = SIMD8<Float>(repeating: 1.3926927e-3)
    p = SIMD8(repeating: 8.363774e-3).addingProduct(p, r)
    p = SIMD8(repeating: 4.1666549e-2).addingProduct(p, r)
    p = SIMD8(repeating: 1.66665733e-1).addingProduct(p, r)
    p = SIMD8(repeating: 0.5).addingProduct(p, r)
    let y = r.addingProduct(r * r, p) + SIMD8(repeating: 1)
    let bits = unsafeBitCast(shifted, to: SIMD8<Int32>.self) &+ SIMD8(repeating: 127)
    return y * unsafeBitCast(bits &<< 23, to: SIMD8<Float>.self)
}

/// e to the power of `x`, with the bits that a vector lane would have.
public func exponential(_ x: Float) -> Float {
    exponential(SIMD8<Float>(repeating: x))[0]
}

/// The natural logarithm.
///
/// x = m 2^e with m within a factor of the square root of 2 of 1, and the series of 2 artanh((m - 1) / (m + 1)), in
/// Double, rounded once.
///
/// - Error: less than 1 unit in the last place; -infinity at 0, NaN below 0.
public func logarithm(_ x: Float) -> Float {
    let wide = Double(x)
    guard wide > 0, wide < .infinity else {
        return wide == 0 ? -.infinity : (wide == .infinity ? .infinity : .nan)
    }
    // The mantissa's top bit moves into the exponent when m would be above the square root of 2.
    let bits = wide.bitPattern &+ 0x0009_5F61_9980_C433
    let exponent = Int(bits >> 52) &- 1023
    let m = Double(bitPattern: (bits & 0x000F_FFFF_FFFF_FFFF) &+ 0x3FE6_A09E_667F_3BCD)
    let s = (m - 1) / (m + 1)
    let z = s * s
    var series = 1.0 / 21
    series = (1.0 / 19).addingProduct(series, z)
    series = (1.0 / 17).addingProduct(series, z)
    series = (1.0 / 15).addingProduct(series, z)
    series = (1.0 / 13).addingProduct(series, z)
    series = (1.0 / 11).addingProduct(series, z)
    series = (1.0 / 9).addingProduct(series, z)
    series = (1.0 / 7).addingProduct(series, z)
    series = (1.0 / 5).addingProduct(series, z)
    series = (1.0 / 3).addingProduct(series, z)
    series = 1.0.addingProduct(series, z)
    return Float((2 * s * series).addingProduct(Double(exponent), 0.693_147_180_559_945_3))
}
