/// What an answer must look like, as text that travels with its job.
///
/// The answer is one of the alternatives: its lead, then something that its rule accepts; where it continues, the sequel's alternatives may
/// follow, any number of them. An answer that reaches its token limit is cut short, and is then the beginning of such a text.
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
        /// Whether the sequel may follow.
        public var continues: Bool

        /// A lead and a rule.
        public init(lead: String = "", notation: Notation, rule: String, continues: Bool = false) {
            self.lead = lead
            self.notation = notation
            self.rule = rule
            self.continues = continues
        }
    }

    /// What stands between a text and the next.
    public enum Link: String, Sendable, CaseIterable {
        /// A line break.
        case line
        /// The token that begins another turn of the assistant's; it stands for no text.
        case turn
    }

    /// What may follow a text that continues.
    public struct Sequel: Hashable, Sendable {
        /// What stands before each.
        public var link: Link
        /// The texts that are possible there.
        public var alternatives: [Alternative]

        /// Some texts, each behind `link`.
        public init(link: Link, alternatives: [Alternative]) {
            self.link = link
            self.alternatives = alternatives
        }
    }

    /// What stands for the token that begins a turn where answers are looked at byte by byte: no text has it.
    public static let turnByte: UInt8 = 0xFF

    /// The texts that are possible; at least one.
    public var alternatives: [Alternative]
    /// What may follow those that continue.
    public var sequel: Sequel?

    /// One of these.
    public init(_ alternatives: [Alternative], sequel: Sequel? = nil) {
        self.alternatives = alternatives
        self.sequel = sequel
    }

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
        var led = self
        for index in led.alternatives.indices { led.alternatives[index].lead = lead + led.alternatives[index].lead }
        return led
    }
}
