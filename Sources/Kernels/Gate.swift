/// h <- silu(gate) * up, with silu(g) = g / (1 + e^-g).
///
/// - Shapes: `gate`, `up`, `h` [count]; `h` may be either.
public func swiglu(
    gate: UnsafePointer<Float>, up: UnsafePointer<Float>, into h: UnsafeMutablePointer<Float>, count: Int
) {
    @inline(__always) func gated(_ g: SIMD8<Float>, _ u: SIMD8<Float>) -> SIMD8<Float> {
        g / (SIMD8(repeating: 1) + exponential(SIMD8<Float>.zero - g)) * u
    }
    var i = 0
    while i &+ 8 <= count {
        store(gated(lanes(gate + i), lanes(up + i)), h + i)
        i &+= 8
    }
    let rest = count &- i
    if rest > 0 {
        let h8 = gated(lanes(gate + i, count: rest, filler: 0), lanes(up + i, count: rest, filler: 0))
        store(h8, h + i, count: rest)
    }
}
