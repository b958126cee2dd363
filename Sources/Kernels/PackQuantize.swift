// The reference GGUF quantisers (Q8_0, Q4_0, Q4_1), for weights that are stored wider than they are to be held.
//
// Arithmetic is f32 as in the reference; quants come from the unrounded scale, the scale is then rounded to f16.

/// One block of a row: quants (bytes, or nibbles in bytes) with scale and minimum.
struct QuantBlock {
    /// Elements 0..<32: a signed byte (q8) or a nibble 0..<16 (q4, q4m).
    var quants: (UInt64, UInt64, UInt64, UInt64)
    /// Scale.
    var d: Float16
    /// Minimum; 0 for types that have none.
    var m: Float16
}

extension QuantBlock {
    /// A block from 32 quants.
    @inline(__always)
    private init(d: Float, m: Float, _ quant: (Int) -> UInt8) {
        @inline(__always) func eight(_ from: Int) -> UInt64 {
            var word: UInt64 = 0
            for i in 0..<8 { word |= UInt64(quant(from &+ i)) << UInt64(8 &* i) }
            return word
        }
        quants = (eight(0), eight(8), eight(16), eight(24))
        self.d = Float16(d)
        self.m = Float16(m)
    }

    /// Q8_0: d = max|x| / 127, quants x (1/d) rounded half away from zero.
    static func q8(_ x: UnsafePointer<Float>) -> QuantBlock {
        var largest: Float = 0
        for i in 0..<32 { largest = max(largest, abs(x[i])) }
        let d = largest / 127
        let inverse = d == 0 ? 0 : 1 / d
        return QuantBlock(d: d, m: 0) { i in
            let v = x[i] * inverse
            let whole = truncated(abs(v))
            let rounded = abs(v) - Float(whole) >= 0.5 ? whole &+ 1 : whole
            return UInt8(truncatingIfNeeded: v < 0 ? 0 &- rounded : rounded)
        }
    }

    /// Q4_0: d = the element of the largest magnitude / -8, nibbles x (1/d) + 8.5 cut to 0...15.
    static func q4(_ x: UnsafePointer<Float>) -> QuantBlock {
        var largest: Float = 0
        for i in 0..<32 where abs(x[i]) > abs(largest) { largest = x[i] }
        let d = largest / -8
        let inverse = d == 0 ? 0 : 1 / d
        return QuantBlock(d: d, m: 0) { i in UInt8(truncatingIfNeeded: min(15, truncated(x[i] * inverse + 8.5))) }
    }

    /// Q4_1: m = min, d = (max - min) / 15, nibbles (x - m) (1/d) + 0.5 cut to 0...15.
    static func q4m(_ x: UnsafePointer<Float>) -> QuantBlock {
        var smallest = x[0]
        var largest = x[0]
        for i in 1..<32 {
            smallest = min(smallest, x[i])
            largest = max(largest, x[i])
        }
        let d = (largest - smallest) / 15
        let inverse = d == 0 ? 0 : 1 / d
        return QuantBlock(d: d, m: smallest) { i in
            UInt8(truncatingIfNeeded: min(15, truncated((x[i] - smallest) * inverse + 0.5)))
        }
    }
}

/// `x` without its fraction; 0 for what is no small non-negative number (infinite or NaN weights of a damaged file).
@inline(__always)
private func truncated(_ x: Float) -> Int32 { x >= 0 && x < 256 ? Int32(x) : 0 }
