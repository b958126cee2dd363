import CWire
import Core

/// Grammars, and the masks that come of them.
extension Decoder {
    /// What the answer must look like, or nil where it may be anything.
    func grammar(_ options: Wire__GenerationOptions) throws -> AnswerGrammar? {
        let alternatives = try alternatives(options.grammar, count: options.n_grammar)
        guard !alternatives.isEmpty else { return nil }
        let next = try self.alternatives(options.grammar_sequel, count: options.n_grammar_sequel)
        guard !next.isEmpty else { return AnswerGrammar(alternatives) }
        let link = try ours(options.grammar_link, in: AnswerGrammar.Link.wire, what: "link")
        return AnswerGrammar(alternatives, sequel: .init(link: link, alternatives: next))
    }

    private func alternatives(
        _ list: UnsafeMutablePointer<UnsafeMutablePointer<Wire__GrammarAlternative>?>?, count listed: Int
    ) throws -> [AnswerGrammar.Alternative] {
        guard let list, listed > 0 else { return [] }
        var alternatives: [AnswerGrammar.Alternative] = []
        for index in 0..<(try count(UInt64(listed), most: 1 << 16)) {
            let alternative = try the(list[index])
            alternatives.append(
                AnswerGrammar.Alternative(
                    lead: try text(alternative.lead),
                    notation: try ours(alternative.notation, in: AnswerGrammar.Notation.wire, what: "notation"),
                    rule: try text(alternative.rule), continues: alternative.continues != 0))
        }
        return alternatives
    }

    mutating func masks(_ segment: Wire__Segment) throws -> [TokenMask] {
        var masks: [TokenMask] = []
        for index in 0..<(try count(UInt64(segment.n_masks), most: 1 << 16)) {
            masks.append(try mask(the(segment.masks[index])))
        }
        return masks
    }

    private mutating func mask(_ mask: Wire__Mask) throws -> TokenMask {
        let size = try count(mask.count, most: 1 << 24)
        let bits = try bytes(mask.bits)
        let permitted = try tokens(mask.permitted)
        guard bits.isEmpty else {
            let words = [UInt64](unsafeUninitializedCapacity: bits.count / 8) { out, count in
                UnsafeMutableRawBufferPointer(out).copyBytes(from: bits.prefix(bits.count / 8 * 8))
                count = bits.count / 8
            }
            guard bits.count % 8 == 0, let found = TokenMask(count: size, words: words) else {
                throw Problem.invalid("message: \(bits.count) bytes are no mask of \(size) tokens")
            }
            return found
        }
        var found = TokenMask(count: size)
        for token in permitted {
            guard token < size else { throw Problem.invalid("message: a mask permits token \(token) of \(size)") }
            found.permit(token)
        }
        return found
    }
}
