public import Core

/// The stored form of 64 tokens of one layer and one KV head: a page of keys, and a page of values.
///
/// Keys are transposed, so that attention's lanes run across keys while it walks the dimensions in order.
///
/// | type | a page of keys | a page of values |
/// |---|---|---|
/// | f32, f16 | [headDim][64 keys] | [64 keys][headDim] |
/// | q8 | bytes [headDim][64 keys], then scales [blocks][64 keys] | bytes [64 keys][headDim], then scales [64 keys][blocks] |
/// | q4 | bytes [headDim / 2][64 keys], then scales as q8 | bytes [64 keys][headDim / 2], then scales as q8 |
///
/// A block is 32 dimensions, the last one of a head what remains. A byte of q4 holds dimension 2i in its low half and
/// 2i + 1 in its high half, each plus eight: no byte is shared by two tokens, so that storing one leaves its neighbours alone.
/// No stored key or value is infinite: numbers beyond the type count as its greatest.
public enum KeyValuePage {
    /// Bytes of one page of keys, and of one page of values; `headDim % 8 == 0`.
    public static func byteCount(headDim: Int, type: KVType = .f16) -> Int {
        Slots.pageTokens * type.byteCount(headDim: headDim)
    }

    /// Stores a key as number `index` (under 64) of a page of keys, rounded to nearest.
    public static func storeKey(
        _ k: UnsafePointer<Float>, in page: UnsafeMutableRawPointer, at index: Int, headDim: Int, type: KVType = .f16
    ) {
        switch type {
        case .f32:
            let column = page.assumingMemoryBound(to: Float.self) + index
            for d in 0..<headDim { column[d &* Slots.pageTokens] = k[d] }
        case .f16:
            let column = page.assumingMemoryBound(to: Float16.self) + index
            for d in 0..<headDim { column[d &* Slots.pageTokens] = narrowed(k[d]) }
        case .q8, .q4:
            let scales = scales(of: page, headDim: headDim, type: type) + index
            storeBlocks(
                k, quants: page + index, quantStride: Slots.pageTokens, scales: scales, scaleStride: Slots.pageTokens,
                headDim: headDim, type: type)
        }
    }

    /// Stores a value as number `index` (under 64) of a page of values, rounded to nearest.
    public static func storeValue(
        _ v: UnsafePointer<Float>, in page: UnsafeMutableRawPointer, at index: Int, headDim: Int, type: KVType = .f16
    ) {
        switch type {
        case .f32:
            (page.assumingMemoryBound(to: Float.self) + index &* headDim).update(from: v, count: headDim)
        case .f16:
            let row = page.assumingMemoryBound(to: Float16.self) + index &* headDim
            for d in 0..<headDim { row[d] = narrowed(v[d]) }
        case .q8, .q4:
            let scales = scales(of: page, headDim: headDim, type: type) + index &* blockCount(headDim)
            storeBlocks(
                v, quants: page + index &* quantBytes(headDim, type), quantStride: 1, scales: scales, scaleStride: 1,
                headDim: headDim, type: type)
        }
    }

    /// The nearest f16, ties to even; beyond +-65,504 that number.
    @inline(__always)
    static func narrowed(_ x: Float) -> Float16 {
        let floored = x < -65_504 ? -65_504 : x
        return Float16(floored > 65_504 ? 65_504 : floored)
    }

    /// Bytes of a token's quants, without its scales.
    @inline(__always)
    static func quantBytes(_ headDim: Int, _ type: KVType) -> Int { type == .q8 ? headDim : headDim / 2 }

    @inline(__always)
    private static func scales(
        of page: UnsafeMutableRawPointer, headDim: Int, type: KVType
    ) -> UnsafeMutablePointer<Float16> {
        (page + Slots.pageTokens &* quantBytes(headDim, type)).assumingMemoryBound(to: Float16.self)
    }
}

// MARK: - Blocks of q8 and q4

extension KeyValuePage {
    /// Rounds a head's blocks and writes quants and scales, each at its own stride.
    private static func storeBlocks(
        _ x: UnsafePointer<Float>, quants: UnsafeMutableRawPointer, quantStride: Int,
        scales: UnsafeMutablePointer<Float16>, scaleStride: Int, headDim: Int, type: KVType
    ) {
        var quants = quants
        for block in 0..<blockCount(headDim) {
            let x = x + 32 &* block
            let count = min(32, headDim &- 32 &* block)
            let stored = type == .q8 ? scale8(x, count) : scale4(x, count)
            scales[block &* scaleStride] = stored
            let scale = Float(stored)
            var d = 0
            while d < count {
                if type == .q8 {
                    quants.storeBytes(of: Int8(truncatingIfNeeded: quant(x[d], scale, -127, 127)), as: Int8.self)
                    d &+= 1
                } else {
                    let low = quant(x[d], scale, -8, 7) &+ 8
                    let high = quant(x[d &+ 1], scale, -8, 7) &+ 8
                    quants.storeBytes(of: UInt8(truncatingIfNeeded: low | high &<< 4), as: UInt8.self)
                    d &+= 2
                }
                quants += quantStride
            }
        }
    }

    /// max|x| / 127, as f16.
    private static func scale8(_ x: UnsafePointer<Float>, _ count: Int) -> Float16 {
        scale(largestMagnitude(x, count), by: 127)
    }

    /// The (first) element of the largest magnitude / -8, as f16: GGUF's Q4_0.
    ///
    /// All sixteen quants are used, and 0 is one of them. On normal numbers the error is 8.6%; +-7 steps of max|x| / 7 give
    /// 9.7%, sixteen odd multiples of max|x| / 15 9.1% (and noise for the small numbers beside an outlier), a search over nine
    /// scales 8.2%.
    private static func scale4(_ x: UnsafePointer<Float>, _ count: Int) -> Float16 {
        let largest = largestMagnitude(x, count)
        let size = scale(largest, by: 8)
        if size == 0 { return 0 }
        var i = 0
        while x[i].bitPattern & 0x7fff_ffff != largest { i &+= 1 }
        return x[i].sign == .minus ? size : -size
    }

    /// A magnitude's share, as f16 and never beyond its greatest: also for a NaN, whose bits are the largest of all.
    @inline(__always)
    private static func scale(_ magnitude: UInt32, by steps: Float) -> Float16 {
        let size = Float(bitPattern: magnitude) / steps
        return Float16(size < 65_504 ? size : 65_504)
    }

    /// The bits of the largest |x|.
    @inline(__always)
    private static func largestMagnitude(_ x: UnsafePointer<Float>, _ count: Int) -> UInt32 {
        var largest: UInt32 = 0
        for i in 0..<count { largest = max(largest, x[i].bitPattern & 0x7fff_ffff) }
        return largest
    }

    /// x / scale rounded to nearest, ties to even, within least...most; `scale` is the rounded one that it will be read with.
    @inline(__always)
    private static func quant(_ x: Float, _ scale: Float, _ least: Float, _ most: Float) -> Int32 {
        if scale == 0 { return 0 }
        let steps = x / scale
        // Written so that a NaN becomes `least`.
        let floored = steps > least ? steps : least
        let clamped = floored < most ? floored : most
        // Adding 1.5 x 2^23 rounds to nearest even and leaves the integer in the low bits.
        let magic = Float(12_582_912)
        return Int32(bitPattern: (clamped + magic).bitPattern &- magic.bitPattern)
    }
}
