import CLinux

/// `R` rows by `C` sixteens of f32 sums in registers: the product that attention's two halves share.
///
/// Rows are broadcast, columns are lanes, the walk along the depth is one FMA an element: the order does not depend on
/// the tile. `H` is 1 when the columns' side is f16, and 0 when it is f32: parameters of the type, not arguments, since
/// the compiler folds copies that differ in an argument only into one that branches at every column.
enum AttentionTile<let R: Int, let C: Int, let H: Int> {
    /// out <- (out times each row's factor, or zero without factors) + x y + 0, so that no -0 is ever written.
    ///
    /// - Shapes: `x` [depth][R] at any two strides, `y` [depth][16 C columns] with rows `stride` numbers apart, or, with
    ///   `isEight` and C = 1, eight columns; `out` [R][columns] with rows `outStride` floats apart.
    /// - Parameter ahead: Bytes from an f16 `y` to what is read as it is after it.
    @inline(__always)
    static func multiply(
        _ x: UnsafePointer<Float>, rowStride: Int, depthStride: Int, _ y: UnsafeRawPointer, stride: Int, depth: Int,
        isEight: Bool = false, ahead: Int, factors: UnsafePointer<Float>?, into out: UnsafeMutablePointer<Float>,
        outStride: Int
    ) {
        var sums = InlineArray<R, InlineArray<C, Sixteen>> { r in
            InlineArray<C, Sixteen> { c in
                guard let factors else { return Sixteen(repeating: 0) }
                let p = out + (r &* outStride &+ 16 &* c)
                return (isEight ? Sixteen(eight: p) : Sixteen(p)) * Sixteen(repeating: factors[r])
            }
        }
        let size = H == 1 ? 2 : 4
        var x = x
        var y = y
        for _ in 0..<depth {
            // The processor's own prefetch stops at each 4 KiB, and a token's attention reads every page once.
            if H == 1 { for c in Swift.stride(from: 0, to: C, by: 2) { clinux_prefetch_later(y + (ahead &+ 32 &* c)) } }
            let columns = InlineArray<C, Sixteen> { c in
                let p = y + 16 &* size &* c
                if H == 1 { return isEight ? Sixteen(eightHalves: p) : Sixteen(halves: p) }
                let floats = p.assumingMemoryBound(to: Float.self)
                return isEight ? Sixteen(eight: floats) : Sixteen(floats)
            }
            for r in 0..<R {
                let q = Sixteen(repeating: x[r &* rowStride])
                for c in 0..<C { sums[r][c].addProduct(q, columns[c]) }
            }
            x += depthStride
            y += stride &* size
        }
        for r in 0..<R {
            for c in 0..<C {
                let sum = sums[r][c] + Sixteen(repeating: 0)
                let p = out + (r &* outStride &+ 16 &* c)
                if isEight { sum.writeEight(p) } else { sum.write(p) }
            }
        }
    }
}
