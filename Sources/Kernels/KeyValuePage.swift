public import Core

/// The stored form of 64 tokens of one layer and one KV head: a page of keys, and a page of values.
///
/// Attention's lanes run across keys while it walks the dimensions in order: so floats are transposed, and keys in blocks lie as a
/// matrix of 64 rows lies in panels of weights (`Panels`), with which int8 queries are multiplied.
///
/// | type | a page of keys | a page of values |
/// |---|---|---|
/// | f32, f16 | [headDim][64 keys] | [64 keys][headDim] |
/// | q8 | for each 16 keys and block: for k in 0..<8, for each key the 4 bytes of dimensions 4k..<4k+4; then 16 scales | bytes [64 keys][headDim], then scales [64 keys][blocks] |
/// | q4 | the same: for k in 0..<4, for each key 4 bytes, low halves dimensions 8k..<8k+4, high halves 8k+4..<8k+8; then 16 scales | bytes [64 keys][headDim / 2], then scales as q8 |
///
/// A block is 32 dimensions. A head's last block may be short: of a key the rest is zeros, of a value it is left out. A byte of values of q4
/// holds dimension 2i in its low half and 2i + 1 in its high half. Halves are quants plus eight. No byte is shared by two tokens,
/// so that storing one leaves its neighbours alone.
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
            for block in 0..<blockCount(headDim) {
                let place = KeyBlock(page, key: index, block: block, headDim: headDim, type: type)
                place.store(k + 32 &* block, count: min(32, headDim &- 32 &* block), isByte: type == .q8)
            }
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
            let tokenBytes = type == .q8 ? headDim : headDim / 2
            let scales = (page + Slots.pageTokens &* tokenBytes).assumingMemoryBound(to: Float16.self)
            storeValueBlocks(
                v, quants: page + index &* tokenBytes, scales: scales + index &* blockCount(headDim), headDim: headDim,
                type: type)
        }
    }

    /// The nearest f16, ties to even; beyond +-65,504 that number.
    @inline(__always)
    static func narrowed(_ x: Float) -> Float16 {
        let floored = x < -65_504 ? -65_504 : x
        return Float16(floored > 65_504 ? 65_504 : floored)
    }
}
