import Glibc

/// The angles of the rotary position embedding: adjacent pairs, the first `rotaryDim` dimensions of a head.
///
/// Theta is formed as the reference forms it (f32 exponent, f32 power, f32 reciprocal), an angle is one f32 product, and its
/// cosine and sine are those of that f32 number, right to f32 rounding. Exacter angles would be other angles than
/// the model was trained with.
public struct RotaryTable: Sendable {
    /// theta_i = base^(-2i / rotaryDim).
    public let inverseFrequencies: [Float]  // [rotaryDim / 2]

    /// The table for `rotaryDim` (even) rotated dimensions.
    public init(base: Double, rotaryDim: Int) {
        inverseFrequencies = (0..<rotaryDim / 2).map { i in
            let exponent = Float(2 * i) / Float(rotaryDim)
            return 1 / Float(pow(base, Double(exponent)))
        }
    }

    /// Writes the cosine and sine of each pair's angle at `position` (up to 1,048,575).
    ///
    /// - Shapes: `cos`, `sin` [rotaryDim / 2].
    public func angles(
        position: Int, into cos: UnsafeMutablePointer<Float>, _ sin: UnsafeMutablePointer<Float>
    ) {
        let p = Float(position)
        inverseFrequencies.withUnsafeBufferPointer { thetas in
            for i in 0..<thetas.count {
                let (c, s) = cosineAndSine(p * thetas[i])
                cos[i] = c
                sin[i] = s
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

/// The cosine and sine of an angle from 0 to 2^20, each rounded to f32 once.
///
/// In Double: the angle less the nearest multiple n of pi / 2, which is taken away in three parts (n times the first two is
/// exact for n < 2^21), then the Taylor series on |r| <= pi / 4.
public func cosineAndSine(_ angle: Float) -> (cosine: Float, sine: Float) {
    let x = Double(angle)
    let n = (x * 0x1.45f306dc9c883p-1).rounded(.toNearestOrEven)
    let r = x.addingProduct(-n, 0x1.921fb544p+0)
        .addingProduct(-n, 0x1.0b4611a6p-34)
        .addingProduct(-n, 0x1.3198a2e037073p-69)
    let z = r * r
    var s = 1.0 / 355_687_428_096_000  // 17!
    s = (-1.0 / 1_307_674_368_000).addingProduct(s, z)
    s = (1.0 / 6_227_020_800).addingProduct(s, z)
    s = (-1.0 / 39_916_800).addingProduct(s, z)
    s = (1.0 / 362_880).addingProduct(s, z)
    s = (-1.0 / 5_040).addingProduct(s, z)
    s = (1.0 / 120).addingProduct(s, z)
    s = (-1.0 / 6).addingProduct(s, z)
    let sine = r.addingProduct(r * z, s)
    var c = 1.0 / 20_922_789_888_000  // 16!
    c = (-1.0 / 87_178_291_200).addingProduct(c, z)
    c = (1.0 / 479_001_600).addingProduct(c, z)
    c = (-1.0 / 3_628_800).addingProduct(c, z)
    c = (1.0 / 40_320).addingProduct(c, z)
    c = (-1.0 / 720).addingProduct(c, z)
    c = (1.0 / 24).addingProduct(c, z)
    c = (-1.0 / 2).addingProduct(c, z)
    let cosine = 1.0.addingProduct(c, z)
    switch Int(n) & 3 {
    case 0: return (Float(cosine), Float(sine))
    case 1: return (Float(-sine), Float(cosine))
    case 2: return (Float(-cosine), Float(-sine))
    default: return (Float(sine), Float(-cosine))
    }
}
