import Core

/// Four-byte words as they travel between ranks: floats, tokens and halves of doubles, all as bits.
struct WordWriter {
    private(set) var words: [Float] = []

    mutating func clear() { words.removeAll(keepingCapacity: true) }
    mutating func put(_ value: Float) { words.append(value) }
    mutating func put(_ token: TokenID) { words.append(Float(bitPattern: UInt32(bitPattern: token))) }
    mutating func put(_ value: Double) {
        words.append(Float(bitPattern: UInt32(truncatingIfNeeded: value.bitPattern)))
        words.append(Float(bitPattern: UInt32(truncatingIfNeeded: value.bitPattern >> 32)))
    }
}

/// Reads what a `WordWriter` wrote.
struct WordReader {
    private let words: UnsafeBufferPointer<Float>
    private var at = 0

    init(_ words: UnsafeBufferPointer<Float>) { self.words = words }

    mutating func float() -> Float {
        defer { at += 1 }
        return words[at]
    }

    mutating func token() -> TokenID { TokenID(bitPattern: float().bitPattern) }

    mutating func double() -> Double {
        let low = UInt64(float().bitPattern)
        return Double(bitPattern: low | UInt64(float().bitPattern) << 32)
    }
}
