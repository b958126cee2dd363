import Testing

@testable import Tokenization

/// One element of a pattern: a class of scalars, repeated greedily.
private struct Element: Sendable {
    var least = 1
    var most = Int.max
    var accepts: @Sendable (Unicode.Scalar) -> Bool
}

/// The patterns as they are written, matched by trying everything: slow and obvious.
private struct SlowPattern: Sendable {
    /// Elements, and whether a scalar that is no white space must not follow.
    var alternatives: [(elements: [Element], refusesText: Bool)]

    @Sendable static func isLetter(_ s: Unicode.Scalar) -> Bool {
        ScalarClasses.properties(of: s) == ScalarClasses.letter
    }
    @Sendable static func isNumber(_ s: Unicode.Scalar) -> Bool {
        ScalarClasses.properties(of: s) == ScalarClasses.number
    }
    @Sendable static func isSpace(_ s: Unicode.Scalar) -> Bool { s.properties.isWhitespace }
    @Sendable static func isNewline(_ s: Unicode.Scalar) -> Bool { s == "\r" || s == "\n" }
    @Sendable static func isOther(_ s: Unicode.Scalar) -> Bool { !isLetter(s) && !isNumber(s) && !isSpace(s) }

    private static func word(_ text: String, foldingCase: Bool) -> (elements: [Element], refusesText: Bool) {
        let elements = text.unicodeScalars.map { wanted in
            Element(most: 1) { s in
                s == wanted
                    || (foldingCase
                        && (s.properties.lowercaseMapping == String(wanted) || (wanted == "s" && s == "\u{17F}")))
            }
        }
        return (elements, false)
    }

    private static let contractions = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"]
    private static let space = Element(least: 0, most: 1) { $0 == " " }

    static let glm = SlowPattern(
        alternatives: contractions.map { word($0, foldingCase: true) } + [
            (
                [
                    Element(least: 0, most: 1) { !isNewline($0) && !isLetter($0) && !isNumber($0) },
                    Element(accepts: isLetter),
                ], false
            ),
            ([Element(most: 3, accepts: isNumber)], false),
            ([space, Element(accepts: isOther), Element(least: 0, accepts: isNewline)], false),
            ([Element(least: 0, accepts: isSpace), Element(accepts: isNewline)], false),
            ([Element(accepts: isSpace)], true),
            ([Element(accepts: isSpace)], false),
        ])

    static let gpt2 = SlowPattern(
        alternatives: contractions.map { word($0, foldingCase: false) } + [
            ([space, Element(accepts: isLetter)], false), ([space, Element(accepts: isNumber)], false),
            ([space, Element(accepts: isOther)], false), ([Element(accepts: isSpace)], true),
            ([Element(accepts: isSpace)], false),
        ])

    private func end(
        _ text: ArraySlice<Unicode.Scalar>, _ elements: ArraySlice<Element>, refusesText: Bool
    ) -> Int? {
        guard let element = elements.first else {
            if refusesText, let next = text.first, !Self.isSpace(next) { return nil }
            return text.startIndex
        }
        let most = min(element.most, text.prefix(while: element.accepts).count)
        guard most >= element.least else { return nil }
        for count in stride(from: most, through: element.least, by: -1) {
            if let end = end(text.dropFirst(count), elements.dropFirst(), refusesText: refusesText) { return end }
        }
        return nil
    }

    func pieces(_ text: ArraySlice<Unicode.Scalar>) -> [String] {
        var rest = text
        var pieces: [String] = []
        while !rest.isEmpty {
            let ends = alternatives.lazy.compactMap { end(rest, $0.elements[...], refusesText: $0.refusesText) }
            let cut = ends.first ?? rest.startIndex + 1
            pieces.append(string(rest[..<cut]))
            rest = rest[cut...]
        }
        return pieces
    }

    private func string(_ scalars: ArraySlice<Unicode.Scalar>) -> String {
        var text = String.UnicodeScalarView()
        text.append(contentsOf: scalars)
        return String(text)
    }

    /// Numbers are cut out first, the rest is cut by the second pattern.
    static func smollm(_ text: [Unicode.Scalar]) -> [String] {
        var pieces: [String] = []
        var start = 0
        for (index, scalar) in text.enumerated() where isNumber(scalar) {
            pieces += gpt2.pieces(text[start..<index]) + [String(scalar)]
            start = index + 1
        }
        return pieces + gpt2.pieces(text[start...])
    }
}

@Suite struct PretokenizerTests {
    /// Every class, every special case, every length in UTF-8; letters of contractions come often.
    static let nasty: [Unicode.Scalar] = Array(
        ("'''''''sStTrReEvVmMlLdD\u{17F}\u{212A} \u{20} \u{20}\t\r\n\n\u{B}\u{85}\u{A0}\u{1680}\u{2003}\u{2028}\u{3000}a\u{E9}Zß"
            + "\u{301}\u{200B}\u{200D}中文字あ\u{1F642}\u{1F3FD}\u{20000}\u{31350}\u{10FFFF}\u{E0100}019٣½Ⅷ²九.,!-_=(\u{FEFF}\u{0}\u{1F}\u{378}")
            .unicodeScalars)

    func pieces(_ text: String, _ pattern: Pattern) -> [String] {
        var text = text
        return text.withUTF8 { bytes in
            ScalarClasses.shared.packed.withUnsafeBufferPointer { classes in
                let pretokenizer = Pretokenizer(pattern: pattern, text: bytes, classes: classes)
                var pieces: [String] = []
                var start = 0
                while start < bytes.count {
                    let end = pretokenizer.end(from: start)
                    pieces.append(String(decoding: bytes[start..<end], as: UTF8.self))
                    start = end
                }
                return pieces
            }
        }
    }

    @Test("the scanner cuts random nasty text as the patterns do")
    func agreesWithTwin() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<600 {
            let scalars = (0..<Int.random(in: 0...24, using: &random)).map { _ in
                Self.nasty.randomElement(using: &random) ?? "a"
            }
            var text = ""
            text.unicodeScalars.append(contentsOf: scalars)
            let glm = pieces(text, .glm).map { Array($0.utf8) }
            #expect(glm == SlowPattern.glm.pieces(scalars[...]).map { Array($0.utf8) }, "\(text.debugDescription)")
            let smollm = pieces(text, .smollm).map { Array($0.utf8) }
            #expect(smollm == SlowPattern.smollm(scalars).map { Array($0.utf8) }, "\(text.debugDescription)")
        }
    }

    @Test("the class table agrees with the properties of scalars on every plane")
    func tableAgrees() {
        let table = ScalarClasses.shared
        var wrong = 0
        for code in stride(from: UInt32(0), through: 0x10FFFF, by: 61) {
            guard let scalar = Unicode.Scalar(code) else { continue }
            let kind =
                code < ScalarClasses.limit
                ? table.packed[Int(code >> 2)] >> UInt8(2 * (code & 3)) & 3 : ScalarClasses.other
            if kind != ScalarClasses.properties(of: scalar) { wrong += 1 }
        }
        #expect(wrong == 0)
    }

    @Test("a run of white space is cut before its last scalar, or after its last newline")
    func whiteSpace() {
        #expect(pieces("a   b", .glm) == ["a", "  ", " b"])
        #expect(pieces("a \n \n  b", .glm) == ["a", " \n \n", " ", " b"])
        #expect(pieces("a  ", .glm) == ["a", "  "])
        #expect(pieces("a  7", .glm) == ["a", " ", " ", "7"])
        #expect(pieces("a  7", .smollm) == ["a", "  ", "7"])
        #expect(pieces("it'ſ it'S", .glm) == ["it", "'ſ", " it", "'S"])
    }
}
