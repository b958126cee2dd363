/// Up to six rows by sixteen columns of f32 sums in registers: the product that attention's two halves share.
///
/// Rows are broadcast, columns are lanes, the walk along the depth is one FMA an element: the order does not depend on the
/// tile. `rows` must be a literal where the methods are called: they are inlined and lose the rows that are not there.
struct AttentionTile {
    private var a0 = SIMD8<Float>.zero, b0 = SIMD8<Float>.zero
    private var a1 = SIMD8<Float>.zero, b1 = SIMD8<Float>.zero
    private var a2 = SIMD8<Float>.zero, b2 = SIMD8<Float>.zero
    private var a3 = SIMD8<Float>.zero, b3 = SIMD8<Float>.zero
    private var a4 = SIMD8<Float>.zero, b4 = SIMD8<Float>.zero
    private var a5 = SIMD8<Float>.zero, b5 = SIMD8<Float>.zero

    /// Zeros.
    @inline(__always)
    init() {}

    /// A row of the tile in memory, times its factor; `wide` is false for a tile of eight columns.
    @inline(__always)
    private func scaled(
        _ p: UnsafePointer<Float>, _ factor: Float, wide: Bool
    ) -> (SIMD8<Float>, SIMD8<Float>) {
        let f = SIMD8<Float>(repeating: factor)
        return (lanes(p) * f, wide ? lanes(p + 8) * f : .zero)
    }

    /// Rows `stride` floats apart, each times its factor.
    @inline(__always)
    init(_ p: UnsafePointer<Float>, stride: Int, times factors: UnsafePointer<Float>, rows: Int, wide: Bool) {
        (a0, b0) = scaled(p, factors[0], wide: wide)
        if rows > 1 { (a1, b1) = scaled(p + stride, factors[1], wide: wide) }
        if rows > 2 { (a2, b2) = scaled(p + 2 &* stride, factors[2], wide: wide) }
        if rows > 3 { (a3, b3) = scaled(p + 3 &* stride, factors[3], wide: wide) }
        if rows > 4 { (a4, b4) = scaled(p + 4 &* stride, factors[4], wide: wide) }
        if rows > 5 { (a5, b5) = scaled(p + 5 &* stride, factors[5], wide: wide) }
    }

    /// Adds x y over the depth, in order: `x` [depth][rows] at any two strides, `y` [depth][16 or 8 columns].
    ///
    /// `half` says that `y` is f16 and not f32; `stride` counts its numbers.
    @inline(__always)
    mutating func addProduct(
        _ x: UnsafePointer<Float>, rowStride: Int, depthStride: Int, _ y: UnsafeRawPointer, half: Bool, stride: Int,
        depth: Int, rows: Int, wide: Bool
    ) {
        @inline(__always) func column(_ p: UnsafeRawPointer) -> SIMD8<Float> {
            half ? widened(p) : p.loadUnaligned(as: SIMD8<Float>.self)
        }
        let size = half ? 2 : 4
        var x = x
        var y = y
        for _ in 0..<depth {
            let a = column(y)
            let b = wide ? column(y + 8 &* size) : .zero
            @inline(__always) func step(_ row: Int, _ sumA: inout SIMD8<Float>, _ sumB: inout SIMD8<Float>) {
                let q = SIMD8<Float>(repeating: x[row &* rowStride])
                sumA = sumA.addingProduct(q, a)
                if wide { sumB = sumB.addingProduct(q, b) }
            }
            step(0, &a0, &b0)
            if rows > 1 { step(1, &a1, &b1) }
            if rows > 2 { step(2, &a2, &b2) }
            if rows > 3 { step(3, &a3, &b3) }
            if rows > 4 { step(4, &a4, &b4) }
            if rows > 5 { step(5, &a5, &b5) }
            x += depthStride
            y += stride &* size
        }
    }

    /// Writes the rows `stride` floats apart, with +0 added, so that no -0 is ever written.
    @inline(__always)
    func write(_ p: UnsafeMutablePointer<Float>, stride: Int, rows: Int, wide: Bool) {
        @inline(__always) func put(_ row: Int, _ a: SIMD8<Float>, _ b: SIMD8<Float>) {
            store(a + SIMD8<Float>.zero, p + row &* stride)
            if wide { store(b + SIMD8<Float>.zero, p + row &* stride + 8) }
        }
        put(0, a0, b0)
        if rows > 1 { put(1, a1, b1) }
        if rows > 2 { put(2, a2, b2) }
        if rows > 3 { put(3, a3, b3) }
        if rows > 4 { put(4, a4, b4) }
        if rows > 5 { put(5, a5, b5) }
    }
}
