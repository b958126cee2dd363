public import Core

/// A grammar with the vocabulary that its text is written in: answers follow it token by token.
///
/// What is found out about it is kept and serves all answers with the same grammar. One thread uses it at a time.
public final class Constraint {
    private let automaton: Automaton
    private let masks: MaskMaker
    private let vocabulary: TokenTrie

    /// Readies a grammar.
    ///
    /// - Throws: what is wrong with it, in words.
    public convenience init(_ grammar: AnswerGrammar, vocabulary: TokenTrie) throws {
        self.init(try Network(grammar), vocabulary: vocabulary)
    }

    /// Readies a grammar that was read.
    public init(_ network: Network, vocabulary: TokenTrie) {
        automaton = Automaton(network)
        masks = MaskMaker(automaton, vocabulary: vocabulary)
        self.vocabulary = vocabulary
    }

    /// Entries of all tables: what it takes in memory, about a hundred bytes each.
    public var size: Int { automaton.size }

    /// The beginning of an answer.
    public var start: Place { Place(configuration: automaton.start) }

    /// Where an answer is.
    public struct Place: Hashable, Sendable {
        var configuration: Int32
        /// Whether a token that ends answers was taken.
        var hasEnded = false
    }

    /// The tokens that can come next, those that end the answer included where it may end.
    ///
    /// - Throws: when there is none, or when the grammar leaves too much open to be followed.
    public func mask(at place: Place) throws -> TokenMask {
        guard !automaton.isOverwhelmed else {
            throw Problem.invalid(
                "the grammar comes to too many states; write it with fewer alternatives that begin alike")
        }
        let mask = place.hasEnded ? TokenMask(count: vocabulary.count) : masks.mask(place.configuration)
        guard !mask.isEmpty else {
            throw Problem.invalid(
                "the grammar wants a character here that no token of this model's vocabulary begins with")
        }
        return mask
    }

    /// The place behind a token, or nil when the token does not fit.
    public func place(after token: TokenID, at place: Place) -> Place? {
        guard !place.hasEnded else { return nil }
        if vocabulary.stopTokens.contains(token) {
            guard automaton.accepts[Int(place.configuration)] else { return nil }
            return Place(configuration: place.configuration, hasEnded: true)
        }
        guard let bytes = vocabulary.bytes(of: token) else { return nil }
        let next = automaton.walk(place.configuration, bytes)
        return next == Automaton.dead ? nil : Place(configuration: next)
    }

    /// Whether the answer may end here.
    public func mayEnd(at place: Place) -> Bool { place.hasEnded || automaton.accepts[Int(place.configuration)] }

    /// Whether the answer must end here: nothing can follow.
    public func mustEnd(at place: Place) -> Bool { place.hasEnded || !automaton.goesOn(place.configuration) }

    /// The bytes that follow in any case, up to `limit`: a guess at what is drawn next.
    public func forcedBytes(at place: Place, limit: Int) -> [UInt8] {
        guard !place.hasEnded else { return [] }
        var bytes: [UInt8] = []
        var at = place.configuration
        while bytes.count < limit, let byte = automaton.forcedByte(at) {
            bytes.append(byte)
            at = automaton.step(at, byte)
        }
        return bytes
    }
}

extension Network {
    /// Reads a grammar, whatever its notation.
    ///
    /// - Throws: what is wrong with it, in words.
    public init(_ grammar: AnswerGrammar) throws {
        var rules = RuleSet()
        guard !grammar.alternatives.isEmpty else { throw Problem.invalid("the grammar has no alternatives") }
        // A rule that stands in the sequel, too, is read once.
        var known: [AnswerGrammar.Alternative: Pattern] = [:]
        func pattern(_ alternative: AnswerGrammar.Alternative) throws -> Pattern {
            var key = alternative
            (key.lead, key.continues) = ("", false)
            if let known = known[key] { return .all([.text(alternative.lead), known]) }
            let rule: Pattern
            switch alternative.notation {
            case .gbnf:
                let read = try GBNFReader.read(alternative.rule, source: "grammar")
                rule = .rule(read.root + rules.merge(read))
            case .regex:
                rule = try RegexReader.read(alternative.rule, source: "regular expression").pattern(\.utf8)
            case .jsonSchema:
                let read = try SchemaReader.read(alternative.rule)
                rule = .rule(read.root + rules.merge(read))
            case .literal: rule = .text(alternative.rule)
            case .text: rule = .repeated(ScalarSet.all.utf8, least: 0, most: nil)
            }
            known[key] = rule
            return .all([.text(alternative.lead), rule])
        }
        var sequel = Pattern.empty
        if let next = grammar.sequel {
            let link: [UInt8] = next.link == .line ? [UInt8(ascii: "\n")] : [AnswerGrammar.turnByte]
            let following = Pattern.anyOf(try next.alternatives.map { try pattern($0) })
            sequel = .repeated(.all([.text(link), following]), least: 0, most: nil)
        }
        let choices = try grammar.alternatives.map { alternative in
            try Pattern.all([pattern(alternative)] + (alternative.continues ? [sequel] : []))
        }
        let root = rules.add("the answer")
        rules.bodies[root] = .anyOf(choices)
        rules.root = root
        let names = Set(grammar.alternatives.map(\.notation))
        let source = names.count == 1 && names.contains(.jsonSchema) ? "the schema" : "the grammar"
        try self.init(rules, source: source)
    }
}
