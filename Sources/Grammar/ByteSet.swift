/// A set of bytes.
struct ByteSet: Hashable, Sendable {
    private var bits = SIMD4<UInt64>(repeating: 0)

    /// No bytes.
    init() {}

    /// One byte.
    init(_ byte: UInt8) { insert(byte) }

    /// A run of bytes.
    init(_ bytes: ClosedRange<UInt8>) {
        for byte in bytes { insert(byte) }
    }

    /// Any byte.
    static let all = ByteSet(0...255)

    var isEmpty: Bool { bits == SIMD4(repeating: 0) }

    mutating func insert(_ byte: UInt8) { bits[Int(byte >> 6)] |= 1 << UInt64(byte & 63) }

    func contains(_ byte: UInt8) -> Bool { bits[Int(byte >> 6)] >> UInt64(byte & 63) & 1 != 0 }
}
