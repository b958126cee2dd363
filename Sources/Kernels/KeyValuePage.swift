public import Core

/// The stored form of 64 tokens of one layer and one KV head: a page of keys, and a page of values.
///
/// f32 or f16. Keys are transposed, [headDim][64 keys], so that attention's lanes run across keys while it walks the dimensions in
/// order; values are [64 keys][headDim]. A page of f16 never holds an infinity: numbers beyond f16 become its greatest.
public enum KeyValuePage {
    /// Bytes of one page of keys, and of one page of values.
    public static func byteCount(headDim: Int, type: KVType = .f16) -> Int {
        Slots.pageTokens * headDim * type.byteCount
    }

    /// Stores a key as number `index` (under 64) of a page of keys; to f16 it is rounded to nearest.
    public static func storeKey(
        _ k: UnsafePointer<Float>, in page: UnsafeMutableRawPointer, at index: Int, headDim: Int, type: KVType = .f16
    ) {
        if type == .f32 {
            let column = page.assumingMemoryBound(to: Float.self) + index
            for d in 0..<headDim { column[d &* Slots.pageTokens] = k[d] }
            return
        }
        let column = page.assumingMemoryBound(to: Float16.self) + index
        for d in 0..<headDim { column[d &* Slots.pageTokens] = narrowed(k[d]) }
    }

    /// Stores a value as number `index` (under 64) of a page of values; to f16 it is rounded to nearest.
    public static func storeValue(
        _ v: UnsafePointer<Float>, in page: UnsafeMutableRawPointer, at index: Int, headDim: Int, type: KVType = .f16
    ) {
        if type == .f32 {
            (page.assumingMemoryBound(to: Float.self) + index &* headDim).update(from: v, count: headDim)
            return
        }
        let row = page.assumingMemoryBound(to: Float16.self) + index &* headDim
        for d in 0..<headDim { row[d] = narrowed(v[d]) }
    }

    /// The nearest f16, ties to even; beyond +-65,504 that number.
    @inline(__always)
    private static func narrowed(_ x: Float) -> Float16 {
        let floored = x < -65_504 ? -65_504 : x
        return Float16(floored > 65_504 ? 65_504 : floored)
    }
}
