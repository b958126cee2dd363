/// GPT-2's way to write bytes as printable characters, in which `tokenizer.json` and GGUF spell their tokens.
///
/// Bytes 33-126, 161-172 and 174-255 stand for themselves, the other 68 in increasing order for U+0100 and on.
enum ByteAlphabet {
    /// The byte of each code point below 0x144, or -1.
    private static let bytes: [Int16] = {
        var table = [Int16](repeating: -1, count: 0x144)
        var next = 0x100
        for byte in 0..<256 {
            if (33...126).contains(byte) || (161...172).contains(byte) || (174...255).contains(byte) {
                table[byte] = Int16(byte)
            } else {
                table[next] = Int16(byte)
                next += 1
            }
        }
        return table
    }()

    /// The bytes that `text` spells, or nil when a character is not of the alphabet.
    static func bytes(of text: some StringProtocol) -> [UInt8]? {
        var result: [UInt8] = []
        result.reserveCapacity(text.utf8.count)
        for scalar in text.unicodeScalars {
            guard scalar.value < bytes.count, bytes[Int(scalar.value)] >= 0 else { return nil }
            result.append(UInt8(bytes[Int(scalar.value)]))
        }
        return result
    }
}
