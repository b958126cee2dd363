/// The four classes of Unicode scalars that pre-tokenisation tells apart, two bits each.
///
/// Only planes 0 to 3 are stored (64 KiB): the planes above hold no letters, numbers or white space. A test compares
/// the table with the Unicode properties of every scalar.
struct ScalarClasses: Sendable {
    /// Neither letter nor number nor white space: marks, punctuation, symbols, controls.
    static let other: UInt8 = 0
    /// General category L*.
    static let letter: UInt8 = 1
    /// General category N*.
    static let number: UInt8 = 2
    /// The property White_Space.
    static let space: UInt8 = 3

    /// The table, built at the first use.
    static let shared = ScalarClasses()

    /// Scalars below this one are in the table.
    static let limit: UInt32 = 0x40000

    /// Four scalars a byte, the lowest in the low bits.
    let packed: [UInt8]

    private init() {
        var packed = [UInt8](repeating: 0, count: Int(Self.limit) / 4)
        for code in 0..<Self.limit {
            guard let scalar = Unicode.Scalar(code) else { continue }
            packed[Int(code >> 2)] |= Self.properties(of: scalar) << UInt8(2 * (code & 3))
        }
        self.packed = packed
    }

    /// The class of a scalar, slowly.
    static func properties(of scalar: Unicode.Scalar) -> UInt8 {
        if scalar.properties.isWhitespace { return space }
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: return letter
        case .decimalNumber, .letterNumber, .otherNumber: return number
        default: return other
        }
    }
}
