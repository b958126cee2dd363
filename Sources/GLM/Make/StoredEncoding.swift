import Checkpoint

/// Floats as a file stores them. The quantisers are the reference ones of GGUF's formats: rounding happens with the
/// unrounded scale, and the file keeps the scale in half precision.
enum StoredEncoding {
    /// Elements that are encoded together, for every type that is written.
    static let block = 32

    /// Appends `values`, whole blocks of 32 for the integer types, to `bytes`.
    static func append(_ values: [Float], as type: StoredType, to bytes: inout [UInt8]) {
        switch type {
        case .bf16: append(values.map(bf16), to: &bytes)
        case .f16: append(values.map { Float16($0).bitPattern }, to: &bytes)
        case .q8_0: eachBlock(values) { q8($0, to: &bytes) }
        case .q4_0: eachBlock(values) { q4($0, to: &bytes) }
        default: append(values.map(\.bitPattern), to: &bytes)
        }
    }

    /// Files are little-endian, and so is every processor that this runs on.
    private static func append(_ numbers: [some FixedWidthInteger & BitwiseCopyable], to bytes: inout [UInt8]) {
        numbers.withUnsafeBytes { bytes.append(contentsOf: $0) }
    }

    /// The upper half of a float, to the nearest, ties to even.
    private static func bf16(_ x: Float) -> UInt16 {
        let bits = x.bitPattern
        return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
    }

    private static func eachBlock(_ values: [Float], _ body: (ArraySlice<Float>) -> Void) {
        for start in stride(from: 0, to: values.count, by: block) { body(values[start..<start + block]) }
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
}
