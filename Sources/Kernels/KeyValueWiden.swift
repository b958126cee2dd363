import Core

// Pages as attention reads them many times over: f32, laid out as a page of f32 is.
//
// Exact for every type: a scale has 11 bits and a quant 8, so that their product needs no rounding. Whether a number is widened
// here or elsewhere, it is the same.

extension KeyValuePage {
    /// A page of keys, not f32, as f32 [headDim][64 keys].
    static func widenKeys(
        _ page: UnsafeRawPointer, headDim: Int, type: KVType, into keys: UnsafeMutablePointer<Float>
    ) {
        let tokens = Slots.pageTokens
        if type == .q8 || type == .q4 {
            for block in 0..<blockCount(headDim) {
                let scales = page + tokens &* (quantBytes(headDim, type) &+ 2 &* block)
                let end = min(headDim, 32 &* block &+ 32)
                // Sixteen keys at a time: their scales stay in registers, and a block of f32 in the L1 cache.
                for key in stride(from: 0, to: tokens, by: 16) {
                    let low = widened(scales + 2 &* key)
                    let high = widened(scales + 2 &* key + 16)
                    var d = 32 &* block
                    while d < end {
                        let to = keys + d &* tokens + key
                        if type == .q8 {
                            let from = page + d &* tokens + key
                            store(signedBytes(from) * low, to)
                            store(signedBytes(from + 8) * high, to + 8)
                            d &+= 1
                        } else {
                            let from = page + d / 2 &* tokens + key
                            let (a0, a1) = nibbles(from)
                            let (b0, b1) = nibbles(from + 8)
                            store(a0 * low, to)
                            store(b0 * high, to + 8)
                            store(a1 * low, to + tokens)
                            store(b1 * high, to + tokens + 8)
                            d &+= 2
                        }
                    }
                }
            }
        } else {
            widenHalves(page, count: tokens &* headDim, into: keys)
        }
    }

    /// A page of values, not f32, as f32 [64 keys][headDim].
    static func widenValues(
        _ page: UnsafeRawPointer, headDim: Int, type: KVType, into values: UnsafeMutablePointer<Float>
    ) {
        let tokens = Slots.pageTokens
        if type == .q8 || type == .q4 {
            var scales = page + tokens &* quantBytes(headDim, type)
            var from = page
            var to = values
            for _ in 0..<tokens {
                for block in 0..<blockCount(headDim) {
                    let scale = SIMD8<Float>(repeating: Float(scales.load(as: Float16.self)))
                    scales += 2
                    for _ in 0..<min(32, headDim &- 32 &* block) / 8 {
                        store((type == .q8 ? signedBytes(from) : nibblesInOrder(from)) * scale, to)
                        from += type == .q8 ? 8 : 4
                        to += 8
                    }
                }
            }
        } else {
            widenHalves(page, count: tokens &* headDim, into: values)
        }
    }

    /// f16 to f32; `count % 16 == 0`.
    private static func widenHalves(_ from: UnsafeRawPointer, count: Int, into to: UnsafeMutablePointer<Float>) {
        var i = 0
        while i < count {
            store(widened(from + 2 &* i), to + i)
            store(widened(from + 2 &* i + 16), to + i + 8)
            i &+= 16
        }
    }

    /// Eight signed bytes.
    @inline(__always)
    private static func signedBytes(_ p: UnsafeRawPointer) -> SIMD8<Float> {
        SIMD8<Float>(p.loadUnaligned(as: SIMD8<Int8>.self))
    }

    /// The low and the high halves of eight bytes, minus eight.
    @inline(__always)
    private static func nibbles(_ p: UnsafeRawPointer) -> (SIMD8<Float>, SIMD8<Float>) {
        let bytes = SIMD8<Int32>(truncatingIfNeeded: p.loadUnaligned(as: SIMD8<UInt8>.self))
        return (SIMD8<Float>((bytes & 15) &- 8), SIMD8<Float>((bytes &>> 4) &- 8))
    }

    /// The halves of four bytes in order, low before high, minus eight.
    @inline(__always)
    private static func nibblesInOrder(_ p: UnsafeRawPointer) -> SIMD8<Float> {
        let word = Int32(littleEndian: p.loadUnaligned(as: Int32.self))
        let shifted = SIMD8<Int32>(repeating: word) &>> SIMD8<Int32>(0, 4, 8, 12, 16, 20, 24, 28)
        return SIMD8<Float>((shifted & 15) &- 8)
    }
}
