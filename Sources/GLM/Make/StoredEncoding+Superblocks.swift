/// Blocks of 256 with small scales, by plain rounding: files of published models come from a search for better scales, which
/// random weights do not repay.
extension StoredEncoding {
    /// Q4_K (four bits) or Q5_K: eight times 32 elements with scale and minimum of six bits.
    static func superblock(_ x: [Float], bits: Int, to bytes: inout [UInt8]) {
        let top = Float(bits == 4 ? 15 : 31)
        let least = (0..<8).map { b in -min(0, x[32 * b..<32 * b + 32].min() ?? 0) }
        let steps = (0..<8).map { b in ((x[32 * b..<32 * b + 32].max() ?? 0) + least[b]) / top }
        let (d, scales) = sixBits(of: steps)
        let (dmin, minima) = sixBits(of: least)
        append([d.bitPattern, dmin.bitPattern], to: &bytes)
        for b in 0..<4 { bytes.append(scales[b] | (scales[b + 4] >> 4) << 6) }
        for b in 0..<4 { bytes.append(minima[b] | (minima[b + 4] >> 4) << 6) }
        for b in 0..<4 { bytes.append(scales[b + 4] & 15 | (minima[b + 4] & 15) << 4) }
        let quants = x.indices.map { i in
            quant(x[i] + Float(dmin) * Float(minima[i / 32]), step: Float(d) * Float(scales[i / 32]), in: 0...top)
        }
        if bits == 5 {
            for l in 0..<32 { bytes.append((0..<8).reduce(0) { $0 | (quants[32 * $1 + l] >> 4) << UInt8($1) }) }
        }
        for i in 0..<128 {
            let low = i / 32 * 64 + i % 32
            bytes.append(quants[low] & 15 | (quants[low + 32] & 15) << 4)
        }
    }

    /// Q6_K: sixteen times 16 elements with signed scales of eight bits.
    static func sixBits(_ x: [Float], to bytes: inout [UInt8]) {
        let steps = (0..<16).map { b in
            (x[16 * b..<16 * b + 16].max { abs($0) < abs($1) } ?? 0) / -32
        }
        let d = Float16((steps.max { abs($0) < abs($1) } ?? 0) / -128)
        let scales = steps.map { Int8(d == 0 ? 0 : max(-128, min(127, ($0 / Float(d)).rounded()))) }
        let quants = x.indices.map { i in
            UInt8(quant(x[i], step: Float(d) * Float(scales[i / 16]), in: -32...31, zero: 32))
        }
        for i in 0..<128 {
            let low = i / 64 * 128 + i % 64
            bytes.append(quants[low] & 15 | (quants[low + 64] & 15) << 4)
        }
        for i in 0..<64 {
            let low = i / 32 * 128 + i % 32
            bytes.append((0..<4).reduce(0) { $0 | (quants[low + 32 * $1] >> 4) << UInt8(2 * $1) })
        }
        for scale in scales { bytes.append(UInt8(bitPattern: scale)) }
        append([d.bitPattern], to: &bytes)
    }

    /// Numbers of no sign as multiples, up to 63, of one factor.
    private static func sixBits(of x: [Float]) -> (factor: Float16, multiples: [UInt8]) {
        let factor = Float16((x.max() ?? 0) / 63)
        return (factor, x.map { UInt8(factor == 0 ? 0 : min(63, ($0 / Float(factor)).rounded())) })
    }

    /// The number of steps nearest to `x`, within a range, plus what stands for zero.
    private static func quant(_ x: Float, step: Float, in range: ClosedRange<Float>, zero: Float = 0) -> UInt8 {
        let steps = step == 0 ? 0 : (x / step).rounded()
        return UInt8(min(max(steps, range.lowerBound), range.upperBound) + zero)
    }
}
