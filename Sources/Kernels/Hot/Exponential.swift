/// e to the power of each lane.
///
/// Our own, since a library's rounding differs from machine to machine: x = n ln 2 + r, a polynomial for e^r on
/// |r| <= ln 2 / 2, times 2^n by its bits.
///
/// - Error: at most 2 units in the last place for -87.33 <= x <= 88.37; 0 below about -87.7 (and for -infinity, exactly
///   +0), a denormal number or, when the thread flushes, 0 between; infinity above 88.38; NaN stays NaN; e^0 is exactly 1.
/// The vectors take their steps together, since each step waits long for the one before it.
///
/// - Parameter isAtMostZero: Whether no lane is above zero, which saves a step and changes no bit.
@inline(__always)
func exponentials<let N: Int>(_ x: InlineArray<N, Lanes>, isAtMostZero: Bool) -> InlineArray<N, Lanes> {
    typealias Vectors = InlineArray<N, Lanes>
    // At the lower bound n is -127 and the bits of 2^n are those of zero; at the upper n is 128, those of infinity.
    let floored = Vectors { greater(Lanes(repeating: -88), isAtMostZero ? x[$0] : lesser(Lanes(repeating: 89), x[$0])) }
    // Adding 1.5 * 2^23 leaves the nearest whole number in the low bits.
    let magic = Lanes(repeating: 12_582_912)
    let shifted = Vectors { magic.addingProduct(floored[$0], Lanes(repeating: 1.442695)) }
    let n = Vectors { shifted[$0] - magic }
    // ln 2 in two parts, the first of 15 bits: n times it is exact.
    let near = Vectors { floored[$0].addingProduct(n[$0], Lanes(repeating: -0x1.62e4p-1)) }
    let r = Vectors { near[$0].addingProduct(n[$0], Lanes(repeating: -0x1.7f7d1cp-20)) }
    // (e^r - 1 - r) / r^2, Chebyshev fit of degree 4 on 1.01 |ln 2 / 2|, off by less than 7e-8.
    let p1 = Vectors { Lanes(repeating: 8.363774e-3).addingProduct(Lanes(repeating: 1.3926927e-3), r[$0]) }
    let p2 = Vectors { Lanes(repeating: 4.1666549e-2).addingProduct(p1[$0], r[$0]) }
    let p3 = Vectors { Lanes(repeating: 1.66665733e-1).addingProduct(p2[$0], r[$0]) }
    let p4 = Vectors { Lanes(repeating: 0.5).addingProduct(p3[$0], r[$0]) }
    let y = Vectors { r[$0].addingProduct(r[$0] * r[$0], p4[$0]) + Lanes(repeating: 1) }
    return Vectors {
        let bits = unsafeBitCast(shifted[$0], to: LaneBits.self) &+ LaneBits(repeating: 127)
        return y[$0] * unsafeBitCast(bits &<< 23, to: Lanes.self)
    }
}

/// e to the power of each lane of one vector: see `exponentials`.
@inline(__always)
func exponential(_ x: Lanes, isAtMostZero: Bool = false) -> Lanes {
    exponentials(InlineArray<1, Lanes>(repeating: x), isAtMostZero: isAtMostZero)[0]
}
