// Stored rows to floats, 32 elements at a time. Sources may lie at any address: GGUF's blocks have 18 bytes, or 210.

/// Elements [0, columns) of a stored row as floats, exactly as the format defines them.
///
/// - Needs: `source` at the first byte of an element, for blocks at the first byte of a block. Unaligned is fine.
/// - Source: block layouts, GGUF specification.
public func dequantize(
    _ source: UnsafeRawPointer, stored: StoredFormat, columns: Int, into: UnsafeMutablePointer<Float>
) {
    let parts = stored.blockColumns / 32
    for index in 0..<blockCount(columns) {
        dequantizeBlock(
            source + index / parts * stored.blockBytes, part: index % parts, stored: stored,
            count: min(32, columns - 32 * index), into: into + 32 * index)
    }
}

/// The first `count` (at most 32) elements of part `part` of a stored block: of elements 32 part ..< 32 part + 32.
func dequantizeBlock(
    _ source: UnsafeRawPointer, part: Int, stored: StoredFormat, count: Int, into x: UnsafeMutablePointer<Float>
) {
    switch stored {
    case .f32:
        UnsafeMutableRawPointer(x).copyMemory(from: source, byteCount: count * 4)
    case .bf16:
        for i in 0..<count { x[i] = widenBF16(source.loadUnaligned(fromByteOffset: 2 * i, as: UInt16.self)) }
    case .f16:
        for i in 0..<count { x[i] = Float(source.loadUnaligned(fromByteOffset: 2 * i, as: Float16.self)) }
    default:
        QuantBlock(source, part: part, stored: stored).dequantize(count: count, stored: stored, into: x)
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
