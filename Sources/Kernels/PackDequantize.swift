// Stored rows to floats, 32 elements at a time. Sources may lie at any address: GGUF's blocks have 18, 20 or 34 bytes.

/// Elements [0, columns) of a stored row as floats, exactly as the format defines them.
///
/// - Needs: `source` at the first byte of an element, for blocks of 32 at the first byte of a block. Unaligned is fine.
/// - Source: block layouts, GGUF specification.
public func dequantize(
    _ source: UnsafeRawPointer, stored: StoredFormat, columns: Int, into: UnsafeMutablePointer<Float>
) {
    var at = 0
    while at < columns {
        dequantizeBlock(
            source + at / 32 * stored.bytesPer32, stored: stored, count: min(32, columns - at), into: into + at)
        at += 32
    }
}

/// The first `count` elements (at most 32) of a stored block.
func dequantizeBlock(
    _ source: UnsafeRawPointer, stored: StoredFormat, count: Int, into x: UnsafeMutablePointer<Float>
) {
    switch stored {
    case .f32:
        UnsafeMutableRawPointer(x).copyMemory(from: source, byteCount: count * 4)
    case .bf16:
        for i in 0..<count { x[i] = widenBF16(source.loadUnaligned(fromByteOffset: 2 * i, as: UInt16.self)) }
    case .f16:
        for i in 0..<count { x[i] = Float(source.loadUnaligned(fromByteOffset: 2 * i, as: Float16.self)) }
    case .q8_0:
        let d = Float(source.loadUnaligned(as: Float16.self))
        let q = (source + 2).assumingMemoryBound(to: Int8.self)
        for i in 0..<count { x[i] = d * Float(q[i]) }
    case .q4_0:
        let d = Float(source.loadUnaligned(as: Float16.self))
        let q = (source + 2).assumingMemoryBound(to: UInt8.self)
        for i in 0..<min(count, 16) { x[i] = d * Float(Int32(q[i] & 15) &- 8) }
        for i in 16..<max(count, 16) { x[i] = d * Float(Int32(q[i &- 16] >> 4) &- 8) }
    case .q4_1:
        let d = Float(source.loadUnaligned(as: Float16.self))
        let m = Float(source.loadUnaligned(fromByteOffset: 2, as: Float16.self))
        let q = (source + 4).assumingMemoryBound(to: UInt8.self)
        for i in 0..<min(count, 16) { x[i] = d * Float(q[i] & 15) + m }
        for i in 16..<max(count, 16) { x[i] = d * Float(q[i &- 16] >> 4) + m }
    }
}

/// The float whose upper half is `bits`.
@inline(__always)
func widenBF16(_ bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }

/// The upper half of `x`, rounded to nearest even; a NaN stays one.
@inline(__always)
func roundBF16(_ x: Float) -> UInt16 {
    let bits = x.bitPattern
    if bits & 0x7fff_ffff > 0x7f80_0000 { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
    return UInt16(truncatingIfNeeded: (bits &+ 0x7fff &+ (bits >> 16 & 1)) >> 16)
}
