/// What an answer must look like, as text that travels with its job.
///
/// The answer is one of the alternatives: its lead, then something that its rule accepts. An answer that reaches its token limit is cut short,
/// and is then the beginning of such a text.
public struct AnswerGrammar: Hashable, Sendable {
    /// How a rule is written.
    public enum Notation: String, Sendable, CaseIterable {
        /// A grammar in GBNF; the rule `root` is the answer.
        case gbnf
        /// A regular expression that the whole answer matches.
        case regex
        /// A JSON Schema; the answer is a JSON text that conforms to it.
        case jsonSchema
        /// This text, exactly.
        case literal
        /// Anything; the rule's text is not looked at.
        case text
    }

    /// One of the texts that are possible.
    public struct Alternative: Hashable, Sendable {
        /// What stands at the beginning, as it is.
        public var lead: String
        /// How `rule` is written.
        public var notation: Notation
        /// What follows.
        public var rule: String

        /// A lead and a rule.
        public init(lead: String = "", notation: Notation, rule: String) {
            self.lead = lead
            self.notation = notation
            self.rule = rule
        }
    }

    /// The texts that are possible; at least one.
    public var alternatives: [Alternative]

    /// One of these.
    public init(_ alternatives: [Alternative]) { self.alternatives = alternatives }

    /// One rule.
    public init(_ notation: Notation, _ rule: String) {
        alternatives = [Alternative(notation: notation, rule: rule)]
    }

    /// Any JSON object.
    public static let jsonObject = AnswerGrammar(.jsonSchema, #"{"type":"object"}"#)

    /// One of some texts.
    public static func choice(of texts: [String]) -> AnswerGrammar {
        AnswerGrammar(texts.map { Alternative(notation: .literal, rule: $0) })
    }

    /// The same with `lead` before every alternative.
    public func led(by lead: String) -> AnswerGrammar {
        AnswerGrammar(
            alternatives.map { Alternative(lead: lead + $0.lead, notation: $0.notation, rule: $0.rule) })
    }
}
