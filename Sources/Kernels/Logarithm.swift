/// e to the power of `x`, with the bits that a vector lane would have.
public func exponential(_ x: Float) -> Float {
    exponential(SIMD8<Float>(repeating: x))[0]
}

/// e to the power of each of eight numbers, with the same bits.
public func exponentials(_ x: SIMD8<Float>) -> SIMD8<Float> { exponential(x) }

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
