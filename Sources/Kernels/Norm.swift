/// y <- x / sqrt(mean(x^2) + eps) * weight.
///
/// Sixteen lanes of squares by FMA, added in the fixed order; IEEE square root and division, so every instruction set
/// gives the same bits. y = (x r) w, rounded after each product.
///
/// - Shapes: `x`, `weight`, `y` [count]; `y` may be `x`.
public func rmsNorm(
    _ x: UnsafePointer<Float>, weight: UnsafePointer<Float>, eps: Float, count: Int,
    into y: UnsafeMutablePointer<Float>
) {
    var low = SIMD8<Float>.zero
    var high = SIMD8<Float>.zero
    let whole = count & ~15
    var i = 0
    while i < whole {
        let a = lanes(x + i)
        let b = lanes(x + i + 8)
        low = low.addingProduct(a, a)
        high = high.addingProduct(b, b)
        i &+= 16
    }
    // A zero's square changes no lane: the sums are never -0.
    let rest = count &- whole
    if rest > 0 {
        let a = rest >= 8 ? lanes(x + i) : lanes(x + i, count: rest, filler: 0)
        low = low.addingProduct(a, a)
        if rest > 8 {
            let b = lanes(x + i + 8, count: rest &- 8, filler: 0)
            high = high.addingProduct(b, b)
        }
    }
    let r = 1 / (laneSum(low, high) / Float(count) + eps).squareRoot()
    let scale = SIMD8<Float>(repeating: r)
    i = 0
    while i &+ 8 <= count {
        store(lanes(x + i) * scale * lanes(weight + i), y + i)
        i &+= 8
    }
    while i < count {
        y[i] = x[i] * r * weight[i]
        i &+= 1
    }
}

/// y <- y + x, element by element.
public func add(_ x: UnsafePointer<Float>, into y: UnsafeMutablePointer<Float>, count: Int) {
    var i = 0
    while i &+ 8 <= count {
        store(lanes(y + i) + lanes(x + i), y + i)
        i &+= 8
    }
    while i < count {
        y[i] += x[i]
        i &+= 1
    }
}
