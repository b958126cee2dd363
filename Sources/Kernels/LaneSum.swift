// What becomes of the lanes at the end of a sum or a search.

/// The greatest of eight lanes.
@inline(__always)
func greatest(_ x: SIMD8<Float>) -> Float {
    @inline(__always) func larger(_ a: Float, _ b: Float) -> Float { a > b ? a : b }
    let a = larger(x[0], x[4])
    let b = larger(x[1], x[5])
    let c = larger(x[2], x[6])
    let d = larger(x[3], x[7])
    return larger(larger(a, c), larger(b, d))
}

/// The sum of sixteen lanes (`low` holds lanes 0...7, `high` lanes 8...15), always in this order: 8 apart, then 4, 2, 1.
///
/// Out of line on purpose: inlined, its halving is carried back through the caller's loop, which is then compiled to vectors
/// of two and four lanes.
@inline(never)
func laneSum(_ low: SIMD8<Float>, _ high: SIMD8<Float>) -> Float {
    let eight = low + high
    let four = eight.lowHalf + eight.highHalf
    let two = four.lowHalf + four.highHalf
    return two[0] + two[1]
}
