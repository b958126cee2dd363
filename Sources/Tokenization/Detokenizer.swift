public import Core

/// Tokens to text one at a time, never with half a character.
///
/// What the parts add up to is what `Tokenizer.decode` gives for all tokens at once.
public struct Detokenizer: Sendable {
    private let tokenizer: Tokenizer
    private var pending: [UInt8] = []

    /// Starts an empty text.
    public init(_ tokenizer: Tokenizer) { self.tokenizer = tokenizer }

    /// The text that is certain now that `token` came.
    public mutating func next(_ token: TokenID) -> String {
        pending += tokenizer.textBytes(of: token)
        let whole = pending.count - Self.unfinished(pending)
        let text = String(decoding: pending[..<whole], as: UTF8.self)
        pending.removeFirst(whole)
        return text
    }

    /// What is left at the end: U+FFFD when the last character was never finished.
    public mutating func finish() -> String {
        let text = String(decoding: pending, as: UTF8.self)
        pending = []
        return text
    }

    /// How many bytes at the end could be the beginning of a character.
    static func unfinished(_ bytes: [UInt8]) -> Int {
        for back in 1...3 where back <= bytes.count {
            let lead = bytes[bytes.count - back]
            if lead & 0xC0 == 0x80 { continue }
            let length =
                switch lead {
                case 0xC2...0xDF: 2
                case 0xE0...0xEF: 3
                case 0xF0...0xF4: 4
                default: 1
                }
            guard length > back else { return 0 }
            guard back > 1 else { return back }
            // Some second bytes are ruled out by the first (overlong forms, surrogates, beyond U+10FFFF).
            let second = bytes[bytes.count - back + 1]
            let allowed: ClosedRange<UInt8> =
                switch lead {
                case 0xE0: 0xA0...0xBF
                case 0xED: 0x80...0x9F
                case 0xF0: 0x90...0xBF
                case 0xF4: 0x80...0x8F
                default: 0x80...0xBF
                }
            return allowed.contains(second) ? back : 0
        }
        return 0
    }
}
