// The reference GGUF quantisers (Q8_0, Q4_0, Q4_1), for weights that are stored wider than they are to be held.
//
// Arithmetic is f32 as in the reference; quants come from the unrounded scale, the scale is then rounded to f16.

extension QuantBlock {
    /// A block from 32 quants; a plain loop over memory, so that it becomes vector code.
    @inline(__always)
    private init(d: Float, m: Float, _ quant: (Int) -> UInt8) {
        quants = (0, 0, 0, 0)
        self.d = Float16(d)
        self.m = Float16(m)
        withUnsafeMutableBytes(of: &quants) { bytes in
            for i in 0..<32 { bytes[i] = quant(i) }
        }
    }

    /// Q8_0: d = max|x| / 127, quants x (1/d) rounded half away from zero.
    static func q8(_ x: UnsafePointer<Float>) -> QuantBlock {
        let d = Float(bitPattern: largestMagnitude(x)) / 127
        let inverse = d == 0 ? 0 : 1 / d
        return QuantBlock(d: d, m: 0) { i in
            let v = x[i] * inverse
            let size = abs(v)
            let whole = truncated(size)
            let fraction = size - Float(whole)
            let rounded = whole &+ truncated(fraction + fraction)
            // No branches: signs are random, and a loop with branches stays scalar.
            let sign = Int32(bitPattern: v.bitPattern) >> 31
            return UInt8(truncatingIfNeeded: (rounded ^ sign) &- sign)
        }
    }

    /// Q4_0: d = the (first) element of the largest magnitude / -8, nibbles x (1/d) + 8.5 cut to 0...15.
    static func q4(_ x: UnsafePointer<Float>) -> QuantBlock {
        let magnitude = largestMagnitude(x)
        var i = 0
        while i < 31 && x[i].bitPattern & 0x7fff_ffff != magnitude { i &+= 1 }
        let d = x[i] / -8
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

/// The bits of the largest |x| of 32: integers, because their maximum becomes vector code and that of floats does not.
@inline(__always)
private func largestMagnitude(_ x: UnsafePointer<Float>) -> UInt32 {
    var largest: UInt32 = 0
    for i in 0..<32 { largest = max(largest, x[i].bitPattern & 0x7fff_ffff) }
    return largest
}

/// `x` without its fraction; 0 for what is no small non-negative number (infinite or NaN weights of a damaged file).
@inline(__always)
private func truncated(_ x: Float) -> Int32 {
    let small = x >= 0 ? x : 0
    return Int32(small < 256 ? small : 0)
}
