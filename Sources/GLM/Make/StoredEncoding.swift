import Checkpoint

/// Floats as a file stores them. The quantisers are the reference ones of GGUF's formats: rounding happens with the
/// unrounded scale, and the file keeps the scale in half precision.
enum StoredEncoding {
    /// Elements that are encoded together, but for superblocks.
    static let block = 32

    /// Appends `values`, whole blocks for the integer types, to `bytes`.
    static func append(_ values: [Float], as type: StoredType, to bytes: inout [UInt8]) {
        switch type {
        case .bf16: append(values.map(bf16), to: &bytes)
        case .f16: append(values.map { Float16($0).bitPattern }, to: &bytes)
        case .q8_0: eachBlock(values) { q8($0, to: &bytes) }
        case .q4_0: eachBlock(values) { q4($0, to: &bytes) }
        case .q5_0: eachBlock(values) { q5($0, to: &bytes) }
        case .q5_1: eachBlock(values) { q5m($0, to: &bytes) }
        case .q4_k, .q5_k: eachBlock(values, of: 256) { superblock(Array($0), bits: type == .q4_k ? 4 : 5, to: &bytes) }
        case .q6_k: eachBlock(values, of: 256) { sixBits(Array($0), to: &bytes) }
        default: append(values.map(\.bitPattern), to: &bytes)
        }
    }

    /// Files are little-endian, and so is every processor that this runs on.
    static func append(_ numbers: [some FixedWidthInteger & BitwiseCopyable], to bytes: inout [UInt8]) {
        numbers.withUnsafeBytes { bytes.append(contentsOf: $0) }
    }

    /// The upper half of a float, to the nearest, ties to even.
    private static func bf16(_ x: Float) -> UInt16 {
        let bits = x.bitPattern
        return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
    }

    private static func eachBlock(_ values: [Float], of size: Int = block, _ body: (ArraySlice<Float>) -> Void) {
        for start in stride(from: 0, to: values.count, by: size) { body(values[start..<start + size]) }
    }

    private static func q8(_ x: ArraySlice<Float>, to bytes: inout [UInt8]) {
        let scale = x.reduce(0) { max($0, abs($1)) } / 127
        let inverse: Float = scale > 0 ? 1 / scale : 0
        append([Float16(scale).bitPattern], to: &bytes)
        for value in x {
            bytes.append(UInt8(bitPattern: Int8((value * inverse).rounded(.toNearestOrAwayFromZero))))
        }
    }

    private static func q4(_ x: ArraySlice<Float>, to bytes: inout [UInt8]) {
        var top: Float = 0
        for value in x where abs(value) > abs(top) { top = value }
        let scale = top / -8
        let inverse: Float = scale != 0 ? 1 / scale : 0
        append([Float16(scale).bitPattern], to: &bytes)
        func nibble(_ value: Float) -> UInt8 { UInt8(min(15, (value * inverse + 8.5).rounded(.towardZero))) }
        for j in x.startIndex..<x.startIndex + 16 { bytes.append(nibble(x[j]) | nibble(x[j + 16]) << 4) }
    }

    private static func q5(_ x: ArraySlice<Float>, to bytes: inout [UInt8]) {
        var top: Float = 0
        for value in x where abs(value) > abs(top) { top = value }
        let scale = top / -16
        let inverse: Float = scale != 0 ? 1 / scale : 0
        append([Float16(scale).bitPattern], to: &bytes)
        fiveBits(x.map { UInt8(min(31, ($0 * inverse + 16.5).rounded(.towardZero))) }, to: &bytes)
    }

    private static func q5m(_ x: ArraySlice<Float>, to bytes: inout [UInt8]) {
        let least = x.min() ?? 0
        let scale = ((x.max() ?? 0) - least) / 31
        let inverse: Float = scale != 0 ? 1 / scale : 0
        append([Float16(scale).bitPattern, Float16(least).bitPattern], to: &bytes)
        fiveBits(x.map { UInt8(min(31, (($0 - least) * inverse + 0.5).rounded(.towardZero))) }, to: &bytes)
    }

    /// The fifth bits of 32 quants, then their nibbles.
    private static func fiveBits(_ quants: [UInt8], to bytes: inout [UInt8]) {
        append([quants.indices.reduce(UInt32(0)) { $0 | UInt32(quants[$1] >> 4) << UInt32($1) }], to: &bytes)
        for j in 0..<16 { bytes.append(quants[j] & 15 | (quants[j + 16] & 15) << 4) }
    }
}
