import CLinux
import Core

// Pages as attention reads them many times over: f32, laid out as a page of f32 is.
//
// Exact for every type: a scale has 11 bits and a quant 8, so that their product needs no rounding. Whether a number is widened
// here or elsewhere, it is the same.

/// A page of keys of f16 as f32 [headDim][64 keys].
func widenKeys(_ page: UnsafeRawPointer, headDim: Int, into keys: UnsafeMutablePointer<Float>) {
    widenHalves(page, count: Slots.pageTokens &* headDim, into: keys)
}

/// A page of values, not f32, as f32 [64 keys][headDim].
func widenValues(
    _ page: UnsafeRawPointer, headDim: Int, type: KVType, into values: UnsafeMutablePointer<Float>
) {
    let tokens = Slots.pageTokens
    guard type == .q8 || type == .q4 else { return widenHalves(page, count: tokens &* headDim, into: values) }
    var scales = page + tokens &* (type == .q8 ? headDim : headDim / 2)
    var from = page
    var to = values
    for _ in 0..<tokens {
        for first in stride(from: 0, to: headDim, by: 32) {
            let scale = Sixteen(repeating: Float(scales.load(as: Float16.self)))
            scales += 2
            var left = min(32, headDim &- first)
            while left >= 16 {
                ((type == .q8 ? Sixteen(signedBytes: from) : Sixteen(nibbles: from)) * scale).write(to)
                from += type == .q8 ? 16 : 8
                to += 16
                left &-= 16
            }
            if left > 0 {
                ((type == .q8 ? Sixteen(eightSignedBytes: from) : Sixteen(eightNibbles: from)) * scale).writeEight(to)
                from += type == .q8 ? 8 : 4
                to += 8
            }
        }
    }
}

/// Asks for the blocks `ahead` of a page's, which are read next.
@inline(__always)
func announce(_ page: UnsafeRawPointer, headDim: Int, type: KVType, ahead: Int) {
    guard ahead != 0 else { return }
    let bytes = Slots.pageTokens &* headDim / (type == .q8 ? 1 : 2) &* 17 / 16
    for at in stride(from: 0, to: bytes, by: 64) { clinux_prefetch_later(page + (ahead &+ at)) }
}

/// f16 to f32; `count % 16 == 0`.
private func widenHalves(_ from: UnsafeRawPointer, count: Int, into to: UnsafeMutablePointer<Float>) {
    for i in stride(from: 0, to: count, by: 16) { Sixteen(halves: from + 2 &* i).write(to + i) }
}
