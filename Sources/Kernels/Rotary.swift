import Glibc

/// The angles of the rotary position embedding: adjacent pairs, the first `rotaryDim` dimensions of a head.
///
/// Theta is formed as the reference forms it (f32 base and exponent, f32 power, f32 reciprocal), an angle is one f32
/// product, and its cosine and sine are those of that f32 number, right to f32 rounding. Exacter angles would be other
/// angles than the model was trained with.
public struct RotaryTable: Sendable {
    /// theta_i = base^(-2i / rotaryDim), scaled where a scaling is configured.
    public let inverseFrequencies: [Float]  // [rotaryDim / 2]
    /// What every cosine and sine is multiplied by: 1 without a scaling.
    public let attentionFactor: Float

    /// The table for `rotaryDim` (even) rotated dimensions.
    ///
    /// - Parameter scaling: How the model was stretched beyond the context of its training.
    public init(base: Double, rotaryDim: Int, scaling: RotaryScaling? = nil) {
        let base = scaling?.base(base, rotaryDim: rotaryDim) ?? base
        // The reference's power takes its base in f32, too.
        let powers = (0..<rotaryDim / 2).map { i in
            Float(pow(Double(Float(base)), Double(Float(2 * i) / Float(rotaryDim))))
        }
        inverseFrequencies =
            scaling?.inverseFrequencies(powers: powers, base: base, rotaryDim: rotaryDim) ?? powers.map { 1 / $0 }
        attentionFactor = scaling.map { Float($0.attentionFactor) } ?? 1
    }

    /// Writes the cosine and sine of each pair's angle at `position`, times the attention factor.
    ///
    /// - Shapes: `cos`, `sin` [rotaryDim / 2].
    public func angles(
        position: Int, into cos: UnsafeMutablePointer<Float>, _ sin: UnsafeMutablePointer<Float>
    ) {
        let p = Float(position)
        inverseFrequencies.withUnsafeBufferPointer { thetas in
            for i in 0..<thetas.count {
                let (c, s) = cosineAndSine(p * thetas[i])
                cos[i] = c * attentionFactor
                sin[i] = s * attentionFactor
            }
        }
    }
}

/// Rotates a head's first `rotaryDim` dimensions: out[2i] = a c - b s, out[2i+1] = b c + a s for the pair (a, b).
///
/// The product with the sine is rounded, then one FMA.
///
/// - Shapes: `head` [rotaryDim or more], changed in place; `cos`, `sin` [rotaryDim / 2].
public func applyRotary(
    _ head: UnsafeMutablePointer<Float>, rotaryDim: Int, cos: UnsafePointer<Float>, sin: UnsafePointer<Float>
) {
    let pairs = rotaryDim / 2
    var i = 0
    while i &+ 4 <= pairs {
        let v = lanes(head + 2 &* i)
        let c = UnsafeRawPointer(cos + i).loadUnaligned(as: SIMD4<Float>.self)
        let s = UnsafeRawPointer(sin + i).loadUnaligned(as: SIMD4<Float>.self)
        let a = v.evenHalf
        let b = v.oddHalf
        var out = SIMD8<Float>.zero
        out.evenHalf = (SIMD4<Float>.zero - b * s).addingProduct(a, c)
        out.oddHalf = (a * s).addingProduct(b, c)
        store(out, head + 2 &* i)
        i &+= 4
    }
    while i < pairs {
        let a = head[2 &* i]
        let b = head[2 &* i &+ 1]
        head[2 &* i] = (0 - b * sin[i]).addingProduct(a, cos[i])
        head[2 &* i &+ 1] = (a * sin[i]).addingProduct(b, cos[i])
        i &+= 1
    }
}

/// The cosine and sine of an angle from 0 to 2^30, each the f32 number nearest to the true value.
///
/// In Double: the angle less the nearest multiple n of pi / 2, which is taken away in three parts, each with one FMA, then
/// the Taylor series on |r| <= pi / 4. r and both results keep what their Double rounds away: the sine of 9830.3984375
/// lies so near the middle of two f32 numbers that the Double nearest to it is that middle. Every f32 angle was tried:
/// the 36 that come within 12 units of a Double of such a middle round as 300-bit arithmetic says.
public func cosineAndSine(_ angle: Float) -> (cosine: Float, sine: Float) {
    let x = Double(angle)
    let n = (x * 0x1.45f306dc9c883p-1).rounded(.toNearestOrEven)
    let first = x.addingProduct(-n, 0x1.921fb544p+0)
    let second = first.addingProduct(-n, 0x1.0b4611a6p-34)
    let rest = (first - second).addingProduct(-n, 0x1.0b4611a6p-34).addingProduct(-n, 0x1.3198a2e037073p-69)
    let r = second + rest
    let tail = rest - (r - second)
    let z = r * r
    var s = 1.0 / 355_687_428_096_000  // 17!
    s = (-1.0 / 1_307_674_368_000).addingProduct(s, z)
    s = (1.0 / 6_227_020_800).addingProduct(s, z)
    s = (-1.0 / 39_916_800).addingProduct(s, z)
    s = (1.0 / 362_880).addingProduct(s, z)
    s = (-1.0 / 5_040).addingProduct(s, z)
    s = (1.0 / 120).addingProduct(s, z)
    s = (-1.0 / 6).addingProduct(s, z)
    var c = 1.0 / 20_922_789_888_000  // 16!
    c = (-1.0 / 87_178_291_200).addingProduct(c, z)
    c = (1.0 / 479_001_600).addingProduct(c, z)
    c = (-1.0 / 3_628_800).addingProduct(c, z)
    c = (1.0 / 40_320).addingProduct(c, z)
    c = (-1.0 / 720).addingProduct(c, z)
    c = (1.0 / 24).addingProduct(c, z)
    c = (-1.0 / 2).addingProduct(c, z)
    let lessOne = (c * z).addingProduct(-r, tail)
    let lessR = (r * z * s).addingProduct(tail, 1 + lessOne)
    let cosine = roundedSum(1, lessOne)
    let sine = roundedSum(r, lessR)
    switch Int(n) & 3 {
    case 0: return (cosine, sine)
    case 1: return (-sine, cosine)
    case 2: return (-cosine, -sine)
    default: return (sine, -cosine)
    }
}

/// a + b (|a| >= |b|) rounded to f32 once: a Double in the middle of two f32 numbers goes the way of what it lost.
private func roundedSum(_ a: Double, _ b: Double) -> Float {
    let sum = a + b
    let lost = b - (sum - a)
    guard sum.bitPattern & 0x1FFF_FFFF == 0x1000_0000, lost != 0 else { return Float(sum) }
    return Float(Double(bitPattern: (sum < 0) == (lost < 0) ? sum.bitPattern &+ 1 : sum.bitPattern &- 1))
}
