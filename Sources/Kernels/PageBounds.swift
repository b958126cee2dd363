public import Core

// The bounds of a page of keys: for every dimension the greatest and the least of its 64 numbers, as they are read back.
//
// They say how large the product of a query with any key of the page can be, and sparse attention chooses its pages by that. They are f16,
// first the greatest [headDim], then the least [headDim], each rounded to nearest: they choose, and no answer is made of them.

extension KeyValuePage {
    /// Bytes of the bounds of one page of keys.
    public static func boundsByteCount(headDim: Int) -> Int { 4 * headDim }

    /// Writes the bounds of a full page of keys.
    ///
    /// - Needs: `scratch` of `boundsScratchBytes(headDim:)`, at any alignment.
    public static func storeBounds(
        ofKeys page: UnsafeRawPointer, headDim: Int, type: KVType, into bounds: UnsafeMutableRawPointer,
        scratch: UnsafeMutableRawPointer
    ) {
        var keys = page
        if type != .f32 {
            let wide = UnsafeMutableRawPointer(bitPattern: (UInt(bitPattern: scratch) &+ 63) & ~63)
            guard let wide = wide?.assumingMemoryBound(to: Float.self) else { return }
            if type == .f16 {
                widenKeys(page, headDim: headDim, into: wide)
            } else {
                readKeys(page, headDim: headDim, type: type, into: wide)
            }
            keys = UnsafeRawPointer(wide)
        }
        let most = bounds.assumingMemoryBound(to: Float16.self)
        let least = most + headDim
        var row = keys.assumingMemoryBound(to: Float.self)
        for d in 0..<headDim {
            var high = lanes(row)
            var low = high
            for k in stride(from: 8, to: Slots.pageTokens, by: 8) {
                high = greater(lanes(row + k), high)
                low = lesser(lanes(row + k), low)
            }
            most[d] = narrowed(greatest(high))
            least[d] = narrowed(-greatest(-low))
            row += Slots.pageTokens
        }
    }

    /// Bytes of scratch memory that `storeBounds` needs.
    public static func boundsScratchBytes(headDim: Int) -> Int { 64 + Slots.pageTokens * headDim * 4 }
}

/// The greatest that the product of a query with a key of each of four pages can be: the sum over the dimensions of max(q most, q least).
///
/// Sixteen lanes, added as all sums of sixteen are: lanes 0...7 take the positive elements of q with the greatest of the page, lanes
/// 8...15 the others with the least, one FMA for each block of eight dimensions, in order.
@inline(__always)
func boundProducts(
    _ q: UnsafePointer<Float>, headDim: Int,
    _ pages: (UnsafeRawPointer, UnsafeRawPointer, UnsafeRawPointer, UnsafeRawPointer),
    into products: UnsafeMutablePointer<Float>
) {
    let least = 2 &* headDim
    var a0 = SIMD8<Float>.zero, b0 = SIMD8<Float>.zero
    var a1 = SIMD8<Float>.zero, b1 = SIMD8<Float>.zero
    var a2 = SIMD8<Float>.zero, b2 = SIMD8<Float>.zero
    var a3 = SIMD8<Float>.zero, b3 = SIMD8<Float>.zero
    var d = 0
    while d < headDim {
        let x = lanes(q + d)
        let up = greater(x, .zero)
        let down = lesser(x, .zero)
        let at = 2 &* d
        a0 = a0.addingProduct(up, widened(pages.0 + at))
        b0 = b0.addingProduct(down, widened(pages.0 + at + least))
        a1 = a1.addingProduct(up, widened(pages.1 + at))
        b1 = b1.addingProduct(down, widened(pages.1 + at + least))
        a2 = a2.addingProduct(up, widened(pages.2 + at))
        b2 = b2.addingProduct(down, widened(pages.2 + at + least))
        a3 = a3.addingProduct(up, widened(pages.3 + at))
        b3 = b3.addingProduct(down, widened(pages.3 + at + least))
        d &+= 8
    }
    products[0] = laneSum(a0, b0)
    products[1] = laneSum(a1, b1)
    products[2] = laneSum(a2, b2)
    products[3] = laneSum(a3, b3)
}
