/// Activations in int8 blocks, from some block and token on: see `Activations` for what they hold.
struct BlockRun {
    /// [blocks][stride][32]
    let quants: UnsafeRawPointer
    /// [blocks][stride], as all that follow.
    let scales: UnsafePointer<Float>
    let sums: UnsafePointer<Int32>
    let halfSums: UnsafePointer<Int32>
    let scaledSums: UnsafePointer<Float>
    /// Cells from a block to the next.
    let stride: Int

    /// How far ahead one token's quants are asked for: a panel of weights passes through the L1 cache between two uses of a block,
    /// and a load that misses waits behind the lines of weights that are on their way.
    @inline(__always)
    static var bytesAhead: Int { 128 }

    /// From `blocks` blocks further on.
    @inline(__always)
    func advanced(by blocks: Int) -> BlockRun {
        let cells = blocks &* stride
        return BlockRun(
            quants: quants + 32 &* cells, scales: scales + cells, sums: sums + cells, halfSums: halfSums + cells,
            scaledSums: scaledSums + cells, stride: stride)
    }
}

extension BlockRun {
    /// A token's blocks, and those of the tokens beside it.
    @inline(__always)
    init(_ x: Activations, token: Int) {
        guard let quants = x.quants, let scales = x.scales, let sums = x.sums, let halfSums = x.halfSums,
            let scaledSums = x.scaledSums
        else { preconditionFailure("integer weights meet int8 activations") }
        self.init(
            quants: UnsafeRawPointer(quants + token * 32), scales: scales + token, sums: sums + token,
            halfSums: halfSums + token, scaledSums: scaledSums + token, stride: x.tokens)
    }
}
