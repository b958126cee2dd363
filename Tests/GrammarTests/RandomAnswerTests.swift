import Core
import Testing

@testable import Grammar

/// Whatever tokens are drawn from the masks, the answer is what was asked for.
@Suite("Random answers") struct RandomAnswerTests {
    static let schemas: [String] = [
        #"{"type":"object"}"#,
        #"{"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"}},"required":["name","age"],"additionalProperties":false}"#,
        #"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"number"},"c":{"type":"boolean"}},"required":["b"]}"#,
        #"{"type":"object","properties":{"a":{"type":"null"},"ab":{"const":1}},"additionalProperties":{"type":"integer","minimum":3}}"#,
        #"{"type":"object","additionalProperties":{"type":"string","maxLength":3},"maxProperties":2,"minProperties":1}"#,
        #"{"type":"array","items":{"type":"integer","minimum":-5,"maximum":120},"minItems":2,"maxItems":4}"#,
        #"{"type":"array","prefixItems":[{"type":"string"},{"type":"boolean"}],"items":{"type":"null"},"minItems":1,"maxItems":3}"#,
        #"{"type":"array","prefixItems":[{"type":"integer"},{"const":"x"}],"items":false}"#,
        #"{"type":"string","minLength":2,"maxLength":5}"#,
        #"{"type":"string","pattern":"^[A-Z]{2}-\\d{3,5}(\\.[a-fé]+)?$"}"#,
        #"{"type":"string","pattern":"^(\\\\|\"|\\n|x){1,4}$"}"#,
        #"{"type":"number","minimum":-1.5,"exclusiveMaximum":2.25}"#,
        #"{"type":"number","exclusiveMinimum":0}"#,
        #"{"type":"number","minimum":0,"maximum":100,"multipleOf":0.01}"#,
        #"{"type":"integer","exclusiveMinimum":7,"maximum":1000}"#,
        #"{"enum":["red","gr\u00fcn",3,null,{"k":[1,2]}]}"#,
        #"{"type":["string","null","integer"],"minimum":10,"maximum":12,"maxLength":1}"#,
        #"{"anyOf":[{"type":"object","properties":{"kind":{"const":"a"}},"required":["kind"]},{"type":"array","items":{"type":"boolean"},"maxItems":2}]}"#,
        #"{"allOf":[{"type":"object","properties":{"a":{"type":"number","minimum":1}},"required":["a"]},{"properties":{"a":{"type":"integer","maximum":9},"b":{"type":"string"}}}]}"#,
        ##"{"$defs":{"tree":{"type":"object","properties":{"value":{"type":"integer"},"children":{"type":"array","items":{"$ref":"#/$defs/tree"},"maxItems":2}},"required":["value"],"additionalProperties":false}},"$ref":"#/$defs/tree"}"##,
        ##"{"type":"object","properties":{"next":{"anyOf":[{"$ref":"#"},{"type":"null"}]},"v":{"type":"boolean"}},"required":["next","v"],"additionalProperties":false}"##,
        #"{"type":"object","properties":{"when":{"type":"string","format":"date-time"},"id":{"type":"string","format":"uuid"}},"required":["when","id"]}"#,
        #"{"properties":{"x":{"minimum":0,"type":"integer"},"y":{}},"required":["x","z"],"additionalProperties":true}"#,
        #"{"type":"array","items":{"type":"object","properties":{"k":{"type":"string"},"v":{"type":"array","items":{"type":"number"}}},"required":["k","v"]}}"#,
    ]

    @Test("every answer parses and conforms to its schema", arguments: schemas)
    func conforms(schema: String) throws {
        let validator = SchemaValidator(root: try JSONValue(parsing: schema, source: "test"))
        let constraint = try Constraint(AnswerGrammar(.jsonSchema, schema), vocabulary: Vocabularies.small)
        var walk = RandomWalk(
            constraint: constraint, texts: Vocabularies.smallTexts, numbers: SeededNumbers(state: UInt64(schema.count)))
        var finished = 0
        for round in 0..<150 {
            guard let bytes = try walk.answer(lively: round % 40, limit: 400) else { continue }
            finished += 1
            let text = try #require(String(validating: bytes, as: UTF8.self), "no UTF-8: \(bytes)")
            let value = try JSONValue(parsing: bytes, source: text)
            #expect(validator.conforms(value), "\(text)")
        }
        #expect(finished > 60, "only \(finished) answers came to an end")
    }

    @Test("a mask permits exactly the tokens whose bytes can follow", arguments: [1, 3, 4, 7, 8, 9, 16, 17, 19])
    func masksAreExact(index: Int) throws {
        try checkMasks(AnswerGrammar(.jsonSchema, Self.schemas[index]), seed: UInt64(index))
    }

    @Test(
        "so it does where running text is looked at character by character, counted, or goes on behind a rule's end",
        arguments: [
            AnswerGrammar(.jsonSchema, #"{"type":"string","maxLength":40}"#),
            AnswerGrammar(.jsonSchema, #"{"type":"array","items":{"type":"string","minLength":1,"maxLength":6}}"#),
            AnswerGrammar(.regex, ".{0,4}"), AnswerGrammar(.regex, #""[^"\\]{2,6}""#),
            AnswerGrammar(.regex, "(.{2})*x?"),
            AnswerGrammar(.regex, "[^a]{0,5}b"), AnswerGrammar(.regex, "[a-z\u{e9}]{1,4}.{0,2}"),
            AnswerGrammar(.regex, #"(.|\n){3}[a-z]*"#), AnswerGrammar(.regex, #"[\x20-\x7e]{1,9}"#),
            AnswerGrammar(.regex, #"[^\x00-\x7f]{2,5}!"#),
            AnswerGrammar(.gbnf, "root ::= item (\",\" item)*\nitem ::= [^,]{0,3}"),
            AnswerGrammar(.gbnf, "root ::= \"(\" root \")\" | word\nword ::= .{1,3} \"-\"?"),
            AnswerGrammar([
                .init(lead: "\n", notation: .text, rule: ""), .init(lead: "f\n", notation: .regex, rule: ".{3}"),
            ]),
        ])
    func masksOfText(grammar: AnswerGrammar) throws { try checkMasks(grammar, seed: 3) }

    private func checkMasks(_ grammar: AnswerGrammar, seed: UInt64) throws {
        let texts = Vocabularies.smallTexts
        let network = try Network(grammar)
        let (fast, slow) = (Constraint(network, vocabulary: Vocabularies.small), Automaton(network))
        var numbers = SeededNumbers(state: seed)
        for _ in 0..<25 {
            var place = fast.start
            var at = slow.start
            for _ in 0..<30 {
                let mask = try fast.mask(at: place)
                var permitted: [TokenID] = []
                for token in texts.indices.dropFirst(2) {
                    let fits = slow.walk(at, texts[token]) != Automaton.dead
                    if fits { permitted.append(TokenID(token)) }
                    if fits != mask.permits(TokenID(token)) {
                        Issue.record("token \(String(decoding: texts[token], as: UTF8.self)): \(fits) is right")
                    }
                }
                #expect(mask.permits(0) == slow.accepts[Int(at)] && !mask.permits(1))
                guard let token = permitted.randomElement(using: &numbers) else { break }
                place = try #require(fast.place(after: token, at: place))
                at = slow.walk(at, texts[Int(token)])
            }
        }
    }

    @Test("a grammar's and an expression's answers match")
    func otherNotations() throws {
        let arithmetic = """
            root ::= term (" " [-+*/] " " term)*  # a comment
            term ::= number |
              "(" root ")"
            number ::= [1-9] [0-9]{0,3} ("." [0-9]+)?
            """
        for (grammar, check) in [
            (AnswerGrammar(.gbnf, arithmetic), { (text: String) in balanced(text) }),
            (
                AnswerGrammar(.regex, #"(?:ja|nein)[!?]{1,3}( [^\x00-\x7f]+)?"#),
                { (text: String) in
                    text.wholeMatch(of: /(?:ja|nein)[!?]{1,3}( [^\x00-\x7f]+)?/.matchingSemantics(.unicodeScalar))
                        != nil
                }
            ),
        ] {
            var walk = RandomWalk(
                constraint: try Constraint(grammar, vocabulary: Vocabularies.small), texts: Vocabularies.smallTexts,
                numbers: SeededNumbers(state: 5))
            var finished = 0
            for _ in 0..<100 {
                guard let bytes = try walk.answer(lively: 20, limit: 300) else { continue }
                finished += 1
                let text = try #require(String(validating: bytes, as: UTF8.self))
                #expect(check(text), "\(text)")
            }
            #expect(finished > 30)
        }
    }
}

/// Whether a text is arithmetic: a reader by hand.
private func balanced(_ text: String) -> Bool {
    var rest = Substring(text)
    func term() -> Bool {
        if rest.first == "(" {
            rest.removeFirst()
            guard sum(), rest.first == ")" else { return false }
            rest.removeFirst()
            return true
        }
        guard let match = rest.prefixMatch(of: /[1-9][0-9]{0,3}(\.[0-9]+)?/) else { return false }
        rest = rest[match.range.upperBound...]
        return true
    }
    func sum() -> Bool {
        guard term() else { return false }
        while let match = rest.prefixMatch(of: /\ [-+*\/]\ /) {
            rest = rest[match.range.upperBound...]
            guard term() else { return false }
        }
        return true
    }
    return sum() && rest.isEmpty
}
