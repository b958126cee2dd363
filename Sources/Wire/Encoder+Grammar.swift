import CWire
import Core

/// Grammars, and the masks that come of them.
extension Encoder {
    mutating func alternative(
        _ alternative: AnswerGrammar.Alternative
    ) -> UnsafeMutablePointer<Wire__GrammarAlternative>? {
        let made = arena.new(wire__grammar_alternative__init)
        made.pointee.lead = arena.place(bytes: alternative.lead)
        made.pointee.notation = wireValue(
            alternative.notation, in: AnswerGrammar.Notation.wire, unspecified: WIRE__NOTATION__NOTATION_UNSPECIFIED)
        made.pointee.rule = arena.place(bytes: alternative.rule)
        made.pointee.continues = alternative.continues ? 1 : 0
        return made
    }

    mutating func mask(_ mask: TokenMask) -> UnsafeMutablePointer<Wire__Mask>? {
        let made = arena.new(wire__mask__init)
        made.pointee.count = UInt64(clamping: mask.count)
        if mask.permitted < mask.words.count * 2 {
            made.pointee.permitted = blob(words: mask.tokens)
        } else {
            made.pointee.bits = blob(mask.words.withUnsafeBytes { Array($0) })
        }
        return made
    }
}
