import Core

/// Places between two characters that no token reaches across: a text is merged on either side apart, with the same tokens.
///
/// What is merged is always the bytes of some token. Where no token has the end of one character next to the beginning of the other, nothing
/// is ever merged across, so a long clause comes apart into words. What the tokens reach across is kept as bits of a table, by the hash of
/// the two characters: a bit that is set by chance costs a seam, and never a token.
struct Seams: Sendable {
    private static let size = 20

    /// The bits, 64 a word.
    let bits: [UInt64]

    /// The seams that tokens of these bytes leave.
    init(_ tokens: some Sequence<ArraySlice<UInt8>>) {
        var bits = [UInt64](repeating: 0, count: 1 << (Self.size - 6))
        for token in tokens where token.count > 1 {
            token.withUnsafeBufferPointer { token in
                // The character before the boundary; one whose beginning is missing is known by its last byte.
                var start: Int? = Self.isInner(token[0]) ? nil : 0
                for at in 1..<token.count where !Self.isInner(token[at]) {
                    let isWhole = start.map { Self.length(token[$0]) == at - $0 } ?? false
                    let left = isWhole ? Self.packed(token, (start ?? 0)..<at) : UInt32(token[at - 1])
                    let end = at + Self.length(token[at])
                    let right = end <= token.count ? Self.packed(token, at..<end) : UInt32(token[at])
                    let place = Self.place(left, right)
                    bits[place >> 6] |= 1 << UInt64(place & 63)
                    start = at
                }
            }
        }
        self.bits = bits
    }

    /// Whether a byte is inside a character, not its first.
    @inline(__always)
    static func isInner(_ byte: UInt8) -> Bool { byte & 0xC0 == 0x80 }

    /// The bytes of a character that begins with `byte`.
    @inline(__always)
    static func length(_ byte: UInt8) -> Int { byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4 }

    @inline(__always)
    static func packed(_ text: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> UInt32 {
        var packed: UInt32 = 0
        for at in range { packed = packed << 8 | UInt32(text[at]) }
        return packed
    }

    @inline(__always)
    static func place(_ left: UInt32, _ right: UInt32) -> Int {
        Int(((UInt64(left) << 32 | UInt64(right)) &* 0x9E37_79B9_7F4A_7C15) >> UInt64(64 - size))
    }
}

/// The table of seams as a pointer, for the loop over a text.
struct SeamsView {
    let bits: UnsafeBufferPointer<UInt64>

    /// The end of the run that begins at `start`: the first seam behind it, or the end of the piece, which is whole characters.
    func end(of piece: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        var at = start
        var next = min(piece.count, start + Seams.length(piece[start]))
        while next < piece.count {
            let end = min(piece.count, next + Seams.length(piece[next]))
            let (left, right) = (Seams.packed(piece, at..<next), Seams.packed(piece, next..<end))
            // Whole characters, and the parts of them that a token may begin or end with.
            let (last, first) = (UInt32(piece[next - 1]), UInt32(piece[next]))
            guard reaches(left, right) || reaches(left, first) || reaches(last, right) || reaches(last, first) else {
                return next
            }
            at = next
            next = end
        }
        return piece.count
    }

    @inline(__always)
    private func reaches(_ left: UInt32, _ right: UInt32) -> Bool {
        let place = Seams.place(left, right)
        return bits[place >> 6] >> UInt64(place & 63) & 1 != 0
    }
}
