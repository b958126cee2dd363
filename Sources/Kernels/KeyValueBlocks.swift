import Core

// Blocks of q8 and q4: how they are rounded, and where they lie in a page.

extension KeyValuePage {
    /// Rounds a value's blocks and writes quants and scales.
    static func storeValueBlocks(
        _ x: UnsafePointer<Float>, quants: UnsafeMutableRawPointer, scales: UnsafeMutablePointer<Float16>, headDim: Int,
        type: KVType
    ) {
        var quants = quants
        for block in 0..<blockCount(headDim) {
            let x = x + 32 &* block
            let count = min(32, headDim &- 32 &* block)
            let stored = type == .q8 ? scale8(x, count) : scale4(x, count)
            scales[block] = stored
            let scale = Float(stored)
            var d = 0
            while d < count {
                if type == .q8 {
                    quants.storeBytes(of: quant8(x[d], scale), as: UInt8.self)
                    d &+= 1
                } else {
                    quants.storeBytes(of: quant4(x[d], scale) | quant4(x[d &+ 1], scale) &<< 4, as: UInt8.self)
                    d &+= 2
                }
                quants += 1
            }
        }
    }

    /// The keys of a page of blocks as f32 [headDim][64 keys], as they are read back: exact, since a scale has 11 bits and a quant 8.
    static func readKeys(_ page: UnsafeRawPointer, headDim: Int, type: KVType, into keys: UnsafeMutablePointer<Float>) {
        for key in 0..<Slots.pageTokens {
            for block in 0..<blockCount(headDim) {
                let place = KeyBlock(
                    UnsafeMutableRawPointer(mutating: page), key: key, block: block, headDim: headDim, type: type)
                let scale = Float(place.scale)
                for d in 0..<min(32, headDim &- 32 &* block) {
                    keys[(32 &* block &+ d) &* Slots.pageTokens &+ key] =
                        scale * Float(place.quant(d, isByte: type == .q8))
                }
            }
        }
    }

    /// Where a key's block lies in its page.
    struct KeyBlock {
        private let quants: UnsafeMutableRawPointer
        private let scaleAt: UnsafeMutableRawPointer

        @inline(__always)
        init(_ page: UnsafeMutableRawPointer, key: Int, block: Int, headDim: Int, type: KVType) {
            let quantBytes = type == .q8 ? 512 : 256
            let place = page + (key / 16 &* blockCount(headDim) &+ block) &* (quantBytes &+ 32)
            quants = place + key % 16 &* 4
            scaleAt = place + (quantBytes &+ key % 16 &* 2)
        }

        var scale: Float16 { scaleAt.load(as: Float16.self) }

        func quant(_ d: Int, isByte: Bool) -> Int32 {
            if isByte { return Int32(quants.load(fromByteOffset: d / 4 &* 64 &+ d % 4, as: Int8.self)) }
            let byte = quants.load(fromByteOffset: d / 8 &* 64 &+ d % 4, as: UInt8.self)
            return Int32(byte &>> UInt8(d & 4) & 15) &- 8
        }

        func store(_ x: UnsafePointer<Float>, count: Int, isByte: Bool) {
            let stored = isByte ? scale8(x, count) : scale4(x, count)
            scaleAt.storeBytes(of: stored, as: Float16.self)
            let scale = Float(stored)
            if isByte {
                for d in 0..<32 {
                    let byte = d < count ? quant8(x[d], scale) : 0
                    quants.storeBytes(of: byte, toByteOffset: d / 4 &* 64 &+ d % 4, as: UInt8.self)
                }
            } else {
                for d in 0..<16 {
                    let (low, high) = (d / 4 &* 8 &+ d % 4, d / 4 &* 8 &+ d % 4 &+ 4)
                    let byte =
                        (low < count ? quant4(x[low], scale) : 8) | (high < count ? quant4(x[high], scale) : 8) &<< 4
                    quants.storeBytes(of: byte, toByteOffset: d / 4 &* 64 &+ d % 4, as: UInt8.self)
                }
            }
        }
    }

    /// A quant of q8, as a byte.
    @inline(__always)
    private static func quant8(_ x: Float, _ scale: Float) -> UInt8 {
        UInt8(truncatingIfNeeded: quant(x, scale, -127, 127))
    }

    /// A quant of q4 plus eight.
    @inline(__always)
    private static func quant4(_ x: Float, _ scale: Float) -> UInt8 {
        UInt8(truncatingIfNeeded: quant(x, scale, -8, 7) &+ 8)
    }

    /// max|x| / 127, as f16.
    private static func scale8(_ x: UnsafePointer<Float>, _ count: Int) -> Float16 {
        scale(largestMagnitude(x, count), by: 127)
    }

    /// The (first) element of the largest magnitude / -8, as f16: GGUF's Q4_0.
    ///
    /// All sixteen quants are used, and 0 is one of them. On normal numbers the error is 8.6%; +-7 steps of max|x| / 7 give
    /// 9.7%, sixteen odd multiples of max|x| / 15 9.1% (and noise for the small numbers beside an outlier), a search over nine
    /// scales 8.2%.
    private static func scale4(_ x: UnsafePointer<Float>, _ count: Int) -> Float16 {
        let largest = largestMagnitude(x, count)
        let size = scale(largest, by: 8)
        if size == 0 { return 0 }
        var i = 0
        while x[i].bitPattern & 0x7fff_ffff != largest { i &+= 1 }
        return x[i].sign == .minus ? size : -size
    }

    /// A magnitude's share, as f16 and never beyond its greatest: also for a NaN, whose bits are the largest of all.
    @inline(__always)
    private static func scale(_ magnitude: UInt32, by steps: Float) -> Float16 {
        let size = Float(bitPattern: magnitude) / steps
        return Float16(size < 65_504 ? size : 65_504)
    }

    /// The bits of the largest |x|.
    @inline(__always)
    private static func largestMagnitude(_ x: UnsafePointer<Float>, _ count: Int) -> UInt32 {
        var largest: UInt32 = 0
        for i in 0..<count { largest = max(largest, x[i].bitPattern & 0x7fff_ffff) }
        return largest
    }

    /// x / scale rounded to nearest, ties to even, within least...most; `scale` is the rounded one that it will be read with.
    @inline(__always)
    private static func quant(_ x: Float, _ scale: Float, _ least: Float, _ most: Float) -> Int32 {
        if scale == 0 { return 0 }
        let steps = x / scale
        // Written so that a NaN becomes `least`.
        let floored = steps > least ? steps : least
        let clamped = floored < most ? floored : most
        // Adding 1.5 x 2^23 rounds to nearest even and leaves the integer in the low bits.
        let magic = Float(12_582_912)
        return Int32(bitPattern: (clamped + magic).bitPattern &- magic.bitPattern)
    }
}
