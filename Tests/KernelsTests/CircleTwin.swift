/// Cosine and sine of an f32 angle below 2^30 in whole numbers of 2^-120: a slow twin that shares nothing with the kernel.
///
/// The angle is exact, pi / 2 is known to 2^-121, and a series loses less than one unit a term: results are within 2^31
/// units of the truth.
struct CircleTwin {
    /// A value rounded to the nearest f32.
    struct Rounded {
        var float: Float
        /// Whether the value is too near the middle of two f32 numbers for the twin to tell.
        var isDoubtful: Bool

        /// Rounds `value` units of 2^-120.
        init(_ value: Int128) {
            let width = 128 - value.magnitude.leadingZeroBitCount
            let shift = width - 24
            guard shift > 0 else {
                (float, isDoubtful) = (Float(sign: .plus, exponent: -120, significand: Float(Int(value))), width > 0)
                return
            }
            let (kept, rest) = (value.magnitude >> shift, value.magnitude & (1 << shift - 1))
            let middle: UInt128 = 1 << (shift - 1)
            let magnitude = Float(
                sign: .plus, exponent: shift - 120, significand: Float(kept + (rest > middle ? 1 : 0)))
            float = value < 0 ? -magnitude : magnitude
            isDoubtful = (rest > middle ? rest - middle : middle - rest) < 1 << 32
        }
    }

    /// 2^120 pi / 2.
    private static let quarter: Int128 = 0x1921fb54442d18469898cc51701b83a
    private static let one: Int128 = 1 << 120

    let cosine: Rounded
    let sine: Rounded

    init(_ angle: Float) {
        // Whole turns fall out of arithmetic modulo 2^128: the remainder is small.
        let significand = angle == 0 ? 0 : Int128(angle.significandBitPattern | 1 << 23)
        let quarters = Int((Double(angle) * 2 / .pi).rounded())
        let r = (significand &<< (Int128(angle.exponentBitPattern) - 150 + 120)) &- Int128(quarters) &* Self.quarter
        let z = Self.product(r, r)
        let sine = Self.series(from: r, times: z, firstDivisor: 2)
        let cosine = Self.series(from: Self.one, times: z, firstDivisor: 1)
        switch quarters & 3 {
        case 0: (self.cosine, self.sine) = (Rounded(cosine), Rounded(sine))
        case 1: (self.cosine, self.sine) = (Rounded(-sine), Rounded(cosine))
        case 2: (self.cosine, self.sine) = (Rounded(-cosine), Rounded(-sine))
        default: (self.cosine, self.sine) = (Rounded(sine), Rounded(-cosine))
        }
    }

    /// first (1 - z / (d (d + 1)) (1 - z / ((d + 2) (d + 3)) (...)))
    private static func series(from first: Int128, times z: Int128, firstDivisor: Int128) -> Int128 {
        var (sum, term, divisor) = (first, first, firstDivisor)
        while term != 0 {
            term = -(product(term, z) / (divisor * (divisor + 1)))
            sum += term
            divisor += 2
        }
        return sum
    }

    private static func product(_ a: Int128, _ b: Int128) -> Int128 {
        let (high, low) = a.multipliedFullWidth(by: b)
        return high << 8 | Int128(low >> 120)
    }
}
