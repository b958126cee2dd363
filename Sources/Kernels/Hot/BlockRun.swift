/// Activations in int8 blocks, from some block and token on: see `QuantizeActivations` for what they hold.
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

    /// From `blocks` blocks further on.
    @inline(__always)
    func advanced(by blocks: Int) -> BlockRun {
        let cells = blocks &* stride
        return BlockRun(
            quants: quants + 32 &* cells, scales: scales + cells, sums: sums + cells, halfSums: halfSums + cells,
            scaledSums: scaledSums + cells, stride: stride)
    }
}
