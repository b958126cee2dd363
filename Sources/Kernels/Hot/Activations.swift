// Activations as a product reads them: rows of floats beside float weights, int8 blocks beside integer weights.
//
// The int8 layout is [block][token][32]: the tokens of one block lie side by side. With [token][columns] they would be
// a power of two apart and share one set of the L1 cache, which cost a third of the speed.

/// The activations of one product: rows of floats, or int8 blocks in a caller's buffer.
public struct Activations: @unchecked Sendable {  // whoever quantises owns its blocks; a product only reads
    /// Rows of floats, or nil when these are int8 blocks.
    public let floats: UnsafePointer<Float>?
    /// Floats from one row to the next.
    public let floatStride: Int
    /// [blocks][tokens][32], or nil when these are floats.
    public let quants: UnsafeMutablePointer<Int8>?
    /// [blocks][tokens], what one unit of a quant is worth.
    public let scales: UnsafeMutablePointer<Float>?
    /// [blocks][tokens], the sums of the blocks' quants.
    public let sums: UnsafeMutablePointer<Int32>?
    /// [blocks][tokens], the sums of the first (low half) and of the last 16 quants, an int16 each.
    public let halfSums: UnsafeMutablePointer<Int32>?
    /// [blocks][tokens], scale x sum, rounded once.
    public let scaledSums: UnsafeMutablePointer<Float>?
    /// Rows.
    public let tokens: Int
    /// Length of a row.
    public let columns: Int

    /// `tokens` rows of floats, `stride` apart, for float weights.
    public init(floats: UnsafePointer<Float>, stride: Int, tokens: Int, columns: Int) {
        self.floats = floats
        floatStride = stride
        quants = nil
        scales = nil
        sums = nil
        halfSums = nil
        scaledSums = nil
        self.tokens = tokens
        self.columns = columns
    }

    /// Int8 blocks over `activationBytes(tokens:columns:)` bytes of `buffer` (64-byte aligned), for integer weights.
    ///
    /// They hold nothing until `quantizeActivations` has written every block.
    public init(buffer: UnsafeMutableRawPointer, tokens: Int, columns: Int) {
        let cells = blockCount(columns) * tokens
        floats = nil
        floatStride = 0
        quants = buffer.assumingMemoryBound(to: Int8.self)
        scales = (buffer + cells * 32).assumingMemoryBound(to: Float.self)
        sums = (buffer + cells * 36).assumingMemoryBound(to: Int32.self)
        scaledSums = (buffer + cells * 40).assumingMemoryBound(to: Float.self)
        halfSums = (buffer + cells * 44).assumingMemoryBound(to: Int32.self)
        self.tokens = tokens
        self.columns = columns
    }

    /// Blocks of a row.
    public var blocks: Int { blockCount(columns) }
}

/// Blocks of 32 that `columns` columns take.
func blockCount(_ columns: Int) -> Int { (columns + 31) / 32 }

/// Bytes that the int8 blocks of `tokens` rows of `columns` take.
public func activationBytes(tokens: Int, columns: Int) -> Int {
    (blockCount(columns) * tokens * 48 + 63) / 64 * 64
}

/// Rounds blocks of 32 activations to int8, each token and block with its own scale.
///
/// scale = max|x| / 127; quant = x / scale rounded to nearest even, within -127...127; a scale of 0 gives zeros.
/// Columns past the last count as zeros. Threads share the work by their ranges of blocks.
///
/// - Shapes: `x` [into.tokens, columns] with rows `stride` apart, of which `tokens` are read; `into` the int8 form for as many tokens
///   and columns.
public func quantizeActivations(
    _ x: UnsafePointer<Float>, stride: Int, tokens: Range<Int>, columns: Int, blocks: Range<Int>, into a: Activations
) {
    // Tokens inside: the writes of one block are consecutive.
    for b in blocks {
        for t in tokens {
            a.store(block: b, token: t, x + t * stride + 32 * b, count: min(32, columns - 32 * b))
        }
    }
}

extension Activations {
    /// Rounds the first `count` floats at `x`, and zeros for the others, to the block of a token.
    func store(block: Int, token: Int, _ x: UnsafePointer<Float>, count: Int) {
        guard let quants, let scales, let sums, let halfSums, let scaledSums else {
            preconditionFailure("activations without an int8 buffer cannot be quantised")
        }
        let i = block &* tokens &+ token
        let q = quants + i &* 32
        let scale: Float
        let halves: (Int32, Int32)
        if count == 32 {
            (scale, halves) = quantizeBlock(x, into: q)
        } else {
            var padded = SIMD32<Float>(repeating: 0)
            (scale, halves) = withUnsafeMutableBytes(of: &padded) { bytes in
                bytes.copyMemory(from: UnsafeRawBufferPointer(start: x, count: count &* 4))
                return withUnsafeFloats(bytes) { quantizeBlock($0, into: q) }
            }
        }
        let sum = halves.0 &+ halves.1
        scales[i] = scale
        sums[i] = sum
        halfSums[i] = halves.0 & 0xffff | halves.1 &<< 16
        scaledSums[i] = scale * Float(sum)
    }
}

/// The bytes of a 32-float vector as floats.
@inline(__always)
private func withUnsafeFloats<R>(_ bytes: UnsafeMutableRawBufferPointer, _ body: (UnsafePointer<Float>) -> R) -> R {
    let buffer = bytes.assumingMemoryBound(to: Float.self)
    guard let base = buffer.baseAddress else { preconditionFailure("a vector has an address") }
    return body(UnsafePointer(base))
}

/// Rounds 32 floats; plain loops over bit patterns, because those become vector code and float maxima do not.
@inline(__always)
private func quantizeBlock(
    _ x: UnsafePointer<Float>, into q: UnsafeMutablePointer<Int8>
) -> (scale: Float, halves: (Int32, Int32)) {
    var largest: UInt32 = 0
    for i in 0..<32 { largest = max(largest, x[i].bitPattern & 0x7fff_ffff) }
    let scale = Float(bitPattern: largest) / 127
    if scale == 0 {
        for i in 0..<32 { q[i] = 0 }
        return (0, (0, 0))
    }
    return (scale, (quantizeHalf(x, scale, into: q), quantizeHalf(x + 16, scale, into: q + 16)))
}

/// Rounds 16 floats; returns the sum of what they became.
@inline(__always)
private func quantizeHalf(_ x: UnsafePointer<Float>, _ scale: Float, into q: UnsafeMutablePointer<Int8>) -> Int32 {
    // Adding 1.5 x 2^23 rounds to nearest even and leaves the integer in the low bits.
    let magic = Float(12_582_912)
    var sum: Int32 = 0
    for i in 0..<16 {
        let n = Int32(bitPattern: (x[i] / scale + magic).bitPattern &- magic.bitPattern)
        let clamped = min(max(n, -127), 127)
        q[i] = Int8(truncatingIfNeeded: clamped)
        sum &+= clamped
    }
    return sum
}
